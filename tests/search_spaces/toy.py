"""A third space: a stack of convolutions. Everything about it lies here, and `REGISTRATION` is all that others need."""

import json
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from torch import nn

from nases_env.children.base import Child
from nases_env.children.blocks import conv_bn, weights
from nases_env.children.layers import Linear
from nases_env.children.padding import Channels, mark
from nases_env.search_spaces.base import Architecture, Dimension, SearchSpace
from nases_env.search_spaces.registry import Registration

LAYERS, FILTERS, SIZES = (1, 2, 3), (8, 16), (1, 3)


@dataclass(frozen=True)
class ToyArchitecture(Architecture):
    space: ClassVar[str] = "toy"

    layers: int
    filters: int
    size: int

    def to_json(self):
        return json.dumps({"space": self.space, "layers": self.layers, "filters": self.filters, "size": self.size})

    @classmethod
    def _from_fields(cls, fields):
        return cls(*(fields[name] for name in ("layers", "filters", "size")))

    def __str__(self):
        return f"{self.layers} × convolution {self.size}x{self.size} {self.filters}"


class ToySpace(SearchSpace):
    name = ToyArchitecture.space
    dimensions = tuple(
        Dimension(name, 1, tuple(np.linspace(0, 30, len(choices) + 1).tolist()), tuple(map(str, choices)))
        for name, choices in {"layers": LAYERS, "filters": FILTERS, "size": SIZES}.items()
    )

    def discretise(self, origins):
        return self.choices(self.check_origins(origins))

    def decisions(self, rows):
        return {dimension.name: rows[:, i : i + 1] for i, dimension in enumerate(self.dimensions)}

    def architecture(self, row):
        return ToyArchitecture(LAYERS[row[0]], FILTERS[row[1]], SIZES[row[2]])

    def row(self, architecture):
        return np.array(
            [LAYERS.index(architecture.layers), FILTERS.index(architecture.filters), SIZES.index(architecture.size)]
        )

    def describe(self, rows):
        architectures = [self.architecture(row) for row in rows]
        return list(map(str, architectures)), [each.key for each in architectures]

    def origin_of(self, architecture):
        return self.origin(self.row(architecture))[0]

    def from_json(self, text):
        return ToyArchitecture.from_json(text)


class ToyChild(Child):
    def __init__(self, architecture, protocol, channels, classes, checkpointing=False, device="cpu"):
        super().__init__()
        self.layers = nn.Sequential()
        read, filters = Channels.padded(channels, 1), Channels.padded(architecture.filters, protocol.channel_multiple)
        for _ in range(architecture.layers):
            self.layers.extend([*conv_bn(read, filters, architecture.size, False, device), nn.ReLU()])
            read = filters
        self.classifier = mark(Linear(read.stored, classes, device=device), None, read)

    def flops(self, image_size):
        return 2 * (image_size**2 * weights(self.layers) + self.classifier.weight.numel())

    def forward(self, images: torch.Tensor):
        return self.classifier(self.layers(images).mean(dim=(2, 3)))


def table(architecture):
    return f"toy\n{architecture}"


def picture(architecture):
    return np.full((700, 1500, 3), 10 * architecture.layers, np.uint8)


REGISTRATION = Registration(
    architecture=ToyArchitecture,
    make=lambda rules: ToySpace(),
    rules=("paper",),
    child=f"{__name__}:ToyChild",
    rendering=__name__,
)
