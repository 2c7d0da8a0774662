"""Times single operations of a training step, and other ways to compute the same: which of them are worth having where.

Images are channels last, in the protocol's precision; the first way is torch's own.
"""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

import torch
from torch import nn
from torch.nn import functional as F

from nases_env.benchmarking.timing import Row, timed
from nases_env.children import pools
from nases_env.children.cpu import prepare_memory
from nases_env.children.cuda.convolution import weight_gradient, weight_gradient_by_taps

SIZES = (3, 5, 7)
Way = Callable[[], object]
Pool = Callable[[torch.Tensor], torch.Tensor]
SizedPool = Callable[[torch.Tensor, int], torch.Tensor]


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

    def tensors(self) -> Iterator[tuple[str, torch.Tensor, torch.Tensor]]:
        """Yield a name, images and gradients of their shape, (images, channels, side, side)."""
        for side in self.sides:
            for channels in self.channels:
                shape = (self.images, channels, side, side)
                made = [torch.randn(shape, device=self.device, dtype=self.precision) for _ in range(2)]
                images, gradients = (each.contiguous(memory_format=torch.channels_last) for each in made)
                yield f"{side}², {channels} channels", images, gradients


def kernels(shapes: Shapes) -> Iterator[list[Row]]:
    """Time weight gradients, pools and batch normalisation; yields the rows of one operation at a time."""
    if shapes.device == "cpu":
        prepare_memory()
    triton_pool = _triton_pool(shapes)
    for name, images, gradients in shapes.tensors():
        for size in SIZES:
            ways: dict[str, Way] = {
                "torch": partial(weight_gradient, images, gradients, size),
                "taps": partial(weight_gradient_by_taps, images, gradients, size),
            }
            operations = 2 * images.numel() * images.shape[1] * size**2
            yield _rows(shapes, f"{size}×{size} weight gradient, {name}", ways, operations)
            for kind, pooled in _pools(size, triton_pool).items():
                ways = {way: partial(_there_and_back, pool, images, gradients) for way, pool in pooled.items()}
                yield _rows(shapes, f"{size}×{size} {kind} pool, {name}", ways)
        norm = nn.BatchNorm2d(images.shape[1], device=shapes.device)
        ways = {"torch": partial(_there_and_back, lambda given: F.relu_(norm(given)), images, gradients)}  # noqa: B023
        yield _rows(shapes, f"batch norm and ReLU, {name}", ways)
        yield _rows(shapes, f"copy, {name}", {"torch": images.clone})


def _triton_pool(shapes: Shapes) -> SizedPool | None:
    """The max pool in Triton; None on a CPU, and where Triton is missing or cannot compile it."""
    if shapes.device == "cpu":
        return None
    try:
        from nases_env.children.cuda.max_pool import max_pool

        max_pool(torch.zeros(1, 1, 1, 1, device=shapes.device), 3)
    except Exception as error:  # what Triton raises without a C compiler differs from version to version
        warnings.warn(f"the max pool in Triton is left out: it cannot be compiled here ({error})", stacklevel=2)
        return None
    return max_pool


def _pools(size: int, triton_pool: SizedPool | None) -> dict[str, dict[str, Pool]]:
    """Pools that keep the size, by kind and way."""
    frame = size // 2

    def rows_then_columns(images: torch.Tensor) -> torch.Tensor:
        return F.max_pool2d(F.max_pool2d(images, (1, size), 1, (0, frame)), (size, 1), 1, (frame, 0))

    triton_pools = {"triton": lambda images: triton_pool(images, size)} if triton_pool else {}
    return {
        "max": {
            "torch": lambda images: F.max_pool2d(images, size, 1, frame),
            "rows, columns": rows_then_columns,
            **triton_pools,
        },
        "average": {
            "torch": lambda images: F.avg_pool2d(images, size, 1, frame, count_include_pad=False),
            "products": lambda images: pools.mean(images, size),
        },
    }


def _there_and_back(
    operation: Callable[[torch.Tensor], torch.Tensor], images: torch.Tensor, gradients: torch.Tensor
) -> None:
    """Forward and backward."""
    images = images.detach().requires_grad_()
    torch.autograd.grad(operation(images), images, gradients)


def _rows(shapes: Shapes, name: str, ways: dict[str, Way], operations: int | None = None) -> list[Row]:
    rows: list[Row] = []
    for way, compute in ways.items():
        row = timed(name, partial(_finished, compute, shapes.device), shapes.repeats, calls=5)
        tflops = operations and operations / row.seconds / 1e12
        ratio = rows[0].seconds / row.seconds if rows else None
        rows.append(dataclasses.replace(row, rung=way, device=shapes.device, tflops=tflops, ratio_torch=ratio))
    return rows


def _finished(compute: Way, device: str) -> None:
    """Compute and wait for it."""
    compute()
    if device.startswith("cuda"):
        torch.cuda.synchronize(device)
