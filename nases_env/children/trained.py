"""A trained child with what it needs to look at images: its classes and how images are standardised."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn

from nases_env.children.torch_state import own_torch_state
from nases_env.children.training import EVALUATION_BATCH


@dataclass(frozen=True)
class ImageFormat:
    """What a trained child looks at and what it answers."""

    channels: int
    """Channels of an image."""
    image_size: int | None
    """Pixels a side; None where it was not recorded: any square size is taken."""
    mean: np.ndarray | None
    """Means of the training images' channels, in [0, 1], float64 (channels,); None where they were not recorded."""
    deviation: np.ndarray | None
    """Their standard deviations; None where they were not recorded."""
    class_names: tuple[str, ...]
    """Names of the classes in the order of the logits."""


class TrainedNetwork(nn.Module):
    """Standardised images in, logits out, like the child inside; `predict` and `probabilities` take images as they are.

    Args:
        network: The trained child.
        format: What it looks at and what it answers.
    """

    mean: torch.Tensor | None
    """Means of the training images' channels, in [0, 1], float32 (channels,); None where they were not recorded."""
    deviation: torch.Tensor | None
    """Their standard deviations; None where they were not recorded."""

    def __init__(self, network: nn.Module, format: ImageFormat):
        super().__init__()
        self.network = network
        self.class_names = format.class_names
        self.channels = format.channels
        self.image_size = format.image_size
        for name, values in (("mean", format.mean), ("deviation", format.deviation)):
            tensor = None if values is None else torch.tensor(values, dtype=torch.float32)
            self.register_buffer(name, tensor, persistent=False)  # network.json has it

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Logits (N, classes) of standardised images (N, channels, H, W)."""
        return self.network(images)

    def predict(self, images: Any) -> list[str]:
        """The most likely class of each image, by name.

        Args:
            images: See `probabilities`.

        Raises:
            ValueError: If they are no images of the network's size and channels.
        """
        return [self.class_names[label] for label in self._logits(images).argmax(dim=1).tolist()]

    def probabilities(self, images: Any) -> torch.Tensor:
        """How likely each class is, float (N, classes), on the network's device; a row sums to 1.

        Args:
            images: An array or a tensor (N, height, width, channels), or one image (height, width, channels): uint8,
                or floats from 0 to 1, not standardised.

        Raises:
            ValueError: If they are no images of the network's size and channels.
        """
        return self._logits(images).softmax(dim=1)

    def _logits(self, images: Any) -> torch.Tensor:
        if self.mean is None or self.deviation is None:
            raise ValueError(
                "network.json was written by an earlier version and does not tell how images are standardised; give "
                "standardised images to the network itself, or train it again with nases train-final"
            )
        with own_torch_state(), torch.no_grad(), _evaluating(self):
            batches = self._checked(images).split(EVALUATION_BATCH)
            return torch.cat([self(self._standardised(batch)) for batch in batches])

    def _standardised(self, images: torch.Tensor) -> torch.Tensor:
        assert self.mean is not None and self.deviation is not None
        scaled = images.to(self.mean.device, self.mean.dtype)
        if images.dtype == torch.uint8:
            scaled = scaled / 255
        return ((scaled - self.mean) / self.deviation).permute(0, 3, 1, 2)

    def _checked(self, images: Any) -> torch.Tensor:
        """The images, (N, height, width, channels)."""
        tensor = _as_tensor(images)
        batch = tensor[None] if tensor.dim() == 3 else tensor
        size = "square, of any size" if self.image_size is None else f"{self.image_size} × {self.image_size} pixels"
        fits = batch.dim() == 4 and batch.shape[1] == batch.shape[2] > 0 and batch.shape[3] == self.channels
        if not fits or self.image_size not in (None, batch.shape[1]):
            raise ValueError(
                f"the images have shape {tuple(tensor.shape)}; expected (N, height, width, channels), or one image "
                f"(height, width, channels), {size}, with channels={self.channels}"
            )
        if batch.dtype != torch.uint8 and not batch.is_floating_point():
            raise ValueError(f"the images hold {batch.dtype}; expected uint8, or floats from 0 to 1")
        if batch.is_floating_point() and len(batch) and not (batch.min() >= 0 and batch.max() <= 1):
            raise ValueError(
                f"the images hold floats from {batch.min():g} to {batch.max():g}; expected floats from 0 to 1 that are "
                "not standardised, or uint8 from 0 to 255"
            )
        return batch


def _as_tensor(images: Any) -> torch.Tensor:
    if isinstance(images, torch.Tensor):
        return images
    try:
        return torch.tensor(np.ascontiguousarray(images))
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"the images are a {type(images).__name__} that is no array of numbers ({error}); expected an array or a "
            "tensor (N, height, width, channels)"
        ) from error


@contextmanager
def _evaluating(model: nn.Module) -> Iterator[None]:
    """Batch normalisation uses what it learned; afterwards the model goes on training if it did."""
    training = model.training
    model.eval()
    try:
        yield
    finally:
        model.train(training)
