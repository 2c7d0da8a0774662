"""Evaluates architectures by a zero-cost proxy of their untrained children, wherever an executor does that."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from functools import cached_property

from nases_env.children.protocol import Protocol
from nases_env.children.stopping import never
from nases_env.children.tensors import ChildData
from nases_env.children.torch_state import own_torch_state
from nases_env.evaluation import Evaluation
from nases_env.evaluators.child_training import ChildTraining, TrainingTask
from nases_env.evaluators.training import TrainingEvaluator
from nases_env.executors import Executor
from nases_env.proxies import proxy
from nases_env.proxies.untrained import batch, untrained
from nases_env.search_spaces import Architecture


@dataclass(frozen=True)
class ProxyTask(TrainingTask):
    """What children are measured on and by which proxy: an executor's task, without the data."""

    proxy: str
    """The name of the proxy."""

    def open(self, data: ChildData) -> ChildProxy:
        """Get ready to measure children in this process.

        Raises:
            ValueError: If the data have another digest.
        """
        self.check(data)
        with own_torch_state():
            return ChildProxy(self.proxy, self.protocol, data.to(self.device), self.device)


class ChildProxy(ChildTraining):
    """Builds single children as a protocol would train them, and measures a proxy of them instead.

    Limits, failures and what is kept of a child are those of its training; a proxy without a value is a failure too,
    `nan` or `inf`.

    Args:
        name: The name of the proxy.
        protocol: How children are built.
        data: What they would be trained on, on the device.
        device: A torch device.
    """

    def __init__(self, name: str, protocol: Protocol, data: ChildData, device: str):
        super().__init__(protocol, data, device, never)
        self._proxy = proxy(name)

    def _train(self, architecture: Architecture, seed: int, measured: Evaluation, checkpointing: bool) -> Evaluation:
        network = untrained(architecture, self.protocol, self.data, seed, self.device)
        value = self._proxy(network, *batch(self.protocol, self.data, seed))
        if not math.isfinite(value):
            return dataclasses.replace(measured, failure=str(abs(value)))
        return dataclasses.replace(measured, proxy=value)

    def _warn_if_slow(self, flops: int) -> None:
        """Nothing is trained, so that nothing takes hours."""


class ProxyEvaluator(TrainingEvaluator):
    """Measures a proxy of each child. What is found does not depend on the executor. Data are read when needed.

    The accuracies of its evaluations are 0, because nothing measures them; `Evaluation.proxy` has the number.

    Args:
        name: The name of the proxy, see `nases_env.proxies.PROXIES`.
        dataset: `cifar10`, `digits` or `imagefolder:PATH`.
        data_dir: Folder of CIFAR-10.
        protocol: How children are built, and how many images the batch has.
        device: A torch device, or `auto` for CUDA if there is one.
        executor: Where children are measured; None: in this process.

    Raises:
        ValueError: If there is no such proxy, or for the reasons of `TrainingEvaluator`.
    """

    def __init__(
        self,
        name: str,
        dataset: str,
        data_dir: str,
        protocol: Protocol,
        device: str = "auto",
        executor: Executor | None = None,
    ):
        proxy(name)
        super().__init__(dataset, data_dir, protocol, device, executor)
        self.name = name

    @cached_property
    def task(self) -> ProxyTask:
        """What the executor is given; reads the data."""
        task = super().task
        return ProxyTask(task.data, task.protocol, task.device, task.stopping, self.name)

    @cached_property
    def fingerprint(self) -> str:
        """Names the proxy, the data and the protocol."""
        return f"proxy:{self.name} {super().fingerprint}"
