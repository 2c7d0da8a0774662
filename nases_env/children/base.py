"""The base class of every child network."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

import torch
from torch import nn

from nases_env.children.graph import Number


class Child(nn.Module, ABC):
    """A network that is made from an architecture. Its weights are not drawn yet, see `build.materialise`."""

    training_only: ClassVar[tuple[str, ...]] = ()
    """Names of modules that only the training needs. Their parameters are not counted, nor saved with the network."""
    checkpointing: bool = False
    """Whether its inside is computed again in the backward pass, not kept."""

    @abstractmethod
    def flops(self, image_size: int) -> int:
        """FLOPs of one image of so many pixels a side: 2 × multiply-adds of the convolutions and the linear layer."""

    def loss(
        self, images: torch.Tensor, labels: torch.Tensor, progress: Number, generator: torch.Generator
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Compute what a training step minimises, and the logits (N, classes).

        Args:
            images: (N, channels, H, W).
            labels: int64 (N,).
            progress: Share of the training that is over, in [0, 1); a tensor where the step is recorded.
            generator: Draws whatever is random in the child.
        """
        logits = self(images)
        return nn.functional.cross_entropy(logits, labels), logits
