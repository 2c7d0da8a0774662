"""The scheduler: lost jobs are tried again at once, as often as they may be."""

from concurrent.futures import Future

import pytest

from nases_env.evaluation import Evaluation
from nases_env.executors.base import Job
from nases_env.executors.scheduling import schedule


class Lost(Exception):
    """A worker died."""


class Fates:
    """Submits jobs whose futures bring, one try after the other, what was listed for their seed."""

    def __init__(self, *fates):
        self.fates = [list(fate) for fate in fates]
        self.submitted, self.futures = [], []

    def submit(self, job):
        self.submitted.append(job.seed)
        future = Future()
        self.futures.append(future)
        fate = self.fates[job.seed].pop(0)
        if isinstance(fate, BaseException):
            future.set_exception(fate)
        elif fate is not None:
            future.set_result(fate)
        return future

    def run(self, retries=1, wait=None, jobs=None):
        jobs = jobs or [Job("a", seed) for seed in range(len(self.fates))]
        return schedule(jobs, self.submit, wait or (lambda running: list(running)[:1]), retries, (Lost,))


GOOD = Evaluation(parameters=1)


def test_a_lost_job_is_tried_again_as_often_as_it_may_be():
    fates = Fates([Lost(), GOOD], [GOOD], [Lost(), Lost(), GOOD])
    assert dict(fates.run()) == {0: GOOD, 1: GOOD, 2: "crash"}
    assert sorted(fates.submitted) == [0, 0, 1, 2, 2]
    assert dict(Fates([Lost(), GOOD]).run(retries=0)) == {0: "crash"}


def test_a_lost_job_is_tried_again_before_the_others_have_ended():
    fates = Fates([Lost(), GOOD], [GOOD])
    found = fates.run()
    assert next(found) == (1, GOOD)
    assert fates.submitted == [0, 1, 0]


def test_a_job_that_does_not_answer_is_a_timeout_and_is_not_tried_again():
    fates = Fates([TimeoutError()], [GOOD])
    assert dict(fates.run()) == {0: "timeout", 1: GOOD}
    assert fates.submitted == [0, 1]


def test_a_job_given_back_before_its_end_is_lost():
    assert dict(Fates([None, GOOD]).run()) == {0: GOOD}


def test_other_errors_are_raised_and_what_has_not_begun_is_cancelled():
    fates = Fates([RuntimeError("a bug")], [None])
    with pytest.raises(RuntimeError, match="a bug"):
        list(fates.run())
    assert fates.futures[1].cancelled()


def test_what_has_not_begun_is_cancelled_when_nobody_asks_on():
    fates = Fates([GOOD], [None])
    found = fates.run()
    next(found)
    found.close()
    assert fates.futures[1].cancelled()


def test_where_a_job_cannot_be_submitted_those_before_it_are_cancelled():
    fates = Fates([None], [None])
    submit = fates.submit

    def second_fails(job):
        if job.seed:
            raise RuntimeError("no more processes")
        return submit(job)

    fates.submit = second_fails
    with pytest.raises(RuntimeError, match="no more processes"):
        list(fates.run())
    assert fates.futures[0].cancelled()


def test_jobs_that_come_later_begin_when_one_that_runs_was_told():
    fates = Fates([GOOD], [Lost(), GOOD], [GOOD], [GOOD])
    found = fates.run(jobs=iter([Job("a", 0), Job("a", 1), None, Job("a", 2), None, None, Job("a", 3), None]))
    begun = [(next(found)[0], list(fates.submitted)) for _ in range(4)]
    assert begun == [(0, [0, 1]), (2, [0, 1, 2, 1]), (1, [0, 1, 2, 1]), (3, [0, 1, 2, 1, 3])]
    assert list(found) == []


def test_where_none_runs_and_none_is_there_it_ends():
    assert list(Fates([GOOD]).run(jobs=iter([None, Job("a", 0)]))) == []
