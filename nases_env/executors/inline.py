"""Does jobs one after the other in this process."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from nases_env.evaluation import Evaluation
from nases_env.executors.base import Data, Job, Task, Work, available, check_start


class InlineExecutor:
    """Does each job when its result is asked for. What kills this process ends the search."""

    workers = 1
    here = True

    def __init__(self) -> None:
        self._task: Task | None = None
        self._work: Work | None = None

    def start(self, task: Task, data: Data) -> None:
        """See `Executor.start`."""
        check_start(self._task, task, data)
        if self._task is None:
            self._task, self._work = task, task.open(data)

    def run(self, jobs: Iterable[Job | None]) -> Iterator[tuple[int, Evaluation]]:
        """See `Executor.run`; the order is that of the jobs."""
        assert self._work is not None, "start comes before run"
        work = self._work
        return ((index, work(*job)) for index, job in enumerate(available(iter(jobs))))

    def close(self) -> None:
        """See `Executor.close`."""
        self._task = self._work = None

    def __reduce__(self) -> tuple:
        return type(self), ()  # a copy is given its task and its data anew
