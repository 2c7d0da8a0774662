"""A macro architecture as a network (Appendix A)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from nases_env.children.protocol import Protocol
from nases_env.search_spaces.macro import MAX_POOL, OPERATIONS, MacroArchitecture, MacroLayer


class MacroChild(nn.Module):
    """15 layers; each reads its predecessor's output and the outputs linked to the predecessor, concatenated.

    Args:
        architecture: What to build.
        protocol: Its width, added filters and reductions.
        channels: Channels of an image.
        classes: Number of classes.
        checkpointing: Whether a layer's inside is computed again in the backward pass, not kept: less memory, more
            time.
    """

    def __init__(
        self,
        architecture: MacroArchitecture,
        protocol: Protocol,
        channels: int,
        classes: int,
        checkpointing: bool = False,
    ):
        super().__init__()
        published = architecture.rules == "published"
        self.sources = architecture.sources
        self._checkpointing = checkpointing
        # Under published rules the pools themselves halve the images.
        self.reductions = frozenset() if published else frozenset(protocol.reductions)
        self.layers = nn.ModuleList()
        self.links = nn.ModuleDict()
        outputs: list[int] = []
        strides: list[int] = []
        read = channels
        for index, layer in enumerate(architecture.layers):
            pool = OPERATIONS.index(layer.operation) >= MAX_POOL
            width = read if published and pool else protocol.filters(layer.filters)
            build = _published_layer if published else _paper_layer
            self.layers.append(build(layer, index == 0, read, width))
            outputs.append(width)
            strides.append((strides[-1] if strides else 1) * (2 if published and pool else 1))
            read = width
            for source in self.sources[index]:
                linked = outputs[source]
                if published:
                    linked = max(1, linked // 10 + int(protocol.added_filters * protocol.width / 10))
                    stride = strides[index] // strides[source]
                    self.links[f"{source}_{index}"] = nn.Sequential(
                        _Subsample(stride), nn.Conv2d(outputs[source], linked, 1), nn.BatchNorm2d(linked), nn.ReLU()
                    )
                read += linked
        self.classifier = nn.Linear(read, classes)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Logits (N, classes) of images (N, channels, H, W)."""
        own: list[torch.Tensor] = []  # every layer's own output, before any concatenation
        x = images
        for index, layer in enumerate(self.layers):
            own.append(_checkpointed(layer, x) if self._checkpointing and self.training else layer(x))
            if index + 1 in self.reductions:
                own = [_halve(output) for output in own]
            linked = [self._linked(own[source], source, index) for source in self.sources[index]]
            x = torch.cat([own[index], *linked], dim=1) if linked else own[index]
        return self.classifier(torch.relu(x).mean(dim=(2, 3)))

    def _linked(self, output: torch.Tensor, source: int, index: int) -> torch.Tensor:
        name = f"{source}_{index}"
        return self.links[name](output) if name in self.links else output


def _checkpointed(layer: nn.Module, x: torch.Tensor) -> torch.Tensor:
    return checkpoint(
        layer,
        x,
        use_reentrant=False,
        preserve_rng_state=False,  # nothing in a layer is random
        context_fn=lambda: (nullcontext(), _frozen_statistics(layer)),
    )


@contextmanager
def _frozen_statistics(layer: nn.Module) -> Iterator[None]:
    """Batch normalisation leaves its running statistics alone: a layer computed twice saw its batch once."""
    normalisations = [module for module in layer.modules() if isinstance(module, nn.BatchNorm2d)]
    momenta = [module.momentum for module in normalisations]
    try:
        for module in normalisations:
            module.momentum = 0.0
        yield
    finally:
        for module, momentum in zip(normalisations, momenta, strict=True):
            module.momentum = momentum


class _Subsample(nn.Module):
    """Every stride-th pixel. Before a 1×1 convolution it is that convolution with a stride, whose backward pass on a
    CPU takes time in proportion to the stride.
    """

    def __init__(self, stride: int):
        super().__init__()
        self.stride = stride

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return images[:, :, :: self.stride, :: self.stride]


def _halve(images: torch.Tensor) -> torch.Tensor:
    return nn.functional.max_pool2d(images, 2, ceil_mode=True)


def _relu_conv_bn(
    inputs: int, outputs: int, size: int, *, bias: bool = False, separable: bool = False
) -> list[nn.Module]:
    convolutions: list[nn.Module]
    if separable:
        convolutions = [
            nn.Conv2d(inputs, inputs, size, padding=size // 2, groups=inputs, bias=bias),
            nn.Conv2d(inputs, outputs, 1, bias=bias),
        ]
    else:
        convolutions = [nn.Conv2d(inputs, outputs, size, padding=size // 2, bias=bias)]
    return [nn.ReLU(), *convolutions, nn.BatchNorm2d(outputs)]


def _operation(layer: MacroLayer, width: int, bias: bool) -> list[nn.Module]:
    """A convolution, or a separable one applied twice."""
    separable = layer.operation == "separable"
    applications = 2 if separable else 1
    return [
        module
        for _ in range(applications)
        for module in _relu_conv_bn(width, width, layer.size, bias=bias, separable=separable)
    ]


def _first_layer(layer: MacroLayer, inputs: int, width: int, bias: bool) -> nn.Module:
    return nn.Sequential(*_relu_conv_bn(inputs, width, layer.size, bias=bias)[1:])


def _paper_layer(layer: MacroLayer, first: bool, inputs: int, width: int) -> nn.Module:
    if first:
        return _first_layer(layer, inputs, width, bias=False)
    reduce = _relu_conv_bn(inputs, width, 1)  # pools included, or a pool's filters would mean nothing
    if layer.operation == "max_pool":
        return nn.Sequential(*reduce, nn.MaxPool2d(layer.size, 1, layer.size // 2))
    if layer.operation == "average_pool":
        pool = nn.AvgPool2d(layer.size, 1, layer.size // 2, count_include_pad=False)
        return nn.Sequential(*reduce, pool)
    return nn.Sequential(*reduce, *_operation(layer, width, bias=False))


def _published_layer(layer: MacroLayer, first: bool, inputs: int, width: int) -> nn.Module:
    if first:
        return _first_layer(layer, inputs, width, bias=True)
    if layer.operation == "max_pool":
        return nn.MaxPool2d(2, ceil_mode=True)
    if layer.operation == "average_pool":
        return nn.AvgPool2d(2, ceil_mode=True)
    return nn.Sequential(*_relu_conv_bn(inputs, width, 1, bias=True), *_operation(layer, width, bias=True))
