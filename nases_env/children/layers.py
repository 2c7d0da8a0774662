"""Torch's modules, made quicker at the sizes that children have.

They compute the same functions up to rounding, on NHWC memory.
"""

from __future__ import annotations

import itertools
from functools import lru_cache

import torch
from torch import nn
from torch.nn import functional as F

from nases_env.children import pools
from nases_env.children.cuda import operations
from nases_env.children.cuda.fastest import Fastest


class Conv2d(nn.Conv2d):
    """A convolution whose weights are not drawn yet: `build.materialise` does that.

    A batch normalisation follows it, or follows the 1×1 convolution behind it, and subtracts its bias if it has one:
    the bias has no gradient. In training on CUDA it is left out, see `biases.fold_biases`.
    """

    fastest: Fastest | None = None
    """See `take_fastest`."""

    def reset_parameters(self) -> None:
        """Leave the weights as they are."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:  # noqa: D102
        if self.fastest is not None and self.training and self._has_ways:
            return self.fastest(operations.CONVOLUTION, self.kernel_size[0], self.out_channels, images, self.weight)
        return self._conv_forward(images, self.weight, self._added(images))

    @property
    def _has_ways(self) -> bool:
        """Whether this is a convolution of which `operations` knows several ways."""
        return self.groups == 1 and self.stride == (1, 1) and self.padding == (self.kernel_size[0] // 2,) * 2

    def _added(self, images: torch.Tensor) -> torch.Tensor | None:
        """The bias where it makes a difference; on a CPU always."""
        return self.bias if images.device.type == "cpu" or not self.training else None


class Linear(nn.Linear):
    """A linear layer whose weights are not drawn yet: `build.materialise` does that.

    It computes in its weights' precision under autocast too: rounded to bfloat16, two classes of an image tie now and
    then.
    """

    def reset_parameters(self) -> None:
        """Leave the weights as they are."""

    def forward(self, features: torch.Tensor) -> torch.Tensor:  # noqa: D102
        device = features.device.type
        if not torch.amp.is_autocast_available(device) or not torch.is_autocast_enabled(device):
            return super().forward(features)
        with torch.autocast(device, enabled=False):
            return super().forward(features.to(self.weight.dtype))


def mean_of_pixels(images: torch.Tensor) -> torch.Tensor:
    """Means (N, channels) over the pixels of images (N, channels, H, W), in float32 or better."""
    return images.mean(dim=(2, 3), dtype=torch.promote_types(images.dtype, torch.float32))


class BatchNorm2d(nn.BatchNorm2d):
    """A batch normalisation that does not count its batches, which takes an operation of its own for each of them.

    Torch's counter is in the files of trained networks, and `count_batches` keeps it right.
    """

    fastest: Fastest | None = None
    """See `take_fastest`; where it is given, the ReLU behind this is done here."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:  # noqa: D102
        assert self.momentum is not None  # then nothing reads the counter
        statistics = (self.running_mean, self.running_var, self.weight, self.bias)
        if self.fastest is None:
            return F.batch_norm(images, *statistics, self.training, self.momentum, self.eps)
        arguments = (images, *statistics, self.training, self.momentum, self.eps)
        return self.fastest(operations.NORM_RELU, 0, self.num_features, *arguments)


def count_batches(model: nn.Module, batches: int) -> None:
    """Note in all of a model's batch normalisations that they saw so many more batches."""
    for module in model.modules():
        if isinstance(module, BatchNorm2d):
            module.num_batches_tracked.add_(batches)  # type: ignore[union-attr]


class PointwiseConv2d(Conv2d):
    """A 1×1 convolution, on every stride-th pixel of every stride-th row.

    On a CPU these pixels are taken out first: there the backward pass of a convolution with a stride takes time in
    proportion to the stride. On small images a matrix product then saves what a convolution costs to set up.
    """

    def __init__(self, inputs: int, outputs: int, bias: bool, device: str = "cpu", stride: int = 1):
        super().__init__(inputs, outputs, 1, stride, bias=bias, device=device)

    def forward(self, images: torch.Tensor) -> torch.Tensor:  # noqa: D102
        bias = self._added(images)
        if self.fastest is not None and self.stride == (1, 1):
            return self.fastest(operations.POINTWISE, 0, self.out_channels, images, self.weight, bias)
        if images.device.type != "cpu":
            return F.conv2d(images, self.weight, bias, self.stride)
        if self.stride != (1, 1):
            images = images[:, :, :: self.stride[0], :: self.stride[1]]
        if images.shape[-1] > 8:
            return F.conv2d(images, self.weight, bias)
        return operations.product(images, self.weight, bias)


class MaxPool2d(nn.MaxPool2d):
    """A max pool that keeps the size.

    On a CPU a large window is pooled along its rows and then along its columns, and any one so where no gradient is
    wanted. Where several pixels are equally large, that picks the same one of them as torch does.
    """

    fastest: Fastest | None = None
    """See `take_fastest`."""

    def __init__(self, size: int):
        super().__init__(size, 1, size // 2)
        self.size = size

    def forward(self, images: torch.Tensor) -> torch.Tensor:  # noqa: D102
        if self.fastest is not None:
            return self.fastest(operations.MAX_POOL, self.size, images.shape[1], images, self.size)
        if images.device.type != "cpu" or images.shape[-1] < 8:
            return super().forward(images)
        if not torch.is_grad_enabled():
            return pools.largest(images, self.size)
        if self.size < 7:
            return super().forward(images)
        return operations.rows_then_columns(images, self.size)


class AveragePool2d(nn.AvgPool2d):
    """An average pool that keeps the size and leaves its padding out.

    On a CPU a large window is averaged by two matrix products, one along the columns and one along the rows; on CUDA
    any one is, by sums, which bfloat16 does not round.
    """

    fastest: Fastest | None = None
    """See `take_fastest`."""

    def __init__(self, size: int):
        super().__init__(size, 1, size // 2, count_include_pad=False)
        self.size = size

    def forward(self, images: torch.Tensor) -> torch.Tensor:  # noqa: D102
        count, channels, height, width = images.shape
        if self.fastest is not None:
            return self.fastest(operations.AVERAGE_POOL, self.size, channels, images, self.size)
        if images.device.type != "cpu":
            return pools.mean(images, self.size)
        if self.size < 5 or height < 8:
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


def take_fastest(model: nn.Module, fastest: Fastest) -> None:
    """Let a model's layers compute in the quickest ways; a batch normalisation takes over the ReLU that follows it."""
    for module in list(model.modules()):
        if isinstance(module, Conv2d | MaxPool2d | AveragePool2d):
            module.fastest = fastest
        elif isinstance(module, nn.Sequential):
            for place, (norm, relu) in enumerate(itertools.pairwise(list(module)), start=1):
                if isinstance(norm, BatchNorm2d) and isinstance(relu, nn.ReLU):
                    norm.fastest = fastest
                    module[place] = nn.Identity()  # which keeps the others' names
