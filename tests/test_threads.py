"""Work shared among threads, in order, whatever it raises; BLAS on one of them."""

import threading

import numpy as np
import pytest
from threadpoolctl import threadpool_info, threadpool_limits

from nases_env import threads


@pytest.fixture(autouse=True)
def cores(monkeypatch):
    monkeypatch.setattr(threads, "cores", lambda: 3)


def test_results_are_in_the_order_of_the_pieces():
    pieces = list(np.arange(40).reshape(20, 2))
    assert [int(total) for total in threads.share(np.sum, pieces)] == [piece.sum() for piece in pieces]


def test_several_threads_work_on_many_pieces_and_end():
    before = threading.active_count()
    meeting = threading.Barrier(3, timeout=10)  # passes when three wait at once
    list(threads.share(lambda _: meeting.wait(), [np.zeros(1)] * 3))
    assert threading.active_count() == before


def test_one_piece_is_worked_on_in_this_thread():
    (thread,) = threads.share(lambda _: threading.current_thread(), [np.zeros(1)])
    assert thread is threading.current_thread()


def test_an_error_is_raised_here():
    def fail(piece):
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        list(threads.share(fail, [np.zeros(1)] * 5))


def test_blas_has_one_thread_for_a_while():
    threads._blas.cache_clear()  # libraries that were loaded since it looked

    def blas():
        return {library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas"}

    with threadpool_limits(2, user_api="blas"):
        with threads.one_blas_thread():
            assert blas() == {1}
        assert blas() == {2}
