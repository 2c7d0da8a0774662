"""A convolution that keeps the images' size, whose weight gradient is a matrix product for each weight of a kernel.

cuDNN has no quick way for some of these gradients: one of a 7×7 kernel took half of a child's step.
"""

from __future__ import annotations

from typing import Any

import torch
from torch.autograd.function import once_differentiable
from torch.nn import functional as F


def convolution(images: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """The convolution of images (N, inputs, H, W) with a weight (outputs, inputs, size, size), framed with zeros.

    Under autocast it computes in that precision, as torch's own does.
    """
    device = images.device.type
    if torch.amp.is_autocast_available(device) and torch.is_autocast_enabled(device):
        precision = torch.get_autocast_dtype(device)
        images, weight = images.to(precision), weight.to(precision)
    return _Convolution.apply(images, weight)


class _Convolution(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, images: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
        ctx.save_for_backward(images, weight)
        return F.conv2d(images, weight, padding=weight.shape[-1] // 2)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradients: torch.Tensor) -> tuple[torch.Tensor | None, torch.Tensor | None]:
        images, weight = ctx.saved_tensors
        size = weight.shape[-1]
        geometry = ([1, 1], [size // 2] * 2, [1, 1], False, [0, 0], 1)
        wanted = [ctx.needs_input_grad[0], False, False]
        of_images, *_ = torch.ops.aten.convolution_backward(gradients, images, weight, None, *geometry, wanted)
        of_weight = weight_gradient_by_taps(images, gradients, size) if ctx.needs_input_grad[1] else None
        return of_images, of_weight


def weight_gradient_by_taps(images: torch.Tensor, gradients: torch.Tensor, size: int) -> torch.Tensor:
    """The weight gradient of a convolution that keeps the images' size, one matrix product for each weight of a kernel.

    Images are framed with zeros, and gradients stand in the frame's upper left corner. Row after row, what a tap reads
    of the images then lies a constant distance behind the gradient that it belongs to, and zeros meet all the rest.

    Args:
        images: What the convolution read, (N, inputs, H, W).
        gradients: The loss's gradients with respect to what it put out, (N, outputs, H, W).
        size: How wide and high its kernel is; odd.

    Returns:
        (outputs, inputs, size, size).
    """
    frame, inputs, outputs = size - 1, images.shape[1], gradients.shape[1]
    framed = F.pad(images, (frame // 2,) * 4).permute(0, 2, 3, 1).reshape(-1, inputs)
    corner = F.pad(gradients, (0, frame, 0, frame)).permute(0, 2, 3, 1).reshape(-1, outputs)
    width = images.shape[3] + frame
    pixels = len(framed) - frame * (width + 1)
    left = corner[:pixels].T.expand(size, outputs, pixels)
    rows = [
        torch.bmm(left, framed[row * width :].as_strided((size, pixels, inputs), (inputs, inputs, 1)))
        for row in range(size)
    ]
    return torch.stack(rows).permute(2, 3, 0, 1)
