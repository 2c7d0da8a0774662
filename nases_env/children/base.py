"""What every child is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

import torch
from torch import nn


class Child(nn.Module, ABC):
    """A network that is made from an architecture. Its weights are not drawn yet, see `build.materialise`."""

    training_only: ClassVar[tuple[str, ...]] = ()
    """Modules that the trained network has no use for: not counted, not saved with it."""

    @abstractmethod
    def flops(self, image_size: int) -> int:
        """2 × multiply-adds of convolutions and the linear layer, one image of so many pixels a side forward."""

    def loss(
        self, images: torch.Tensor, labels: torch.Tensor, progress: float, generator: torch.Generator
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """What a training step minimises, and the logits (N, classes).

        Args:
            images: (N, channels, H, W).
            labels: int64 (N,).
            progress: Share of the training that is over.
            generator: Draws whatever is random in it.
        """
        logits = self(images)
        return nn.functional.cross_entropy(logits, labels), logits
