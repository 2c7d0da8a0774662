"""A max pool that keeps the images' size, in Triton: along rows, then columns, with one byte to tell the way back.

Torch's own visits every pixel of a window, and notes eight bytes for each output. Where several pixels are equally
large, both pick the first one, row by row. Triton compiles these kernels when they are first run, which takes a C
compiler; with TRITON_INTERPRET=1 they run on a CPU, slowly.
"""

from __future__ import annotations

from typing import Any

import torch
import triton
import triton.language as tl
from torch.autograd.function import once_differentiable

from nases_env.children.cuda.launching import in_groups, launch

BLOCK = 1024
"""Numbers that one program computes."""


def max_pool(images: torch.Tensor, size: int) -> torch.Tensor:
    """The largest of the size × size pixels around every pixel of images (N, channels, H, W), NHWC in memory."""
    return _MaxPool.apply(images, size)


class _MaxPool(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, images: torch.Tensor, size: int) -> torch.Tensor:
        count, channels, height, width = images.shape
        ctx.size, ctx.lines = size, ((width, channels), (height, width * channels))
        pooled, chosen = images.contiguous(memory_format=torch.channels_last), []
        for length, inner in ctx.lines:
            given, pooled = pooled, torch.empty_like(pooled)
            chosen.append(torch.empty(pooled.shape, dtype=torch.uint8, device=images.device))
            _run(_largest, (given, pooled, chosen[-1]), length, inner, size)
        ctx.save_for_backward(*chosen)
        return pooled

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradients: torch.Tensor) -> tuple[torch.Tensor, None]:
        gradients = gradients.contiguous(memory_format=torch.channels_last)
        for (length, inner), chosen in zip(reversed(ctx.lines), reversed(ctx.saved_tensors), strict=True):
            given, gradients = gradients, torch.empty_like(gradients)
            _run(_returned, (given, chosen, gradients), length, inner, ctx.size)
        return gradients, None


def _run(kernel: Any, tensors: tuple[torch.Tensor, ...], length: int, inner: int, size: int) -> None:
    """Run a kernel on lines of so many pixels, which are `inner` numbers apart in memory."""
    total = tensors[0].numel()
    sizes, programs = (total // inner, length), (triton.cdiv(total, BLOCK),)
    groups, group = in_groups(inner)
    index = tl.int32 if total < 2**30 else tl.int64  # the narrow one is divided several times as fast
    launch(kernel, programs, *tensors, *sizes, groups, SIZE=size, GROUP=group, INDEX=index, BLOCK=BLOCK)


@triton.jit
def _largest(
    images, pooled, chosen, pixels, length, groups,
    SIZE: tl.constexpr, GROUP: tl.constexpr, INDEX: tl.constexpr, COMPUTE: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """The largest pixel of each window along a line, and which of the window's pixels it is."""
    inner = groups * GROUP
    index = tl.program_id(0).to(INDEX) * BLOCK + tl.arange(0, BLOCK)
    known = index // inner < pixels
    position = (index // inner) % length
    first = position - SIZE // 2
    inside = known & (first >= 0) & (first < length)
    best = tl.load(images + index - (SIZE // 2) * inner, inside, other=-float("inf")).to(COMPUTE)
    place = tl.full((BLOCK,), 0, tl.uint8)
    for step in tl.static_range(1, SIZE):
        inside = known & (first + step >= 0) & (first + step < length)
        pixel = tl.load(images + index + (step - SIZE // 2) * inner, inside, other=-float("inf")).to(COMPUTE)
        larger = (pixel > best) | (pixel != pixel)  # what is no number stays to be seen
        best = tl.where(larger, pixel, best)
        place = tl.where(larger, step, place).to(tl.uint8)
    tl.store(pooled + index, best.to(pooled.dtype.element_ty), known)
    tl.store(chosen + index, place, known)


@triton.jit
def _returned(
    gradients, chosen, returned, pixels, length, groups,
    SIZE: tl.constexpr, GROUP: tl.constexpr, INDEX: tl.constexpr, COMPUTE: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """Give each pixel the sum of the gradients of those windows along its line in which it was the largest."""
    inner = groups * GROUP
    index = tl.program_id(0).to(INDEX) * BLOCK + tl.arange(0, BLOCK)
    known = index // inner < pixels
    position = (index // inner) % length
    found = tl.full((BLOCK,), 0.0, COMPUTE)
    for step in tl.static_range(SIZE):
        centre = position + SIZE // 2 - step
        inside = known & (centre >= 0) & (centre < length)
        window = index + (SIZE // 2 - step) * inner
        place = tl.load(chosen + window, inside, other=SIZE)
        found += tl.where(place == step, tl.load(gradients + window, inside, other=0.0).to(COMPUTE), 0.0)
    tl.store(returned + index, found.to(returned.dtype.element_ty), known)
