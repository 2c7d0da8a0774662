"""Torch's modules, made quicker on a CPU at the sizes that children have.

They compute the same functions up to rounding, on NHWC memory. On other devices they are torch's own.
"""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import nn
from torch.nn import functional as F


class Conv2d(nn.Conv2d):
    """A convolution whose weights are not drawn yet: `build.materialise` does that."""

    def reset_parameters(self) -> None:
        """Leave the weights as they are."""


class Linear(nn.Linear):
    """A linear layer whose weights are not drawn yet: `build.materialise` does that."""

    def reset_parameters(self) -> None:
        """Leave the weights as they are."""


class PointwiseConv2d(Conv2d):
    """A 1×1 convolution. On small images it is a matrix product, without what a convolution costs to set up."""

    def __init__(self, inputs: int, outputs: int, bias: bool, device: str = "cpu"):
        super().__init__(inputs, outputs, 1, bias=bias, device=device)

    def forward(self, images: torch.Tensor) -> torch.Tensor:  # noqa: D102
        if images.device.type != "cpu" or images.shape[-1] > 8:
            return super().forward(images)
        return F.linear(images.permute(0, 2, 3, 1), self.weight.flatten(1), self.bias).permute(0, 3, 1, 2)


class MaxPool2d(nn.MaxPool2d):
    """A max pool that keeps the size.

    A large window is pooled along its rows and then along its columns. Where several pixels are equally large, that
    picks the same one of them as torch does.
    """

    def __init__(self, size: int):
        super().__init__(size, 1, size // 2)
        self.size = size

    def forward(self, images: torch.Tensor) -> torch.Tensor:  # noqa: D102
        if images.device.type != "cpu" or self.size < 7 or images.shape[-1] < 8:
            return super().forward(images)
        padding = self.size // 2
        rows = F.max_pool2d(images, (1, self.size), 1, (0, padding))
        return F.max_pool2d(rows, (self.size, 1), 1, (padding, 0))


class AveragePool2d(nn.AvgPool2d):
    """An average pool that keeps the size and leaves its padding out.

    A large window is averaged by two matrix products, one along the columns and one along the rows.
    """

    def __init__(self, size: int):
        super().__init__(size, 1, size // 2, count_include_pad=False)
        self.size = size

    def forward(self, images: torch.Tensor) -> torch.Tensor:  # noqa: D102
        count, channels, height, width = images.shape
        if images.device.type != "cpu" or self.size < 5 or height < 8:
            return super().forward(images)
        columns = images.permute(0, 2, 3, 1).reshape(count, height, width * channels)
        over_height, over_width = (_mean_of_window(pixels, self.size, images.dtype) for pixels in (height, width))
        rows = torch.matmul(over_height, columns).view(count * height, width, channels)
        averaged = torch.matmul(over_width, rows)
        return averaged.view(count, height, width, channels).permute(0, 3, 1, 2)


@lru_cache(maxsize=64)
def _mean_of_window(pixels: int, size: int, dtype: torch.dtype) -> torch.Tensor:
    """A matrix (pixels, pixels) that replaces every pixel by the mean of the `size` pixels around it."""
    with torch.inference_mode(False):  # what was made there could not be trained with later
        position = torch.arange(pixels, device="cpu")
        near = ((position[:, None] - position).abs() <= size // 2).to(dtype)
        return near / near.sum(dim=1, keepdim=True)
