"""Evaluates architectures by training their children, wherever an executor does that."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property

from nases_env.children import datasets
from nases_env.children.datasets import DataSource
from nases_env.children.memory import free_memory
from nases_env.children.protocol import Protocol
from nases_env.children.stopping import Stopping, never
from nases_env.children.tensors import ChildData
from nases_env.children.training import check_cutout, resolve_device
from nases_env.evaluation import Evaluation
from nases_env.evaluators.child_training import ChildTraining, TrainingTask
from nases_env.executors import INLINE, Executor, Job, make
from nases_env.search_spaces import Architecture


class TrainingEvaluator:
    """Trains each child by a protocol. What is found does not depend on the executor. Data are read when needed.

    Args:
        dataset: `cifar10`, `digits` or `imagefolder:PATH`.
        data_dir: Folder of CIFAR-10.
        protocol: How children are trained, and when to give up.
        device: A torch device, or `auto` for CUDA if there is one, or for the executor's where that has one.
        executor: Where children are trained; None: in this process.
        stopping: Whether a child's training ends before its last epoch.

    Raises:
        ValueError: If the protocol holds out no validation images, there is no such device, it is not the executor's,
            or several workers would each use all cores.
    """

    def __init__(
        self,
        dataset: str,
        data_dir: str,
        protocol: Protocol,
        device: str = "auto",
        executor: Executor | None = None,
        stopping: Stopping = never,
    ):
        if not protocol.validation_images:
            raise ValueError(
                f"protocol {protocol.name!r} holds out no validation images, so it can measure no reward; "
                "final protocols are for nases train-final"
            )
        self.protocol = protocol
        self.executor = make(INLINE) if executor is None else executor
        self.device = _device(device, self.executor)
        self._dataset, self._data_dir, self._stopping = dataset, data_dir, stopping
        if self.executor.workers > 1 and self.device == "cpu" and protocol.threads is None:
            raise ValueError(
                f"protocol {protocol.name!r} gives every child all cores; for {self.executor.workers} workers set its "
                "threads, for example to 1"
            )

    @cached_property
    def data(self) -> ChildData:
        """The data: on the device where children are trained in this process, else on the CPU."""
        device = self.device if self.executor.here else "cpu"
        return datasets.load(self._dataset, self._data_dir, self.protocol, device, self.device)

    @cached_property
    def task(self) -> TrainingTask:
        """What the executor is given; reads the data."""
        source = DataSource(self._dataset, self._data_dir, self.protocol.split(), self.data.digest)
        return TrainingTask(source, self.protocol, self.device, self._stopping)

    @cached_property
    def fingerprint(self) -> str:
        """Names the data, the protocol and the stopping rule: 16 hexadecimal digits."""
        names = [json.dumps(self.protocol.result_fields(), sort_keys=True), self.data.digest]
        if self._stopping.fingerprint:
            names.append(self._stopping.fingerprint)
        return hashlib.sha256(" ".join(names).encode()).hexdigest()[:16]

    def prepare(self) -> None:
        """Read the data; starts no worker. See `Evaluator.prepare`.

        Raises:
            FileNotFoundError: If the data are missing: what, where, how to get them.
            ValueError: If the data are not what the protocol asks for.
        """
        check_cutout(self.protocol, self.data.train)

    def evaluate(self, architectures: Sequence[Architecture], seeds: Sequence[int]) -> Iterator[tuple[int, Evaluation]]:
        """Train the architectures; yields in order of completion.

        Raises:
            WorkerStartError: If no worker gets ready, or no process can be started: why, and what to do.
        """
        jobs = [Job(*each) for each in zip(architectures, seeds, strict=True)]
        order = self._order(jobs)
        for place, found in self.evaluate_stream([jobs[index] for index in order]):
            yield order[place], found

    def evaluate_stream(self, jobs: Iterable[Job | None]) -> Iterator[tuple[int, Evaluation]]:
        """Train children that may come while others are trained; see `StreamEvaluator`.

        Raises:
            WorkerStartError: As `evaluate`.
        """
        begun: list[Job] = []
        self.executor.start(self.task, self.data)
        for index, found in self.executor.run(_noted(jobs, begun)):
            if isinstance(found, str):
                found = dataclasses.replace(self.measure(begun[index].architecture), failure=found)
            yield index, found

    def measure(self, architecture: Architecture) -> Evaluation:
        """Parameters and FLOPs of a child, and the limit it is over, if any; nothing is trained."""
        return self._here.measure(architecture)

    def _order(self, jobs: Sequence[Job]) -> Sequence[int]:
        """Indices of the jobs in the order in which they begin.

        Where some have to wait for others, the longest come first: one that began last would be waited for alone.
        """
        if not len(jobs) > self.executor.workers > 1:
            return range(len(jobs))
        return sorted(range(len(jobs)), key=lambda index: -self.measure(jobs[index].architecture).flops)

    def close(self) -> None:
        """End the workers, free the data and cached memory; may be called twice."""
        self.executor.close()
        for name in ("data", "task", "_here"):
            vars(self).pop(name, None)
        free_memory(self.device if self.executor.here else "cpu")

    @cached_property
    def _here(self) -> ChildTraining:
        """What measures children in this process, and trains none."""
        return ChildTraining(self.protocol, self.data, "cpu", self._stopping)


def _device(device: str, executor: Executor) -> str:
    """The device that children are trained on, of the executor's hosts or of this one.

    Raises:
        ValueError: If there is no such device, or it is not the executor's.
    """
    there = getattr(executor, "device", None)
    if there is None:
        return resolve_device(device)
    if device not in ("auto", there):
        raise ValueError(
            f"device is {device!r}, but the executor trains children on {there!r}; leave device out, or name the "
            "device in the executor"
        )
    return there


def _noted(jobs: Iterable[Job | None], begun: list[Job]) -> Iterator[Job | None]:
    """The jobs, each of which is noted down when it is begun."""
    for job in jobs:
        if job is not None:
            begun.append(job)
        yield job
