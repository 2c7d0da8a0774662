"""One step of the optimiser on one batch: SGD with Nesterov momentum (section 4.2)."""

from __future__ import annotations

import typing
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext

import torch

from nases_env.children.base import Child
from nases_env.children.biases import fold_biases
from nases_env.children.cuda.fastest import Fastest, on_cuda, recorded_on_cuda
from nases_env.children.cuda.half_weights import HalfWeights
from nases_env.children.graph import Number
from nases_env.children.layers import take_fastest
from nases_env.children.protocol import Protocol


class Step(typing.Protocol):
    """Trains a child on one batch after the other."""

    def __call__(
        self,
        images: torch.Tensor,
        labels: torch.Tensor,
        learning_rate: Number,
        progress: Number,
        generator: torch.Generator,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Change the child's weights.

        Args:
            images: (N, channels, H, W).
            labels: int64 (N,).
            learning_rate: The learning rate of this step. Where the step is recorded it is a tensor, which has another
                value in each repeat.
            progress: Share of the training that is over, in [0, 1); it is a tensor likewise.
            generator: Draws whatever is random in the child.

        Returns:
            The loss before the step and the logits (N, classes), both without gradients and valid until the next step.
        """

    def state(self) -> dict[str, torch.Tensor]:
        """What the next step depends on besides the child's weights."""

    def load_state(self, state: Mapping[str, torch.Tensor]) -> None:
        """Continue from what `state` returned; other names in it are left alone."""


class EagerStep:
    """A step whose operations are run one by one.

    Args:
        model: The child, on its device.
        protocol: How it is trained.
    """

    def __init__(self, model: Child, protocol: Protocol):
        self.model, self.protocol = model, protocol
        self.optimiser = torch.optim.SGD(
            model.parameters(),
            lr=protocol.learning_rate,
            momentum=protocol.momentum,
            weight_decay=protocol.weight_decay,
            nesterov=protocol.momentum > 0,
            fused=True,
        )
        device = next(model.parameters()).device
        self._leaves_biases_out = device.type == "cuda"
        if self._leaves_biases_out:
            fold_biases(model)
        self._half_weights = HalfWeights(model).in_place if halves(protocol.precision, device) else nullcontext
        self._full_step: Callable[[], AbstractContextManager] = nullcontext
        if protocol.kernels == "fastest" and device.type == "cuda":
            self._take_fastest(Fastest(recorded_on_cuda if protocol.cuda_graph else on_cuda))

    def __call__(  # noqa: D102
        self,
        images: torch.Tensor,
        labels: torch.Tensor,
        learning_rate: Number,
        progress: Number,
        generator: torch.Generator,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        self.optimiser.param_groups[0]["lr"] = learning_rate
        self.optimiser.zero_grad()
        full = len(images) == self.protocol.batch_size
        with self._full_step() if full else nullcontext(), self._half_weights():
            with autocast(self.protocol.precision, images.device):
                loss, logits = self.model.loss(images, labels, progress, generator)
            loss.backward()
        self.optimiser.step()
        return loss.detach(), logits.detach()

    def _take_fastest(self, fastest: Fastest) -> None:
        take_fastest(self.model, fastest)
        self._full_step = fastest.full_step

    def state(self) -> dict[str, torch.Tensor]:  # noqa: D102
        momenta = (self.optimiser.state[parameter].get("momentum_buffer") for parameter in self.model.parameters())
        return {f"momentum.{i}": momentum for i, momentum in enumerate(momenta) if momentum is not None}

    def load_state(self, state: Mapping[str, torch.Tensor]) -> None:  # noqa: D102
        if self._leaves_biases_out:
            fold_biases(self.model)  # they were loaded with the weights
        for i, parameter in enumerate(self.model.parameters()):
            if (momentum := state.get(f"momentum.{i}")) is not None:
                own = self.optimiser.state[parameter].setdefault("momentum_buffer", torch.empty_like(parameter))
                own.copy_(momentum)  # a recorded step reads it where it is


def halves(precision: str, device: torch.device) -> bool:
    """Whether a protocol's precision makes a device compute in bfloat16; a CPU always computes in float32."""
    return precision == "bfloat16" and device.type == "cuda"


@contextmanager
def autocast(precision: str, device: torch.device) -> Iterator[None]:
    """Compute in the protocol's precision."""
    if not halves(precision, device):
        yield
        return
    with torch.autocast(device.type, torch.bfloat16):
        yield
    torch.clear_autocast_cache()  # inside a caller's autocast it would hold the weights of the step before
