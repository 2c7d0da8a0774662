"""Pools that keep the images' size, done along the columns and then along the rows, on NHWC memory.

A window of k×k pixels so costs 2k steps or fewer, not k².
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import torch
from torch.autograd.function import once_differentiable
from torch.nn import functional as F


def largest(images: torch.Tensor, size: int) -> torch.Tensor:
    """The largest of the size × size pixels around every pixel of images (N, channels, H, W); it has no gradient."""
    for dimension, frame in ((3, (size // 2, size // 2)), (2, (0, 0, size // 2, size // 2))):
        images = F.pad(images, frame, value=-torch.inf)
        window = 1
        while window < size:  # windows of twice the length are the larger of two
            step = min(window, size - window)
            pixels = images.shape[dimension] - step
            images = torch.maximum(images.narrow(dimension, 0, pixels), images.narrow(dimension, step, pixels))
            window += step
    return images


def mean(images: torch.Tensor, size: int) -> torch.Tensor:
    """The mean of the size × size pixels around every pixel of images (N, channels, H, W), those outside left out.

    Sums are matrix products with zeros and ones, which keep the images' precision.
    """
    return _Mean.apply(images, size)


class _Mean(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, images: torch.Tensor, size: int) -> torch.Tensor:  # noqa: D102
        ctx.size = size
        sums = _sums(images, size)
        return sums.mul_(_share(*images.shape[2:], size, images.device))

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradients: torch.Tensor) -> tuple[torch.Tensor, None]:  # noqa: D102
        share = _share(*gradients.shape[2:], ctx.size, gradients.device)
        # Who is near whom is mutual, so that the sums' own gradient is sums.
        return _sums(torch.mul(gradients, share, out=torch.empty_like(gradients)), ctx.size), None


def _sums(images: torch.Tensor, size: int) -> torch.Tensor:
    """The sum of the size × size pixels around every pixel."""
    count, channels, height, width = images.shape
    columns = images.permute(0, 2, 3, 1).reshape(count, height, width * channels)
    near = _near(height, size, images.dtype, images.device).expand(count, height, height)
    rows = torch.bmm(near, columns).view(count * height, width, channels)
    near = _near(width, size, images.dtype, images.device).expand(count * height, width, width)
    sums = torch.empty(images.shape, dtype=images.dtype, device=images.device, memory_format=torch.channels_last)
    torch.bmm(near, rows, out=sums.permute(0, 2, 3, 1).view(rows.shape))
    return sums  # no view of a product, so that a ReLU can change it in place


@lru_cache(maxsize=64)
def _near(pixels: int, size: int, dtype: torch.dtype, device: torch.device) -> torch.Tensor:
    """Which pixels of a line (pixels, pixels) are in the window around which: 1, else 0."""
    with torch.inference_mode(False):  # what was made there could not be trained with later
        position = torch.arange(pixels, device=device)
        return ((position[:, None] - position).abs() <= size // 2).to(dtype)


@lru_cache(maxsize=64)
def _share(height: int, width: int, size: int, device: torch.device) -> torch.Tensor:
    """One over the number of pixels in the window around each pixel, float32 (height, width)."""
    with torch.inference_mode(False):
        down, across = (_near(pixels, size, torch.float32, device).sum(dim=1) for pixels in (height, width))
        return 1 / (down[:, None] * across)
