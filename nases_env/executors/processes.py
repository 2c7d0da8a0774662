"""Does jobs in worker processes of this host: several at once, and none of them able to take the search down."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from concurrent.futures import Future
from concurrent.futures.process import BrokenProcessPool

import torch.multiprocessing  # noqa: F401  (lets multiprocessing send tensors as handles)
from pebble import ProcessExpired, ProcessPool

from nases_env.evaluation import Evaluation
from nases_env.executors.base import Data, Job, Lost, Task, Work, WorkerStartError, check_start
from nases_env.executors.scheduling import first_ended, schedule
from nases_env.executors.worker import do
from nases_env.executors.worker_start import StartReport, WorkerStart, check_workers_allowed
from nases_env.processes import end_with_parent
from nases_env.search_spaces import Architecture

POLL_SECONDS = 1.0
"""Between two looks at whether the pool still works."""

_worker: tuple[Task, Work] | None = None
"""What a worker process does, set when it starts: pebble hands a job to a function and to nothing else. In every other
process it is None."""


class ProcessExecutor:
    """Does jobs in processes that live as long as the task.

    A worker that is killed or whose device is lost is replaced and its job tried again, as often as the task says; then
    the child is a `crash`. A worker that does not answer in time is replaced too; its child is a `timeout`. Where no
    worker ever gets ready, no child is to blame: `run` raises.

    Args:
        workers: Processes, one child each; they start with the first job.

    Raises:
        ValueError: If there are no workers.
    """

    here = False

    def __init__(self, workers: int):
        if workers < 1:
            raise ValueError(f"workers is {workers}; expected at least 1 process")
        self.workers = workers
        self._task: Task | None = None
        self._data: Data | None = None
        self._pool: ProcessPool | None = None
        self._start: WorkerStart | None = None
        self._worked = False
        """Whether a worker ever got ready."""

    def start(self, task: Task, data: Data) -> None:
        """See `Executor.start`; the processes start with the first job."""
        check_start(self._task, task, data)
        if self._task is None:
            self._task, self._data, self._worked = task, data, False

    def run(self, jobs: Iterable[Job | None]) -> Iterator[tuple[int, Evaluation | Lost]]:
        """See `Executor.run`."""
        assert self._task is not None, "start comes before run"
        retries = self._task.limits.crash_retries
        return schedule(jobs, self._submit, self._finished, retries, (ProcessExpired, BrokenProcessPool))

    def close(self) -> None:
        """End the workers, whatever they do; see `Executor.close`."""
        self._end_workers()
        self._task = self._data = None

    def __reduce__(self) -> tuple:
        return type(self), (self.workers,)  # a copy starts workers of its own

    def _end_workers(self) -> None:
        if self._pool is not None:
            self._pool.stop()
            self._pool.join()
            self._pool = None

    def _finished(self, running: Collection[Future]) -> Collection[Future]:
        """Those that have ended; all of them where the pool is broken, which forgets what it had not handed out: the
        next job makes another pool, which knows none of them."""
        done = first_ended(running, POLL_SECONDS)
        active = self._pool is not None and self._pool.active
        self._check_started(active)
        return done if active else list(running)

    def _check_started(self, active: bool) -> None:
        if self._worked or self._start is None:
            return
        try:
            self._worked = self._start.succeeded(broken=not active)
        except WorkerStartError:
            self._end_workers()
            raise

    def _submit(self, job: Job) -> Future:
        assert self._task is not None
        limits = self._task.limits
        seconds = None if limits.max_seconds is None else limits.max_seconds + limits.hang_seconds
        pool = self._started()
        try:
            return pool.schedule(_do, job, timeout=seconds)
        except RuntimeError:  # it broke since it was looked at
            if pool.active:
                raise
            return self._started().schedule(_do, job, timeout=seconds)

    def _started(self) -> ProcessPool:
        if self._pool is not None and not self._pool.active:  # a worker died while it waited or took a child
            self._check_started(active=False)
            self._end_workers()
        if self._pool is None:
            assert self._task is not None and self._data is not None
            check_workers_allowed()
            _share(self._data)
            try:
                self._start_workers(self._task, self._data)
            except (OSError, RuntimeError) as error:
                self._end_workers()
                raise WorkerStartError(
                    f"worker processes cannot be started ({error.__cause__ or error}). Choose fewer workers, make room "
                    "for them (processes, open files, memory, /dev/shm), or set workers=0 to train children in the "
                    "program's own process"
                ) from error
        assert self._pool is not None
        return self._pool

    def _start_workers(self, task: Task, data: Data) -> None:
        self._start = WorkerStart(task.limits.start_seconds)
        self._pool = ProcessPool(
            self.workers,
            initializer=_start_worker,
            initargs=(task, data, self._start.report),  # tensors travel as handles: all workers map one copy
            context=self._start,
        )
        _ = self._pool.active  # starts the processes


def _share(data: Data) -> None:
    """Move the data to memory that workers can map."""
    try:
        data.share()
    except (OSError, RuntimeError) as error:
        raise WorkerStartError(
            f"the images, {data.nbytes / 1e6:.1f} MB, cannot be moved to memory that workers share ({error}). Set "
            "workers=0 to train children in the program's own process, choose a smaller image_size or fewer "
            "train_images in the protocol, or enlarge /dev/shm (in a container: docker run --shm-size)"
        ) from error


def _start_worker(task: Task, data: Data, report: StartReport) -> None:
    """Get this worker ready."""
    global _worker
    end_with_parent()
    with report.telling():
        _worker = task, task.open(data)


def _do(architecture: Architecture, seed: int) -> Evaluation:
    """Do a job in this worker."""
    assert _worker is not None, "this is no worker process"
    return do(*_worker, (architecture, seed))
