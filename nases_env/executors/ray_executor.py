"""Does jobs on a Ray cluster: on the nodes, CPUs and GPUs of as many hosts as belong to it."""

from __future__ import annotations

import warnings
from collections.abc import Collection, Iterable, Iterator
from concurrent.futures import Future
from functools import partial
from typing import Any

from nases_env.evaluation import Evaluation
from nases_env.executors import ray_cluster
from nases_env.executors.base import Data, Job, Lost, Task, WorkerStartError, check_start
from nases_env.executors.ray_pool import RayPool, WorkerLost
from nases_env.executors.ray_worker import pack
from nases_env.executors.scheduling import schedule
from nases_env.words import shown


class RayExecutor:
    """Does jobs in processes on the nodes of a Ray cluster; this process needs no GPU and alone writes results.

    A worker that is lost, with its host or without, is replaced and its job tried again, as often as the task says;
    then the child is a `crash`. A worker that does not answer in time is replaced too; its child is a `timeout`. Where
    the cluster has room for some of the workers only, these do all jobs, which is told once.

    Args:
        address: `host:port` of a cluster to which this machine belongs, or `ray://host:port` of any other. None: what
            RAY_ADDRESS says, or the cluster that `ray start` made this machine a part of, or one of its own that is
            ended with the executor.
        workers: How many children are trained at once. A worker has one CPU.
        device: `cuda` gives each worker a GPU; `cpu` none. Children are trained there, whatever this machine has.
        share_gpu: The share of a GPU that a worker takes, in (0, 1]: with 0.25 there are four to a GPU. Nothing keeps
            them from each other's memory.
        start_timeout: Seconds in which the cluster has to answer, and a worker has to get a place on a node.
        read_there: Whether each worker reads the data itself, from the paths that they have here (give absolute ones),
            instead of being sent them through Ray, of which each host holds one copy.

    Raises:
        ValueError: If an argument has a value that it cannot have.
        ImportError: If Ray is not installed.
    """

    here = False

    def __init__(
        self,
        address: str | None = None,
        *,
        workers: int,
        device: str,
        share_gpu: float = 1.0,
        start_timeout: float = 60.0,
        read_there: bool = False,
    ):
        if type(workers) is not int or workers < 1:
            raise ValueError(f"workers is {shown(workers)}; expected at least 1")
        if device not in ("cpu", "cuda"):
            raise ValueError(f"device is {shown(device)}; expected 'cpu' or 'cuda'")
        if not 0 < share_gpu <= 1 or (device == "cpu" and share_gpu != 1):
            raise ValueError(
                f"share_gpu is {shown(share_gpu)}; expected above 0 and at most 1, and 1 where device is 'cpu'"
            )
        if not start_timeout > 0:
            raise ValueError(f"start_timeout is {shown(start_timeout)}; expected seconds, more than 0")
        ray_cluster.check_installed()
        self.address, self.workers, self.device = address, workers, device
        self.share_gpu, self.start_timeout, self.read_there = share_gpu, start_timeout, read_there
        self._task: Task | None = None
        self._data: Data | None = None
        self._pool: RayPool | None = None
        self._to_disconnect = False
        self._kinds: set[str] = set()
        """On what children were trained."""
        self._warned = False

    def start(self, task: Task, data: Data) -> None:
        """See `Executor.start`; the cluster is reached with the first job."""
        check_start(self._task, task, data)
        if self._task is None:
            self._task, self._data = task, data

    def run(self, jobs: Iterable[Job | None]) -> Iterator[tuple[int, Evaluation | Lost]]:
        """See `Executor.run`."""
        assert self._task is not None, "start comes before run"
        retries = self._task.limits.crash_retries
        for index, found in schedule(jobs, self._submit, self._finished, retries, (WorkerLost,)):
            self._notice(found)
            yield index, found

    def close(self) -> None:
        """End the workers, and the cluster if it was started here; see `Executor.close`."""
        self._end_workers()
        self._task = self._data = None
        self._kinds, self._warned = set(), False

    def __reduce__(self) -> tuple:
        arguments = {name: getattr(self, name) for name in ("workers", "device", "share_gpu", "start_timeout")}
        return partial(type(self), self.address, **arguments, read_there=self.read_there), ()  # a copy has its own task

    def _end_workers(self) -> None:
        pool, self._pool = self._pool, None
        if pool is not None:
            pool.close()
        if self._to_disconnect:
            self._to_disconnect = False
            ray_cluster.disconnect()

    def _submit(self, job: Job) -> Future:
        return self._started().submit(job)

    def _finished(self, running: Collection[Future]) -> Collection[Future]:
        if self._pool is None:  # it was ended because no worker got ready, with all that it had taken
            return list(running)
        try:
            return self._pool.finished(running)
        except WorkerStartError:
            self._end_workers()
            raise

    def _started(self) -> RayPool:
        if self._pool is None:
            assert self._task is not None
            self._to_disconnect = ray_cluster.connect(self.address, self.workers, self.start_timeout)
            try:
                self._pool = RayPool(self.workers, self._task, self._sent(), self._gpus, self.start_timeout)
            except BaseException:
                self._end_workers()
                raise
        return self._pool

    @property
    def _gpus(self) -> float:
        """What a worker takes of a node's GPUs."""
        return self.share_gpu if self.device == "cuda" else 0.0

    def _sent(self) -> Any:
        """Ray's reference to the data, of which it keeps a copy on each host; None where they are read there."""
        if self.read_there:
            return None
        import ray

        try:
            return ray.put(pack(self._data))
        except ray.exceptions.RayError as error:
            raise WorkerStartError(
                f"the data cannot be sent to the Ray cluster ({error}). Give its object store more memory (ray start "
                "--object-store-memory), or let each node read them: RayExecutor(read_there=True, …)"
            ) from error

    def _notice(self, found: Evaluation | Lost) -> None:
        """Warn once where children were trained on several kinds of devices, or by several versions of torch."""
        if isinstance(found, Evaluation) and found.device:
            self._kinds.add(f"{found.device} with torch {found.versions.get('torch')}")
        if len(self._kinds) > 1 and not self._warned:
            self._warned = True
            warnings.warn(
                f"the workers on the Ray cluster differ: {'; '.join(sorted(self._kinds))}. They round differently, so "
                "that what a child finds depends on where it is trained",
                stacklevel=2,
            )
