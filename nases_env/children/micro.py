"""A micro architecture as a network (v3; Pham et al. 2018, Zoph et al. 2018).

stem → N normal cells → reduction → N normal cells → reduction → N normal cells → classifier
"""

from __future__ import annotations

import math
from typing import cast

import torch
from torch import nn

from nases_env.children.base import Child
from nases_env.children.blocks import checkpointed, conv_bn, separable, weights
from nases_env.children.graph import Number
from nases_env.children.layers import AveragePool2d, BatchNorm2d, Conv2d, Linear, MaxPool2d, mean_of_pixels
from nases_env.children.micro_sizes import STAGES, STEM_FACTOR, STEM_SIZE
from nases_env.children.padding import Channels, mark, pad_images, real_shape, whole_multiple
from nases_env.children.protocol import Protocol
from nases_env.search_spaces import micro
from nases_env.search_spaces.micro import CELL_INPUTS, MicroArchitecture

AUXILIARY_FILTERS = (128, 768)


class MicroChild(Child):
    """Three stages of normal cells with reduction cells between them; every reduction doubles the filters.

    A cell reads no input that its nodes do not read. What halves without weights (identities in a reduction cell, and
    the output of the cell before a reduction for the cell after it) is an average pool; the papers do not say.

    Its weights are not drawn yet, see `build.materialise`.

    Args:
        architecture: The two cells.
        protocol: How to build it: stage_cells, cell_filters, width and added filters are read, and for training
            drop_path and auxiliary_weight.
        channels: Channels of an image.
        classes: Number of classes.
        checkpointing: Whether a cell's inside is computed again in the backward pass, not kept: less memory, more
            time.
        device: Where its weights are.
    """

    training_only = ("auxiliary",)

    def __init__(
        self,
        architecture: MicroArchitecture,
        protocol: Protocol,
        channels: int,
        classes: int,
        checkpointing: bool = False,
        device: str = "cpu",
    ):
        super().__init__()
        self.checkpointing = checkpointing
        self.drop_path, self.auxiliary_weight = protocol.drop_path, protocol.auxiliary_weight
        self.images = Channels.padded(channels, whole_multiple(protocol.channel_multiple, device))
        filters = protocol.filters(protocol.cell_filters)
        stem = Channels.padded(STEM_FACTOR * filters, protocol.channel_multiple)
        self.stem = nn.Sequential(*conv_bn(self.images, stem, STEM_SIZE, bias=False, device=device))
        self.cells = nn.ModuleList()
        self.auxiliary: nn.Module | None = None
        before_last, last, halved = stem, stem, False
        for stage in range(STAGES):
            width = Channels.padded(filters * 2**stage, protocol.channel_multiple)
            reductions = [True] if stage else []
            for reduces in [*reductions, *[False] * protocol.stage_cells]:
                nodes = architecture.reduction if reduces else architecture.normal
                cell = CellNetwork(nodes, before_last, last, width, halved, reduces, device)
                self.cells.append(cell)
                before_last, last, halved = last, cell.outputs, reduces
        self._auxiliary_cell = len(self.cells) - protocol.stage_cells - 1
        if self.auxiliary_weight:
            self.auxiliary = AuxiliaryHead(self._cells[self._auxiliary_cell].outputs, classes, device)
        self.classifier = mark(Linear(last.stored, classes, device=device), None, last)

    @property
    def _cells(self) -> list[CellNetwork]:
        return cast("list[CellNetwork]", list(self.cells))

    def flops(self, image_size: int) -> int:  # noqa: D102
        side, before = image_size, image_size
        multiply_adds = math.prod(real_shape(self.classifier, "weight")) + side**2 * weights(self.stem)
        for cell in self._cells:
            multiply_adds += cell.multiply_adds(before, side)
            before, side = side, cell.side(side)
        return 2 * multiply_adds

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Logits (N, classes) of images (N, channels, H, W)."""
        return self._logits(images, 0.0, None)[0]

    def loss(
        self, images: torch.Tensor, labels: torch.Tensor, progress: Number, generator: torch.Generator
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """The cross-entropy, plus the weighted one of the auxiliary head.

        Paths are dropped more often the further the training is.
        """
        drop_path = self.drop_path * progress if self.drop_path else 0.0
        logits, auxiliary = self._logits(images, drop_path, generator)
        loss = nn.functional.cross_entropy(logits, labels)
        if auxiliary is not None:
            loss = loss + self.auxiliary_weight * nn.functional.cross_entropy(auxiliary, labels)
        return loss, logits

    def _logits(
        self, images: torch.Tensor, drop_path: Number, generator: torch.Generator | None
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Logits, and those of the auxiliary head: None where there is no head or the network is not in training."""
        before_last = last = self.stem(pad_images(images, self.images))
        auxiliary = None
        for index, cell in enumerate(self._cells):
            kept = cell.draw_paths(images, drop_path * (index + 1) / len(self.cells), generator)
            run = checkpointed if self.checkpointing and self.training else _plainly
            before_last, last = last, run(cell, before_last, last, *kept)
            if self.training and self.auxiliary is not None and index == self._auxiliary_cell:
                auxiliary = self.auxiliary(last)
        return self.classifier(mean_of_pixels(nn.functional.relu(last))), auxiliary


class CellNetwork(nn.Module):
    """Nodes that each add two operations. The cell's output is the nodes that no node reads, concatenated.

    Args:
        nodes: The cell as the architecture has it.
        before_last: Channels of the cell before the last one.
        last: Channels of the last cell.
        width: Channels of every node.
        halved: Whether the last cell halved the images, so that those of the one before it are twice as large.
        reduces: Whether this cell halves the images.
        device: Where its weights are.
    """

    def __init__(
        self,
        nodes: micro.Cell,
        before_last: Channels,
        last: Channels,
        width: Channels,
        halved: bool,
        reduces: bool,
        device: str,
    ):
        super().__init__()
        self.sources = [edge.input for node in nodes for edge in node]
        self.reduces, self.halved = reduces, halved
        self._given = micro.outputs(nodes)
        self.outputs = Channels(width.pieces * len(self._given))
        given = ((before_last, halved), (last, False))
        self.inputs = nn.ModuleDict(
            {
                str(index): nn.Sequential(
                    *([_Halve()] if halves else []), nn.ReLU(), *conv_bn(read, width, 1, False, device)
                )
                for index, (read, halves) in enumerate(given)
                if index in self.sources
            }
        )
        self.edges = nn.ModuleList(
            _operation(edge.operation, width, reduces and edge.input < CELL_INPUTS, device)
            for node in nodes
            for edge in node
        )
        self._droppable = [not isinstance(edge, nn.Identity) for edge in self.edges]

    def side(self, side: int) -> int:
        """Pixels a side of what this cell makes of images with so many pixels a side."""
        return -(-side // 2) if self.reduces else side

    def multiply_adds(self, before: int, side: int) -> int:
        """Multiply-adds of the cell's convolutions for one image.

        Args:
            before: Pixels a side of what the cell before the last one gave.
            side: Pixels a side of what the last cell gave.
        """
        sides = {"0": -(-before // 2) if self.halved else before, "1": side}
        inputs = sum(sides[name] ** 2 * weights(module) for name, module in self.inputs.items())
        return inputs + self.side(side) ** 2 * weights(self.edges)

    def draw_paths(
        self, images: torch.Tensor, probability: Number, generator: torch.Generator | None
    ) -> tuple[torch.Tensor, ...]:
        """Draw factors (edges, N, 1, 1, 1) that drop each edge of each image with a probability.

        A probability that is a tensor is not looked at, which would wait for the device.

        Returns:
            A tuple of the factors; it is empty in evaluation, and where nothing is to be dropped.
        """
        never = not isinstance(probability, torch.Tensor) and probability <= 0
        if not self.training or never or generator is None:
            return ()
        drawn = torch.rand((len(self.edges), len(images), 1, 1, 1), generator=generator, device=images.device)
        return ((drawn >= probability) / (1.0 - probability),)

    def forward(self, before_last: torch.Tensor, last: torch.Tensor, kept: torch.Tensor | None = None) -> torch.Tensor:
        """The cell's output (N, channels, H, W)."""
        states = {int(name): read((before_last, last)[int(name)]) for name, read in self.inputs.items()}
        for node in range(len(self.edges) // 2):
            first, second = (self._edge(index, states, kept) for index in (2 * node, 2 * node + 1))
            states[CELL_INPUTS + node] = first + second
        return torch.cat([states[CELL_INPUTS + node] for node in self._given], dim=1)

    def _edge(self, index: int, states: dict[int, torch.Tensor], kept: torch.Tensor | None) -> torch.Tensor:
        x = self.edges[index](states[self.sources[index]])
        return x if kept is None or not self._droppable[index] else x * kept[index].to(x.dtype)


class AuxiliaryHead(nn.Module):
    """A second classifier behind the last reduction, for training alone (Szegedy et al. 2015)."""

    def __init__(self, read: Channels, classes: int, device: str):
        super().__init__()
        narrow, wide = (Channels.padded(filters, 1) for filters in AUXILIARY_FILTERS)
        self.features = nn.Sequential(
            nn.ReLU(),
            nn.AdaptiveAvgPool2d(2),
            *conv_bn(read, narrow, 1, False, device),
            nn.ReLU(inplace=True),
            mark(Conv2d(narrow.stored, wide.stored, 2, bias=False, device=device), wide, narrow),
            mark(BatchNorm2d(wide.stored, device=device), wide),
            nn.ReLU(inplace=True),
        )
        self.classifier = mark(Linear(wide.stored, classes, device=device), None, wide)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Logits (N, classes)."""
        return self.classifier(self.features(images).flatten(1))


class _Halve(nn.AvgPool2d):
    """Gives half as many pixels a side, rounded up. It is an average pool: a change of size costs no weights."""

    def __init__(self) -> None:
        super().__init__(2, ceil_mode=True, count_include_pad=False)


def _plainly(cell: nn.Module, *inputs: torch.Tensor) -> torch.Tensor:
    return cell(*inputs)


def _operation(name: str, width: Channels, halves: bool, device: str) -> nn.Module:
    """What an edge does; where it halves, its first step has a stride of 2."""
    if name == "identity":
        return _Halve() if halves else nn.Identity()
    if name == "average_pool_3x3":
        return nn.AvgPool2d(3, 2, 1, count_include_pad=False) if halves else AveragePool2d(3)
    if name == "max_pool_3x3":
        return nn.MaxPool2d(3, 2, 1) if halves else MaxPool2d(3)
    size = int(name[-1])
    return nn.Sequential(
        nn.ReLU(),  # not in place: other edges read the same
        *separable(width, size, False, device, stride=2 if halves else 1),
        nn.ReLU(inplace=True),
        *separable(width, size, False, device),
    )
