"""Batch normalisation and ReLU in one pass over the images, forward and backward, in Triton.

Torch's two write the images once more and read them twice more. Statistics are in float32 for any smaller precision,
and in float64 for that. Triton compiles these kernels when they are first run; see `max_pool`.
"""

from __future__ import annotations

from typing import Any

import torch
import triton
import triton.language as tl
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from nases_env.children.cuda.launching import in_groups, launch

TILE = 4096
"""Numbers that one program reads at once."""
PARTS = 128
"""So many programs at most share a channel's pixels where something is summed over them; a power of two."""


def norm_relu(
    images: torch.Tensor,
    running_mean: torch.Tensor,
    running_var: torch.Tensor,
    weight: torch.Tensor,
    bias: torch.Tensor,
    training: bool,
    momentum: float,
    eps: float,
) -> torch.Tensor:
    """`relu(batch_norm(…))` of images (N, channels, H, W), NHWC in memory; the arguments are `F.batch_norm`'s.

    Out of training, where nobody should want a gradient, torch's two give it.

    Args:
        images: What to normalise.
        running_mean: (channels,); it is read out of training, and in training it is moved towards this batch's.
        running_var: Likewise.
        weight: (channels,).
        bias: (channels,).
        training: Whether the statistics are those of the batch.
        momentum: Share of the batch in the running statistics.
        eps: Is added to the variance.
    """
    if training:
        return _NormReLU.apply(images, running_mean, running_var, weight, bias, momentum, eps)
    if torch.is_grad_enabled():
        return F.relu_(F.batch_norm(images, running_mean, running_var, weight, bias, training, momentum, eps))
    return _Pixels(images).normalised(running_mean, running_var, weight, bias, eps)


class _NormReLU(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        images: torch.Tensor,
        running_mean: torch.Tensor,
        running_var: torch.Tensor,
        weight: torch.Tensor,
        bias: torch.Tensor,
        momentum: float,
        eps: float,
    ) -> torch.Tensor:
        pixels = _Pixels(images)
        mean, variance = pixels.statistics(running_mean, running_var, momentum)
        ctx.eps = eps
        ctx.save_for_backward(pixels.images, mean, variance, weight, bias)
        return pixels.normalised(mean, variance, weight, bias, eps)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradients: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        images, mean, variance, weight, bias = ctx.saved_tensors
        of_images, of_weight, of_bias = _Pixels(images).gradients(gradients, mean, variance, weight, bias, ctx.eps)
        return of_images, None, None, of_weight, of_bias, None, None


class _Pixels:
    """Images as a matrix (pixels, channels), and how programs share it."""

    def __init__(self, images: torch.Tensor):
        self.images = images.contiguous(memory_format=torch.channels_last)
        self.channels = images.shape[1]
        self.count = images.numel() // self.channels
        columns = min(64, triton.next_power_of_2(self.channels))
        rows = TILE // columns
        self.columns = triton.cdiv(self.channels, columns)
        self.rows = triton.cdiv(self.count, rows)
        self.share = triton.cdiv(self.rows, PARTS) * rows
        self.parts = triton.cdiv(self.count, self.share)
        groups, group = in_groups(self.channels)
        self.sizes = (self.count, groups)
        self.tile = {"ROWS": rows, "COLUMNS": columns, "GROUP": group}

    def statistics(
        self, running_mean: torch.Tensor, running_var: torch.Tensor, momentum: float
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Mean and variance (channels,) of the pixels; the running ones are moved towards them."""
        means, squares, mean, variance = self._sums()
        self._run(_parts_statistics, (self.parts, self.columns), self.images, means, squares, self.share)
        state = (mean, variance, running_mean, running_var, momentum)
        self._run(_whole_statistics, (self.columns,), means, squares, *state, self.share, self.parts, PARTS=PARTS)
        return mean, variance

    def normalised(
        self, mean: torch.Tensor, variance: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor, eps: float
    ) -> torch.Tensor:
        """Images with these statistics taken out, and with weight, bias and ReLU."""
        outputs = torch.empty_like(self.images)
        self._run(_normalised, (self.rows, self.columns), self.images, outputs, mean, variance, weight, bias, eps)
        return outputs

    def gradients(
        self,
        gradients: torch.Tensor,
        mean: torch.Tensor,
        variance: torch.Tensor,
        weight: torch.Tensor,
        bias: torch.Tensor,
        eps: float,
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Gradients of images, weight and bias."""
        given = (self.images, gradients.contiguous(memory_format=torch.channels_last), mean, variance, weight, bias)
        weights, biases, of_weight, of_bias = self._sums()
        self._run(_parts_gradients, (self.parts, self.columns), *given, weights, biases, eps, self.share)
        self._run(_whole_gradients, (self.columns,), weights, biases, of_weight, of_bias, self.parts, PARTS=PARTS)
        returned = torch.empty_like(self.images)
        self._run(_returned, (self.rows, self.columns), *given, of_weight, of_bias, returned, eps)
        return returned, of_weight.to(weight.dtype), of_bias.to(bias.dtype)

    def _sums(self) -> list[torch.Tensor]:
        """Places for two sums (channels,) of each part, and for those of all parts."""
        shapes = [(self.parts, self.channels)] * 2 + [(self.channels,)] * 2
        precision = torch.promote_types(self.images.dtype, torch.float32)
        return [torch.empty(shape, dtype=precision, device=self.images.device) for shape in shapes]

    def _run(self, kernel: Any, programs: tuple[int, ...], *given: Any, **constants: int) -> None:
        launch(kernel, programs, *given, *self.sizes, **self.tile, **constants)


@triton.jit
def _parts_statistics(
    images, means, squares, share, count, groups,
    ROWS: tl.constexpr, COLUMNS: tl.constexpr, GROUP: tl.constexpr, COMPUTE: tl.constexpr,
):  # fmt: skip
    """Mean of a part's pixels, and the sum of the squares of what they are away from it (Chan et al. 1979)."""
    channels = groups * GROUP
    part = tl.program_id(0)
    column = tl.program_id(1) * COLUMNS + tl.arange(0, COLUMNS)
    mean = tl.full((COLUMNS,), 0.0, COMPUTE)
    square = tl.full((COLUMNS,), 0.0, COMPUTE)
    for start in range(0, share, ROWS):
        row = part.to(tl.int64) * share + start + tl.arange(0, ROWS)
        inside = (row < count)[:, None] & (column < channels)[None, :]
        pixels = tl.load(images + row[:, None] * channels + column[None, :], inside, other=0.0).to(COMPUTE)
        seen = tl.minimum(start, count - part.to(tl.int64) * share).to(COMPUTE)
        new = tl.minimum(tl.maximum(count - part.to(tl.int64) * share - start, 0), ROWS).to(COMPUTE)
        own = tl.sum(pixels, axis=0) / tl.maximum(new, 1.0)
        away = tl.where(inside, pixels - own[None, :], 0.0)
        apart = own - mean
        mean += apart * (new / (seen + new))
        square += tl.sum(away * away, axis=0) + apart * apart * (seen * new / (seen + new))
    place = part * channels + column
    tl.store(means + place, mean, column < channels)
    tl.store(squares + place, square, column < channels)


@triton.jit
def _whole_statistics(
    means, squares, mean, variance, running_mean, running_var, momentum, share, parts, count, groups,
    ROWS: tl.constexpr, COLUMNS: tl.constexpr, GROUP: tl.constexpr, COMPUTE: tl.constexpr, PARTS: tl.constexpr,
):  # fmt: skip
    """Mean and variance of all pixels, from those of the parts."""
    channels = groups * GROUP
    column = tl.program_id(0) * COLUMNS + tl.arange(0, COLUMNS)
    part = tl.arange(0, PARTS)
    inside = (part < parts)[:, None] & (column < channels)[None, :]
    place = part[:, None] * channels + column[None, :]
    pixels = tl.where(part < parts, tl.minimum(share, count - part.to(tl.int64) * share), 0).to(COMPUTE)[:, None]
    own = tl.load(means + place, inside, other=0.0)
    whole = tl.sum(own * pixels, axis=0) / count
    apart = own - whole[None, :]
    square = tl.sum(tl.load(squares + place, inside, other=0.0) + apart * apart * pixels, axis=0)
    known = column < channels
    tl.store(mean + column, whole, known)
    tl.store(variance + column, square / count, known)
    before = tl.load(running_mean + column, known, other=0.0)
    tl.store(running_mean + column, before * (1 - momentum) + whole * momentum, known)
    before = tl.load(running_var + column, known, other=0.0)
    tl.store(running_var + column, before * (1 - momentum) + square / (count - 1) * momentum, known)


@triton.jit
def _normalised(
    images, outputs, mean, variance, weight, bias, eps, count, groups,
    ROWS: tl.constexpr, COLUMNS: tl.constexpr, GROUP: tl.constexpr, COMPUTE: tl.constexpr,
):  # fmt: skip
    """What the pixels become."""
    channels = groups * GROUP
    row = tl.program_id(0).to(tl.int64) * ROWS + tl.arange(0, ROWS)
    column = tl.program_id(1) * COLUMNS + tl.arange(0, COLUMNS)
    known = column < channels
    inside = (row < count)[:, None] & known[None, :]
    place = row[:, None] * channels + column[None, :]
    scale = 1.0 / tl.sqrt(tl.load(variance + column, known, other=1.0).to(COMPUTE) + eps)
    centre = tl.load(mean + column, known, other=0.0).to(COMPUTE)
    factor = tl.load(weight + column, known, other=0.0).to(COMPUTE)
    added = tl.load(bias + column, known, other=0.0).to(COMPUTE)
    pixels = tl.load(images + place, inside, other=0.0).to(COMPUTE)
    found = (pixels - centre[None, :]) * scale[None, :] * factor[None, :] + added[None, :]
    found = tl.where(found < 0, 0.0, found)  # what is no number stays to be seen
    tl.store(outputs + place, found.to(outputs.dtype.element_ty), inside)


@triton.jit
def _parts_gradients(
    images, gradients, mean, variance, weight, bias, weights, biases, eps, share, count, groups,
    ROWS: tl.constexpr, COLUMNS: tl.constexpr, GROUP: tl.constexpr, COMPUTE: tl.constexpr,
):  # fmt: skip
    """A part's share of the gradients of weight and bias."""
    channels = groups * GROUP
    part = tl.program_id(0)
    column = tl.program_id(1) * COLUMNS + tl.arange(0, COLUMNS)
    known = column < channels
    scale = 1.0 / tl.sqrt(tl.load(variance + column, known, other=1.0) + eps)
    centre = tl.load(mean + column, known, other=0.0)
    factor = tl.load(weight + column, known, other=0.0).to(COMPUTE)
    added = tl.load(bias + column, known, other=0.0).to(COMPUTE)
    of_weight = tl.full((COLUMNS,), 0.0, COMPUTE)
    of_bias = tl.full((COLUMNS,), 0.0, COMPUTE)
    for start in range(0, share, ROWS):
        row = part.to(tl.int64) * share + start + tl.arange(0, ROWS)
        inside = (row < count)[:, None] & known[None, :]
        place = row[:, None] * channels + column[None, :]
        pixels = (tl.load(images + place, inside, other=0.0).to(COMPUTE) - centre[None, :]) * scale[None, :]
        given = tl.load(gradients + place, inside, other=0.0).to(COMPUTE)
        given = tl.where(pixels * factor[None, :] + added[None, :] <= 0, 0.0, given)
        of_bias += tl.sum(given, axis=0)
        of_weight += tl.sum(given * pixels, axis=0)
    tl.store(weights + part * channels + column, of_weight, known)
    tl.store(biases + part * channels + column, of_bias, known)


@triton.jit
def _whole_gradients(
    weights, biases, of_weight, of_bias, parts, count, groups,
    ROWS: tl.constexpr, COLUMNS: tl.constexpr, GROUP: tl.constexpr, COMPUTE: tl.constexpr, PARTS: tl.constexpr,
):  # fmt: skip
    """The sums over all parts."""
    channels = groups * GROUP
    column = tl.program_id(0) * COLUMNS + tl.arange(0, COLUMNS)
    part = tl.arange(0, PARTS)
    inside = (part < parts)[:, None] & (column < channels)[None, :]
    place = part[:, None] * channels + column[None, :]
    tl.store(of_weight + column, tl.sum(tl.load(weights + place, inside, other=0.0), axis=0), column < channels)
    tl.store(of_bias + column, tl.sum(tl.load(biases + place, inside, other=0.0), axis=0), column < channels)


@triton.jit
def _returned(
    images, gradients, mean, variance, weight, bias, of_weight, of_bias, returned, eps, count, groups,
    ROWS: tl.constexpr, COLUMNS: tl.constexpr, GROUP: tl.constexpr, COMPUTE: tl.constexpr,
):  # fmt: skip
    """The gradients of the images."""
    channels = groups * GROUP
    row = tl.program_id(0).to(tl.int64) * ROWS + tl.arange(0, ROWS)
    column = tl.program_id(1) * COLUMNS + tl.arange(0, COLUMNS)
    known = column < channels
    inside = (row < count)[:, None] & known[None, :]
    place = row[:, None] * channels + column[None, :]
    scale = 1.0 / tl.sqrt(tl.load(variance + column, known, other=1.0) + eps)
    centre = tl.load(mean + column, known, other=0.0)
    factor = tl.load(weight + column, known, other=0.0).to(COMPUTE)
    added = tl.load(bias + column, known, other=0.0).to(COMPUTE)
    mean_of_weight = tl.load(of_weight + column, known, other=0.0) / count
    mean_of_bias = tl.load(of_bias + column, known, other=0.0) / count
    pixels = (tl.load(images + place, inside, other=0.0).to(COMPUTE) - centre[None, :]) * scale[None, :]
    given = tl.load(gradients + place, inside, other=0.0).to(COMPUTE)
    given = tl.where(pixels * factor[None, :] + added[None, :] <= 0, 0.0, given)
    found = (given - mean_of_bias[None, :] - pixels * mean_of_weight[None, :]) * (scale * factor)[None, :]
    tl.store(returned + place, found.to(returned.dtype.element_ty), inside)
