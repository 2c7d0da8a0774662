"""One step of the optimiser on one batch: SGD with Nesterov momentum (section 4.2)."""

from __future__ import annotations

import typing
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext

import torch

from nases_env.children.base import Child
from nases_env.children.cuda.half_weights import HalfWeights
from nases_env.children.graph import Number
from nases_env.children.protocol import Recipe


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
        recipe: How it is trained.
    """

    def __init__(self, model: Child, recipe: Recipe):
        self.model, self.recipe = model, recipe
        self.optimiser = torch.optim.SGD(
            model.parameters(),
            lr=recipe.learning_rate,
            momentum=recipe.momentum,
            weight_decay=recipe.weight_decay,
            nesterov=recipe.momentum > 0,
            fused=True,
        )
        half = halves(recipe.precision, next(model.parameters()).device)
        self._half_weights = HalfWeights(model).in_place if half else nullcontext

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
        with self._half_weights():
            with autocast(self.recipe.precision, images.device):
                loss, logits = self.model.loss(images, labels, progress, generator)
            loss.backward()
        self.optimiser.step()
        return loss.detach(), logits.detach()

    def state(self) -> dict[str, torch.Tensor]:  # noqa: D102
        momenta = (self.optimiser.state[parameter].get("momentum_buffer") for parameter in self.model.parameters())
        return {f"momentum.{i}": momentum for i, momentum in enumerate(momenta) if momentum is not None}

    def load_state(self, state: Mapping[str, torch.Tensor]) -> None:  # noqa: D102
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
