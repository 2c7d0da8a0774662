"""A macro architecture as a network (Appendix A)."""

from __future__ import annotations

import math

import torch
from torch import nn

from nases_env.children.base import Child
from nases_env.children.blocks import checkpointed, conv_bn, pointwise, separable, weights
from nases_env.children.layers import AveragePool2d, Linear, MaxPool2d, mean_of_pixels
from nases_env.children.padding import Channels, mark, pad_images, real_shape, whole_multiple
from nases_env.children.protocol import Protocol
from nases_env.search_spaces.macro import MAX_POOL, OPERATIONS, MacroArchitecture, MacroLayer


class MacroChild(Child):
    """15 layers; each reads its predecessor's output and the outputs linked to the predecessor, concatenated.

    Its weights are not drawn yet, see `build.materialise`.

    Args:
        architecture: What to build.
        protocol: How to build it: width, added filters and reductions are read.
        channels: Channels of an image.
        classes: Number of classes.
        checkpointing: Whether a layer's inside is computed again in the backward pass, not kept: less memory, more
            time.
        device: Where its weights are.
    """

    def __init__(
        self,
        architecture: MacroArchitecture,
        protocol: Protocol,
        channels: int,
        classes: int,
        checkpointing: bool = False,
        device: str = "cpu",
    ):
        super().__init__()
        published = architecture.rules == "published"
        self.sources = architecture.sources
        self.checkpointing = checkpointing
        # Under published rules the pools themselves halve the images.
        self.reductions = frozenset() if published else frozenset(protocol.reductions)
        self._last_read = [
            max([index, *(k for k, sources in enumerate(self.sources) if index in sources)])
            for index in range(len(self.sources))
        ]
        self.layers = nn.ModuleList()
        self.links = nn.ModuleDict()
        outputs: list[Channels] = []
        strides: list[int] = []
        whole = whole_multiple(protocol.channel_multiple, device)
        self.images = read = Channels.padded(channels, whole)
        for index, layer in enumerate(architecture.layers):
            pool = OPERATIONS.index(layer.operation) >= MAX_POOL
            keeps_channels = published and pool
            width = (
                read if keeps_channels else Channels.padded(protocol.filters(layer.filters), protocol.channel_multiple)
            )
            build = _published_layer if published else _paper_layer
            self.layers.append(build(layer, index == 0, read, width, device))
            outputs.append(width)
            strides.append((strides[-1] if strides else 1) * (2 if keeps_channels else 1))
            read = width
            for source in self.sources[index]:
                linked = outputs[source]
                if published:
                    filters = max(1, linked.real // 10 + int(protocol.added_filters * protocol.width / 10))
                    # Padding of each link would be most of it: they are a tenth of the filters. The last one has all.
                    padding = -(read.stored + filters) % whole if source == self.sources[index][-1] else 0
                    linked = Channels(((filters, filters + padding),))
                    self.links[f"{source}_{index}"] = nn.Sequential(
                        nn.Identity(),  # in files of trained networks the convolution is number 1
                        *pointwise(outputs[source], linked, True, device, strides[index] // strides[source]),
                        nn.ReLU(inplace=True),
                    )
                read += linked
        # Under paper rules every reader of an output starts with a ReLU, so the layer itself ends with it: one instead
        # of many, and in place. Published pools and links read outputs as they are.
        self.activation = nn.ReLU() if published else nn.Identity()
        self.classifier = mark(Linear(read.stored, classes, device=device), None, read)

    def flops(self, image_size: int) -> int:  # noqa: D102
        side, multiply_adds = image_size, math.prod(real_shape(self.classifier, "weight"))
        for index, layer in enumerate(self.layers):
            multiply_adds += side**2 * weights(layer)
            if index + 1 in self.reductions or isinstance(layer, nn.MaxPool2d | nn.AvgPool2d):
                side = -(-side // 2)
            links = [self.links[f"{source}_{index}"] for source in self.sources[index] if self.links]
            multiply_adds += side**2 * sum(map(weights, links))
        return 2 * multiply_adds

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Logits (N, classes) of images (N, channels, H, W)."""
        own: dict[int, torch.Tensor] = {}  # layers' own outputs, before any concatenation, that are still to be read
        x = pad_images(images, self.images)
        for index, layer in enumerate(self.layers):
            own[index] = checkpointed(layer, x) if self.checkpointing and self.training else layer(x)
            if index + 1 in self.reductions:
                own = {source: _halve(output) for source, output in own.items()}
            x = self._read(own, index)
            own = {source: output for source, output in own.items() if self._last_read[source] > index}
        return self.classifier(mean_of_pixels(self.activation(x)))

    def _read(self, own: dict[int, torch.Tensor], index: int) -> torch.Tensor:
        """What the next layer reads: a layer's own output and what is linked to it."""
        linked = [self._linked(own[source], source, index) for source in self.sources[index]]
        return torch.cat([own[index], *linked], dim=1) if linked else own[index]

    def _linked(self, output: torch.Tensor, source: int, index: int) -> torch.Tensor:
        name = f"{source}_{index}"
        return self.links[name](output) if name in self.links else output


def _halve(images: torch.Tensor) -> torch.Tensor:
    return nn.functional.max_pool2d(images, 2, ceil_mode=True)


def _operation(layer: MacroLayer, width: Channels, bias: bool, device: str) -> list[nn.Module]:
    """The modules that follow the 1×1 convolution of a layer; a ReLU stands before each convolution."""
    relu = nn.ReLU(inplace=True)  # nothing else reads the batch normalisation's output that it changes
    if layer.operation == "max_pool":
        return [MaxPool2d(layer.size)]
    if layer.operation == "average_pool":
        return [AveragePool2d(layer.size)]
    if layer.operation == "convolution":
        return [relu, *conv_bn(width, width, layer.size, bias, device)]

    return [relu, *separable(width, layer.size, bias, device), relu, *separable(width, layer.size, bias, device)]


def _paper_layer(layer: MacroLayer, first: bool, inputs: Channels, width: Channels, device: str) -> nn.Module:
    if first:
        modules = conv_bn(inputs, width, layer.size, bias=False, device=device)
    else:
        # Pools have the 1×1 convolution too, or their filters would mean nothing.
        modules = [
            *conv_bn(inputs, width, 1, bias=False, device=device),
            *_operation(layer, width, bias=False, device=device),
        ]
    return nn.Sequential(*modules, nn.ReLU(inplace=True))


def _published_layer(layer: MacroLayer, first: bool, inputs: Channels, width: Channels, device: str) -> nn.Module:
    if first:
        return nn.Sequential(*conv_bn(inputs, width, layer.size, bias=True, device=device))
    if layer.operation == "max_pool":
        return nn.MaxPool2d(2, ceil_mode=True)
    if layer.operation == "average_pool":
        return nn.AvgPool2d(2, ceil_mode=True)
    return nn.Sequential(
        nn.ReLU(), *conv_bn(inputs, width, 1, bias=True, device=device), *_operation(layer, width, True, device)
    )
