"""Operations of a child that can be computed in several ways: the same function, up to rounding.

A way that its device or installation cannot take raises an error.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch.nn import functional as F

from nases_env.children import pools
from nases_env.children.cuda.convolution import convolution

Way = Callable[..., torch.Tensor]


@dataclass(frozen=True)
class Operation:
    """What is computed, and how it can be.

    Args:
        name: What it is called.
        ways: Functions of the same arguments, the first of them images (N, channels, H, W), NHWC in memory.
        default: The way that is taken where nobody measured which is the quickest.
    """

    name: str
    ways: dict[str, Way]
    default: str = "torch"


def there_and_back(way: Way, *arguments: object) -> None:
    """Compute an operation and the gradients of those of its arguments that want one; none of them is changed.

    The gradients of what it puts out are ones.
    """
    images, *others = arguments
    assert isinstance(images, torch.Tensor)
    given = [images.detach(), *(each.detach().clone() if isinstance(each, torch.Tensor) else each for each in others)]
    trained = []
    for copy, argument in zip(given, arguments, strict=True):
        if isinstance(argument, torch.Tensor) and argument.requires_grad:
            trained.append(copy.requires_grad_())  # type: ignore[attr-defined]
    outputs = way(*given)
    if trained:
        torch.autograd.grad(outputs, trained, torch.ones_like(outputs))


def _torchs_max_pool(images: torch.Tensor, size: int) -> torch.Tensor:
    return F.max_pool2d(images, size, 1, size // 2)


def rows_then_columns(images: torch.Tensor, size: int) -> torch.Tensor:
    """A max pool along the rows and then along the columns; of equal pixels it picks the same one as torch does."""
    frame = size // 2
    return F.max_pool2d(F.max_pool2d(images, (1, size), 1, (0, frame)), (size, 1), 1, (frame, 0))


def _max_pool_in_triton(images: torch.Tensor, size: int) -> torch.Tensor:
    from nases_env.children.cuda.max_pool import max_pool

    return max_pool(images, size)


def _torchs_average_pool(images: torch.Tensor, size: int) -> torch.Tensor:
    return F.avg_pool2d(images, size, 1, size // 2, count_include_pad=False)


def _torchs_convolution(images: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    return F.conv2d(images, weight, padding=weight.shape[-1] // 2)


def product(images: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None) -> torch.Tensor:
    """A 1×1 convolution as a matrix product, see POINTWISE."""
    return F.linear(images.permute(0, 2, 3, 1), weight.flatten(1), bias).permute(0, 3, 1, 2)


def _torchs_norm_relu(*given: Any) -> torch.Tensor:
    return F.relu_(F.batch_norm(*given))


def _norm_relu_in_triton(*given: Any) -> torch.Tensor:
    from nases_env.children.cuda.norm_relu import norm_relu

    return norm_relu(*given)


MAX_POOL = Operation(
    "max pool",
    {"torch": _torchs_max_pool, "rows, columns": rows_then_columns, "triton": _max_pool_in_triton},
)
"""Of images and the size of a window; it keeps the images' size."""
AVERAGE_POOL = Operation("average pool", {"torch": _torchs_average_pool, "products": pools.mean}, default="products")
"""Likewise; pixels outside the images are left out."""
CONVOLUTION = Operation("convolution", {"torch": _torchs_convolution, "taps": convolution})
"""Of images and a weight (outputs, inputs, size, size); it keeps the images' size. Its ways are those of the weight's
gradient."""
POINTWISE = Operation("1×1 convolution", {"torch": F.conv2d, "product": product})
"""Of images, a weight (outputs, inputs, 1, 1) and a bias or None."""
NORM_RELU = Operation("batch norm and ReLU", {"torch": _torchs_norm_relu, "triton": _norm_relu_in_triton})
"""Of images, running mean and variance, weight, bias, whether it is in training, momentum and eps."""
