"""The one scheduler of all executors that work elsewhere: jobs become futures, and lost ones are tried again."""

from __future__ import annotations

import concurrent.futures
from collections.abc import Callable, Collection, Iterator, Sequence
from concurrent.futures import Future
from typing import Any

from nases_env.evaluation import Evaluation
from nases_env.executors.base import Job, Lost


def schedule(
    jobs: Sequence[Job],
    submit: Callable[[Job], Future],
    wait: Callable[[Collection[Future]], Collection[Future]],
    retries: int,
    lost: tuple[type[BaseException], ...],
) -> Iterator[tuple[int, Evaluation | Lost]]:
    """Yield (index, what came of the job) in order of completion.

    Args:
        jobs: What to do.
        submit: Starts a job. Its future raises TimeoutError where a worker did not answer in time.
        wait: Waits until some futures have ended and returns those; one that it returns before its end is lost. Where
            workers are gone that had taken some, it returns all of these at once: nobody else will end them.
        retries: How often a job is tried again whose worker was lost.
        lost: What a future raises whose worker was lost. Whatever else it raises is raised here.
    """
    attempts = [0] * len(jobs)
    running: dict[Future, int] = {}
    try:
        for index, job in enumerate(jobs):
            running[submit(job)] = index
        while running:
            for future in wait(running):
                index = running.pop(future)
                attempts[index] += 1
                found = _outcome(future, lost)
                if found == "crash" and attempts[index] <= retries:
                    running[submit(jobs[index])] = index
                else:
                    yield index, found
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
