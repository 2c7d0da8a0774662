"""What children are trained and measured on: images and labels on a device."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import numpy as np
import torch

from nases_env.children.protocol import Recipe


@dataclass(frozen=True)
class Tensors:
    """Standardised images (N, channels, size, size), NHWC in memory, and labels, int64 (N,), on a device.

    Images are float32, or what `image_type` says.
    """

    images: torch.Tensor
    labels: torch.Tensor

    def __len__(self) -> int:
        return len(self.labels)

    def to(self, device: str) -> Tensors:
        """The same images and labels on another device; on this one, these."""
        return Tensors(self.images.to(device), self.labels.to(device))

    @property
    def nbytes(self) -> int:
        """Their size in bytes."""
        return self.images.nbytes + self.labels.nbytes

    def share(self) -> None:
        """Move to memory that other processes can map."""
        self.images.share_memory_()
        self.labels.share_memory_()


@dataclass(frozen=True)
class ChildData:
    """What a child is trained and measured on."""

    train: Tensors
    validation: Tensors | None
    """None for a final protocol, which trains on everything."""
    mean: np.ndarray
    """Of the training images' channels, in [0, 1], float32."""
    deviation: np.ndarray
    class_names: tuple[str, ...]
    """Names of the classes in the order of the labels: folders' names, CIFAR-10's words, or the digits `0` to `9`."""
    digest: str
    """Names the pixels, the labels and the split."""

    @property
    def classes(self) -> int:
        """How many classes there are; labels are below it."""
        return len(self.class_names)

    @property
    def nbytes(self) -> int:
        """The size of all images and labels in bytes."""
        return self.train.nbytes + (self.validation.nbytes if self.validation else 0)

    def share(self) -> None:
        """Move all images and labels to memory that other processes can map."""
        self.train.share()
        if self.validation:
            self.validation.share()

    def to(self, device: str) -> ChildData:
        """The same data on another device; on this one, these."""
        return dataclasses.replace(
            self, train=self.train.to(device), validation=self.validation and self.validation.to(device)
        )


def image_type(recipe: Recipe, device: str) -> torch.dtype:
    """In what the images of children on this device are held.

    It is bfloat16 where the first thing that a child does is to round them to it, as autocast does on CUDA.
    """
    return torch.bfloat16 if recipe.precision == "bfloat16" and device.startswith("cuda") else torch.float32
