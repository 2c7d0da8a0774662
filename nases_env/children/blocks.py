"""Parts that children of several search spaces are made of, and how their insides are recomputed to save memory."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from nases_env.children.layers import BatchNorm2d, Conv2d, PointwiseConv2d
from nases_env.children.padding import Channels, mark, real_shape


def conv_bn(inputs: Channels, outputs: Channels, size: int, bias: bool, device: str) -> list[nn.Module]:
    """A convolution that keeps the images' size, and its batch normalisation."""
    if size == 1:
        return pointwise(inputs, outputs, bias, device)
    convolution = Conv2d(inputs.stored, outputs.stored, size, padding=size // 2, bias=bias, device=device)
    return [mark(convolution, outputs, inputs), mark(BatchNorm2d(outputs.stored, device=device), outputs)]


def pointwise(inputs: Channels, outputs: Channels, bias: bool, device: str, stride: int = 1) -> list[nn.Module]:
    """A 1×1 convolution and its batch normalisation."""
    convolution = PointwiseConv2d(inputs.stored, outputs.stored, bias, device, stride)
    return [mark(convolution, outputs, inputs), mark(BatchNorm2d(outputs.stored, device=device), outputs)]


def separable(width: Channels, size: int, bias: bool, device: str, stride: int = 1) -> list[nn.Module]:
    """A depthwise convolution, a 1×1 convolution and its batch normalisation."""
    depthwise = Conv2d(
        width.stored, width.stored, size, stride, size // 2, groups=width.stored, bias=bias, device=device
    )
    return [mark(depthwise, width), *pointwise(width, width, bias, device)]


def weights(module: nn.Module) -> int:
    """Count the weights of the convolutions in a module, padding left out."""
    convolutions = (each for each in module.modules() if isinstance(each, nn.Conv2d))
    return sum(math.prod(real_shape(convolution, "weight")) for convolution in convolutions)


def checkpointed(layer: nn.Module, *inputs: torch.Tensor) -> torch.Tensor:
    """Run a layer on its inputs. Its inside is not kept but computed again in the backward pass."""
    return checkpoint(
        layer,
        *inputs,
        use_reentrant=False,
        preserve_rng_state=False,  # nothing in a layer is random
        context_fn=lambda: (nullcontext(), _frozen_statistics(layer)),
    )


@contextmanager
def _frozen_statistics(layer: nn.Module) -> Iterator[None]:
    """Keep batch normalisation from updating its running statistics: a layer computed twice saw its batch once."""
    normalisations = [module for module in layer.modules() if isinstance(module, nn.BatchNorm2d)]
    momenta = [module.momentum for module in normalisations]
    try:
        for module in normalisations:
            module.momentum = 0.0
        yield
    finally:
        for module, momentum in zip(normalisations, momenta, strict=True):
            module.momentum = momentum
