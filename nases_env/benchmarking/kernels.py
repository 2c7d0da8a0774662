"""Times single operations of a training step in all ways in which children can compute them on CUDA devices.

Each is timed forward and backward. Images are channels last, in the protocol's precision; the first way is torch's own.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

import torch
from torch import nn

from nases_env.benchmarking.timing import Row, timed
from nases_env.children.cpu import prepare_memory
from nases_env.children.cuda.fastest import leave_out
from nases_env.children.cuda.operations import (
    AVERAGE_POOL,
    CONVOLUTION,
    MAX_POOL,
    NORM_RELU,
    POINTWISE,
    Operation,
    there_and_back,
)
from nases_env.children.memory import is_out_of_memory

SIZES = (3, 5, 7)


@dataclass(frozen=True)
class Shapes:
    """On what operations are timed."""

    images: int
    sides: tuple[int, ...]
    channels: tuple[int, ...]
    device: str
    precision: torch.dtype
    repeats: int
    """Timed runs of each operation."""

    def tensors(self) -> Iterator[tuple[str, torch.Tensor]]:
        """Yield a name and images (images, channels, side, side), whose gradient is wanted."""
        for side in self.sides:
            for channels in self.channels:
                shape = (self.images, channels, side, side)
                images = torch.randn(shape, device=self.device, dtype=self.precision)
                images = images.contiguous(memory_format=torch.channels_last)
                yield f"{side}², {channels} channels", images.requires_grad_()


def kernels(shapes: Shapes) -> Iterator[list[Row]]:
    """Time convolutions, pools and batch normalisation; yields the rows of one operation at a time."""
    if shapes.device == "cpu":
        prepare_memory()
    for name, images in shapes.tensors():
        for size in SIZES:
            weight = _weight(images, size)
            yield _rows(shapes, f"{size}×{size} {{}}, {name}", CONVOLUTION, images, weight, products=weight)
            for pool in (MAX_POOL, AVERAGE_POOL):
                yield _rows(shapes, f"{size}×{size} {{}}, {name}", pool, images, size)
        weight = _weight(images, 1)
        yield _rows(shapes, f"{{}}, {name}", POINTWISE, images, weight, None, products=weight)
        norm = nn.BatchNorm2d(images.shape[1], device=shapes.device)
        state = (norm.running_mean, norm.running_var, norm.weight, norm.bias, True, norm.momentum, norm.eps)
        yield _rows(shapes, f"{{}}, {name}", NORM_RELU, images, *state)
        yield [_row(shapes, f"copy, {name}", "torch", images.detach().clone)]


def _weight(images: torch.Tensor, size: int) -> torch.Tensor:
    """The weight of a convolution that keeps the number of channels."""
    channels = images.shape[1]
    weight = torch.randn(channels, channels, size, size, device=images.device, dtype=images.dtype)
    return weight.contiguous(memory_format=torch.channels_last).requires_grad_()


def _rows(
    shapes: Shapes,
    name: str,
    operation: Operation,
    images: torch.Tensor,
    *others: object,
    products: torch.Tensor | None = None,
) -> list[Row]:
    """A row of each way of an operation on images and others; one that cannot be taken is left out with a warning.

    Args:
        shapes: On what it is timed.
        name: What the rows are called, with a place for the operation.
        operation: What is computed.
        images: Its first argument.
        others: Its other ones.
        products: A weight that every pixel is multiplied with, three times forward and backward together.
    """
    rows: list[Row] = []
    operations = None if products is None else 3 * 2 * products.numel() * images.numel() // images.shape[1]
    for way, compute in operation.ways.items():
        if way == "triton" and shapes.device == "cpu":
            continue
        try:
            row = _row(shapes, name.format(operation.name), way, partial(there_and_back, compute, images, *others))
        except Exception as error:
            if is_out_of_memory(error):
                raise
            leave_out(operation, way, error)
            continue
        tflops = operations and operations / row.seconds / 1e12
        ratio = rows[0].seconds / row.seconds if rows else None
        rows.append(dataclasses.replace(row, tflops=tflops, ratio_torch=ratio))
    return rows


def _row(shapes: Shapes, name: str, way: str, compute: Callable[[], object]) -> Row:
    row = timed(name, partial(_finished, compute, shapes.device), shapes.repeats, calls=5)
    return dataclasses.replace(row, rung=way, device=shapes.device)


def _finished(compute: Callable[[], object], device: str) -> None:
    """Compute and wait for it."""
    compute()
    if device.startswith("cuda"):
        torch.cuda.synchronize(device)
