"""The one scheduler of all executors that work elsewhere: jobs become futures, and lost ones are tried again."""

from __future__ import annotations

import concurrent.futures
import itertools
from collections.abc import Callable, Collection, Iterable, Iterator
from concurrent.futures import Future
from typing import Any, NamedTuple

from nases_env.evaluation import Evaluation
from nases_env.executors.base import Job, Lost, available


class _Attempt(NamedTuple):
    """One try of a job."""

    number: int
    """The job's index."""
    job: Job
    before: int
    """Tries before it."""


def schedule(
    jobs: Iterable[Job | None],
    submit: Callable[[Job], Future],
    wait: Callable[[Collection[Future]], Collection[Future]],
    retries: int,
    lost: tuple[type[BaseException], ...],
) -> Iterator[tuple[int, Evaluation | Lost]]:
    """Yield (index, what came of the job) in order of completion.

    Args:
        jobs: What to do, see `Executor.run`.
        submit: Starts a job. Its future raises TimeoutError where a worker did not answer in time.
        wait: Waits until some futures have ended and returns those; one that it returns before its end is lost. Where
            workers are gone that had taken some, it returns all of these at once: nobody else will end them.
        retries: How often a job is tried again whose worker was lost.
        lost: What a future raises whose worker was lost. Whatever else it raises is raised here.
    """
    source, numbers = iter(jobs), itertools.count()
    running: dict[Future, _Attempt] = {}

    def begin(attempt: _Attempt) -> None:
        running[submit(attempt.job)] = attempt

    def begin_new() -> None:
        for job in available(source):
            begin(_Attempt(next(numbers), job, before=0))

    try:
        begin_new()
        while running:
            for future in wait(running):
                number, job, before = running.pop(future)
                found = _outcome(future, lost)
                if found == "crash" and before < retries:
                    begin(_Attempt(number, job, before + 1))
                else:
                    yield number, found
                    begin_new()
    finally:
        for future in running:
            future.cancel()


def _outcome(future: Future[Any], lost: tuple[type[BaseException], ...]) -> Evaluation | Lost:
    """The evaluation, or what became of it outside the worker."""
    if not future.done():
        return "crash"
    try:
        return future.result()
    except TimeoutError:
        return "timeout"
    except lost:
        return "crash"


def first_ended(running: Collection[Future], seconds: float) -> set[Future]:
    """Wait at most so many seconds until a future has ended; returns those that have."""
    return concurrent.futures.wait(running, seconds, concurrent.futures.FIRST_COMPLETED).done
