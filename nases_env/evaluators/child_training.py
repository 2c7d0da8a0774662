"""One child after the other by one protocol: whatever happens to it, there is an evaluation of it."""

from __future__ import annotations

import dataclasses
import math
import platform
import time
import warnings
from dataclasses import dataclass

import torch
import torchvision

from nases_env.children import build
from nases_env.children.cpu import cpu_threads, physical_memory
from nases_env.children.datasets import DataSource
from nases_env.children.memory import free_memory, free_scarce_memory
from nases_env.children.padding import count_parameters
from nases_env.children.protocol import Protocol
from nases_env.children.stopping import Stopping
from nases_env.children.tensors import ChildData, image_type
from nases_env.children.torch_state import own_torch_state
from nases_env.children.training import Trainer, failure_of
from nases_env.evaluation import Evaluation
from nases_env.search_spaces import Architecture

CPU_FLOPS_PER_SECOND = 5e10
"""Rough speed of one core on small convolutions, for the warning below only."""
HOURS_TO_WARN = 0.5
BYTES_PER_PARAMETER = 12
"""A weight, its gradient and its momentum, in float32."""


@dataclass(frozen=True)
class TrainingTask:
    """What children are trained on and how: an executor's task, without the data."""

    data: DataSource
    protocol: Protocol
    device: str
    """A torch device."""
    stopping: Stopping
    """Whether a child's training ends before its last epoch."""

    @property
    def digest(self) -> str:
        """The digest of the data that this task is for."""
        return self.data.digest

    @property
    def limits(self) -> Protocol:
        """How long to wait and how often to try."""
        return self.protocol

    def check(self, data: ChildData) -> None:
        """Check that data are those that this task is for.

        Raises:
            ValueError: If they have another digest.
        """
        self.data.check(data)

    def read(self) -> ChildData:
        """Read the data on a host that they were not sent to; see `DataSource.read`."""
        return self.data.read(self.device, image_type(self.protocol, self.device))

    def open(self, data: ChildData) -> ChildTraining:
        """Get ready to train children in this process.

        Raises:
            ValueError: If the data have another digest.
        """
        self.check(data)
        with own_torch_state():
            return ChildTraining(self.protocol, data.to(self.device), self.device, self.stopping)


class ChildTraining:
    """Builds, trains and measures single children.

    Args:
        protocol: How children are trained.
        data: What they are trained on, on the device.
        device: A torch device.
        stopping: Whether a child's training ends before its last epoch.
    """

    def __init__(self, protocol: Protocol, data: ChildData, device: str, stopping: Stopping):
        self.protocol, self.data, self.device = protocol, data, device
        self._stopping = stopping
        self._warned = False

    def __call__(self, architecture: Architecture, seed: int) -> Evaluation:
        """Train the child of an architecture; it is drawn and trained from the seed."""
        start = time.perf_counter()
        with cpu_threads(self.protocol.threads), own_torch_state():
            evaluation = self._evaluate(architecture, seed)
        free_scarce_memory(self.device)
        return dataclasses.replace(
            evaluation,
            seconds=time.perf_counter() - start,
            device=torch.cuda.get_device_name(self.device) if "cuda" in self.device else self.device,
            versions={
                "python": platform.python_version(),
                "torch": torch.__version__,
                "torchvision": torchvision.__version__,
            },
        )

    def measure(self, architecture: Architecture) -> Evaluation:
        """Parameters and FLOPs of a child, and the limit it is over, if any; nothing is trained."""
        _, channels, _, side = self.data.train.images.shape
        skeleton = build.skeleton(architecture, self.protocol, channels, self.data.classes, device="meta")
        flops = skeleton.flops(side)
        measured = Evaluation(parameters=count_parameters(skeleton), flops=flops)
        return dataclasses.replace(measured, failure=self._over_limit(measured))

    def _evaluate(self, architecture: Architecture, seed: int) -> Evaluation:
        measured = self.measure(architecture)
        if measured.failure:
            return measured
        if self.device == "cpu" and measured.parameters * BYTES_PER_PARAMETER > (physical_memory() or math.inf):
            return dataclasses.replace(measured, failure="out_of_memory")  # Linux grants it, and kills whoever uses it
        self._warn_if_slow(measured.flops)
        evaluation = self._attempt(architecture, seed, measured, checkpointing=False)
        if evaluation.failure == "out_of_memory" and self.protocol.checkpoint_retry:
            evaluation = self._attempt(architecture, seed, measured, checkpointing=True)
        return evaluation

    def _attempt(self, architecture: Architecture, seed: int, measured: Evaluation, checkpointing: bool) -> Evaluation:
        try:
            return self._train(architecture, seed, measured, checkpointing)
        except Exception as error:
            if not (failure := failure_of(error)):
                raise
        if failure == "out_of_memory":  # outside the handler, whose traceback would keep the child's tensors alive
            free_memory(self.device)
        return dataclasses.replace(measured, failure=failure)

    def _train(self, architecture: Architecture, seed: int, measured: Evaluation, checkpointing: bool) -> Evaluation:
        model = build.drawn(architecture, self.protocol, self.data, seed, self.device, checkpointing)
        validation = self.data.validation
        assert validation is not None
        trainer = Trainer(model, self.data.train, self.protocol, seed)
        epochs: list[dict[str, float]] = []
        for _ in range(self.protocol.epochs):
            loss, running = trainer.train_epoch()
            accuracy = trainer.accuracy(validation)
            epochs.append({"loss": loss, "running_train_accuracy": running, "validation_accuracy": accuracy})
            if (verdict := self._stopping(epochs)) is not None:
                break
        clean = self.protocol.train_accuracy == "clean"
        measured = dataclasses.replace(
            measured,
            train_accuracy=trainer.clean_train_accuracy(len(validation)) if clean else running,
            validation_accuracy=accuracy,
            epochs=epochs,
        )
        return dataclasses.replace(measured, **(verdict or {}))

    def _over_limit(self, measured: Evaluation) -> str:
        limits = {"parameters": self.protocol.max_parameters, "flops": self.protocol.max_flops}
        for name, limit in limits.items():
            if limit is not None and getattr(measured, name) > limit:
                return f"too_many_{name}"
        return ""

    def _warn_if_slow(self, flops: int) -> None:
        if self.device != "cpu" or self._warned:
            return
        training = 3 * flops * len(self.data.train) * self.protocol.epochs
        hours = training / CPU_FLOPS_PER_SECOND / torch.get_num_threads() / 3600
        if hours > HOURS_TO_WARN:
            self._warned = True
            warnings.warn(
                f"this child will take about {hours:.1f} hours on the CPU under protocol {self.protocol.name!r}; "
                "protocols for CPUs are 'digits' and 'cifar10-mini', or use a CUDA device",
                stacklevel=2,
            )
