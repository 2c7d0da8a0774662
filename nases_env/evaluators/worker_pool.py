"""Trains children in worker processes: several at once, and none of them able to take the search down."""

from __future__ import annotations

import concurrent.futures
import dataclasses
import os
import traceback
from collections.abc import Collection, Iterator, Sequence
from concurrent.futures import Future
from concurrent.futures.process import BrokenProcessPool

import torch.multiprocessing  # noqa: F401  (lets multiprocessing send tensors as handles)
from pebble import ProcessExpired, ProcessPool

from nases_env.children import datasets
from nases_env.children.datasets import ChildData
from nases_env.children.protocol import Protocol
from nases_env.children.stopping import Stopping, never
from nases_env.children.torch_state import own_torch_state
from nases_env.children.training import resolve_device
from nases_env.evaluation import Evaluation
from nases_env.evaluators.base import WorkerStartError
from nases_env.evaluators.in_process import InProcessEvaluator
from nases_env.evaluators.worker_start import StartReport, WorkerStart, check_workers_allowed
from nases_env.processes import end_with_parent
from nases_env.search_spaces import Architecture

POLL_SECONDS = 1.0
"""Between two looks at whether the pool still works."""
DEVICE_LOST = 70
"""Exit status of a worker whose device is in an error state that only a new process leaves."""

_evaluator: InProcessEvaluator | None = None
"""What a worker trains children with; None in other processes."""


class WorkerPoolEvaluator:
    """Trains each child by a protocol in one of several processes, which live as long as the evaluator.

    What is found does not depend on the number of workers. A worker that is killed or whose device is lost is replaced
    and its child tried again, as often as the protocol says; then it is a `crash`. A worker that does not answer in
    time is replaced too; its child is a `timeout`. Where no worker ever gets ready, no child is to blame:
    `evaluate` raises.

    Args:
        dataset: `cifar10`, `digits` or `imagefolder:PATH`.
        data_dir: Folder of CIFAR-10.
        protocol: How children are trained, and when to give up.
        device: A torch device, or `auto` for CUDA if there is one.
        workers: Processes, one child each; they start with the first child.
        stopping: Whether a child's training ends before its last epoch.

    Raises:
        ValueError: If there are no workers, the protocol holds out no validation images, or several workers would each
            use all cores.
    """

    def __init__(
        self,
        dataset: str,
        data_dir: str,
        protocol: Protocol,
        device: str = "auto",
        workers: int = 2,
        stopping: Stopping = never,
    ):
        if workers < 1:
            raise ValueError(f"workers is {workers}; expected at least 1 process")
        device = resolve_device(device)
        if workers > 1 and device == "cpu" and protocol.threads is None:
            raise ValueError(
                f"protocol {protocol.name!r} gives every child all cores; for {workers} workers set its threads, "
                "for example to 1"
            )
        # Reads data and measures children, trains none.
        self._local = InProcessEvaluator(dataset, data_dir, protocol, "cpu", stopping)
        self._source = (dataset, data_dir, protocol, device)
        self._stopping = stopping
        self._workers = workers
        self._pool: ProcessPool | None = None
        self._start: WorkerStart | None = None
        self._worked = False
        """Whether a worker ever got ready."""

    @property
    def fingerprint(self) -> str:
        """Names the data and the protocol; an evaluation in this process has the same."""
        return self._local.fingerprint

    def prepare(self) -> None:
        """Read the data, which workers share later; starts none of them. See `InProcessEvaluator.prepare`."""
        self._local.prepare()

    def evaluate(self, architectures: Sequence[Architecture], seeds: Sequence[int]) -> Iterator[tuple[int, Evaluation]]:
        """Train the architectures, as many at once as there are workers; yields in order of completion.

        Raises:
            WorkerStartError: If no worker gets ready, or no process can be started: why, and what to do.
        """
        jobs = list(zip(architectures, seeds, strict=True))
        attempts = [0] * len(jobs)
        running = {self._schedule(*job): index for index, job in enumerate(jobs)}
        try:
            while running:
                for future in self._finished(running):
                    index = running.pop(future)
                    attempts[index] += 1
                    found = _outcome(future)
                    if found == "crash" and attempts[index] <= self._local.protocol.crash_retries:
                        running[self._schedule(*jobs[index])] = index
                    else:
                        yield index, self._failed(jobs[index][0], found) if isinstance(found, str) else found
        finally:
            for future in running:
                future.cancel()

    def close(self) -> None:
        """End the workers, whatever they do; may be called twice."""
        self._end_workers()
        self._local.close()

    def _end_workers(self) -> None:
        if self._pool is not None:
            self._pool.stop()
            self._pool.join()
            self._pool = None

    def _finished(self, running: Collection[Future]) -> Collection[Future]:
        """Those that have ended; all of them where the pool is broken, which forgets what it had not handed out."""
        done, _ = concurrent.futures.wait(running, POLL_SECONDS, concurrent.futures.FIRST_COMPLETED)
        active = self._pool is not None and self._pool.active
        self._check_start(active)
        return done if done or active else list(running)

    def _check_start(self, active: bool) -> None:
        if self._worked or self._start is None:
            return
        try:
            self._worked = self._start.succeeded(broken=not active)
        except WorkerStartError:
            self._end_workers()
            raise

    def _schedule(self, architecture: Architecture, seed: int) -> Future:
        protocol = self._local.protocol
        limit = None if protocol.max_seconds is None else protocol.max_seconds + protocol.hang_seconds
        return self._started().schedule(_evaluate, (architecture, seed), timeout=limit)

    def _started(self) -> ProcessPool:
        if self._pool is not None and not self._pool.active:  # a worker died while it waited or took a child
            self._check_start(active=False)
            self._end_workers()
        if self._pool is None:
            check_workers_allowed()
            data = self._shared_data()
            try:
                self._start_workers(data)
            except (OSError, RuntimeError) as error:
                self._end_workers()
                raise WorkerStartError(
                    f"worker processes cannot be started ({error.__cause__ or error}). Choose fewer workers, make room "
                    "for them (processes, open files, memory, /dev/shm), or set workers=0 to train children in the "
                    "program's own process"
                ) from error
        assert self._pool is not None
        return self._pool

    def _start_workers(self, data: ChildData) -> None:
        self._start = WorkerStart()
        self._pool = ProcessPool(
            self._workers,
            initializer=_start_worker,
            # Tensors travel as handles: all workers map one copy.
            initargs=(self._source, self._stopping, data, self._start.report),
            context=self._start,
        )
        _ = self._pool.active  # starts the processes

    def _shared_data(self) -> ChildData:
        """The data, in memory that workers can map."""
        data = self._local.data
        parts = [part for part in (data.train, data.validation) if part is not None]
        try:
            for part in parts:
                part.share()
        except (OSError, RuntimeError) as error:
            megabytes = sum(part.images.nbytes + part.labels.nbytes for part in parts) / 1e6
            raise WorkerStartError(
                f"the images, {megabytes:.1f} MB, cannot be moved to memory that workers share ({error}). Set "
                "workers=0 to train children in the program's own process, choose a smaller image_size or fewer "
                "train_images in the protocol, or enlarge /dev/shm (in a container: docker run --shm-size)"
            ) from error
        return data

    def _failed(self, architecture: Architecture, failure: str) -> Evaluation:
        return dataclasses.replace(self._local.measure(architecture), failure=failure)


def _outcome(future: Future) -> Evaluation | str:
    """The evaluation, or the failure that it became outside the worker."""
    if not future.done():
        return "crash"
    try:
        return future.result()
    except TimeoutError:
        return "timeout"
    except (ProcessExpired, BrokenProcessPool):
        return "crash"


def _start_worker(
    source: tuple[str, str, Protocol, str], stopping: Stopping, data: ChildData, report: StartReport
) -> None:
    """Make the worker's evaluator on the parent's data."""
    global _evaluator
    end_with_parent()
    with report.telling(), own_torch_state():
        datasets.adopt(*source, data)
        _evaluator = InProcessEvaluator(*source, stopping)


def _evaluate(architecture: Architecture, seed: int) -> Evaluation:
    assert _evaluator is not None
    try:
        ((_, evaluation),) = _evaluator.evaluate([architecture], [seed])
    except RuntimeError:
        if _evaluator.device == "cpu":
            raise
        traceback.print_exc()  # whatever went wrong on a device may have left it in an error state
        os._exit(DEVICE_LOST)
    return evaluation
