"""Trains children one after the other in this process."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
import platform
import time
import warnings
from collections.abc import Iterator, Sequence
from functools import cached_property

import torch
import torchvision

from nases_env.children import build, datasets
from nases_env.children.base import Child
from nases_env.children.cpu import cpu_threads, physical_memory, release_memory
from nases_env.children.padding import count_parameters
from nases_env.children.protocol import Protocol
from nases_env.children.stopping import Stopping, never
from nases_env.children.torch_state import own_torch_state
from nases_env.children.training import (
    Diverged,
    TimeLimitExceeded,
    Trainer,
    check_cutout,
    is_out_of_memory,
    resolve_device,
)
from nases_env.evaluation import Evaluation
from nases_env.search_spaces import Architecture

CPU_FLOPS_PER_SECOND = 5e10
"""Rough speed of one core on small convolutions, for the warning below only."""
HOURS_TO_WARN = 0.5
BYTES_PER_PARAMETER = 12
"""A weight, its gradient and its momentum, in float32."""


class InProcessEvaluator:
    """Trains each child by a protocol. Data are read when the first child is.

    Args:
        dataset: `cifar10`, `digits` or `imagefolder:PATH`.
        data_dir: Folder of CIFAR-10.
        protocol: How children are trained.
        device: A torch device, or `auto` for CUDA if there is one.
        stopping: Whether a child's training ends before its last epoch.

    Raises:
        ValueError: If the protocol holds out no validation images.
    """

    def __init__(
        self, dataset: str, data_dir: str, protocol: Protocol, device: str = "auto", stopping: Stopping = never
    ):
        if not protocol.validation_images:
            raise ValueError(
                f"protocol {protocol.name!r} holds out no validation images, so it can measure no reward; "
                "final protocols are for scripts/train_final.py"
            )
        self.protocol = protocol
        self._dataset, self._data_dir = dataset, data_dir
        self.device = resolve_device(device)
        self._stopping = stopping
        self._warned = False

    @cached_property
    def data(self) -> datasets.ChildData:
        """The data on the device."""
        return datasets.load(self._dataset, self._data_dir, self.protocol, self.device)

    @cached_property
    def fingerprint(self) -> str:
        """Names the data, the protocol and the stopping rule: 16 hexadecimal digits."""
        names = [json.dumps(self.protocol.result_fields(), sort_keys=True), self.data.digest]
        if self._stopping.fingerprint:
            names.append(self._stopping.fingerprint)
        return hashlib.sha256(" ".join(names).encode()).hexdigest()[:16]

    def prepare(self) -> None:
        """Read the data; see `Evaluator.prepare`.

        Raises:
            FileNotFoundError: If the data are missing: what, where, how to get them.
            ValueError: If the data are not what the protocol asks for.
        """
        _ = self.fingerprint  # reads the data
        check_cutout(self.protocol, self.data.train)

    def evaluate(self, architectures: Sequence[Architecture], seeds: Sequence[int]) -> Iterator[tuple[int, Evaluation]]:
        """Train the architectures in order."""
        for index, (architecture, seed) in enumerate(zip(architectures, seeds, strict=True)):
            start = time.perf_counter()
            with cpu_threads(self.protocol.threads), own_torch_state():
                evaluation = self._evaluate(architecture, seed)
            if "cuda" in self.device:
                torch.cuda.empty_cache()  # what this child needed may not fit the next, or a neighbour's
            yield (
                index,
                dataclasses.replace(
                    evaluation,
                    seconds=time.perf_counter() - start,
                    device=torch.cuda.get_device_name(self.device) if "cuda" in self.device else self.device,
                    versions={
                        "python": platform.python_version(),
                        "torch": torch.__version__,
                        "torchvision": torchvision.__version__,
                    },
                ),
            )

    def close(self) -> None:
        """Free cached memory."""
        if "cuda" in self.device:
            torch.cuda.empty_cache()
        else:
            release_memory()

    def measure(self, architecture: Architecture) -> Evaluation:
        """Parameters and FLOPs of a child, and the limit it is over, if any; nothing is trained."""
        skeleton = self._skeleton(architecture, device="meta")
        flops = skeleton.flops(self.data.train.images.shape[-1])
        measured = Evaluation(parameters=count_parameters(skeleton), flops=flops)
        return dataclasses.replace(measured, failure=self._over_limit(measured))

    def _skeleton(self, architecture: Architecture, checkpointing: bool = False, device: str = "cpu") -> Child:
        channels = self.data.train.images.shape[1]
        return build.skeleton(architecture, self.protocol, channels, self.data.classes, checkpointing, device)

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
        except Diverged:
            return dataclasses.replace(measured, failure="nan")
        except TimeLimitExceeded:
            return dataclasses.replace(measured, failure="timeout")
        except (MemoryError, RuntimeError) as error:
            if not is_out_of_memory(error):
                raise
        self.close()  # outside the handler, whose traceback would keep the child's tensors alive
        return dataclasses.replace(measured, failure="out_of_memory")

    def _train(self, architecture: Architecture, seed: int, measured: Evaluation, checkpointing: bool) -> Evaluation:
        skeleton = self._skeleton(architecture, checkpointing)
        model = build.materialise(skeleton, torch.Generator().manual_seed(seed), self.device)
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
