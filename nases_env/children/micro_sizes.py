"""Sizes of many micro children at once: what `micro.MicroChild` builds, as arithmetic on rows.

`padding.count_parameters` and `MicroChild.flops` count one child that was built; tests hold both to the same numbers.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from nases_env.children.protocol import Protocol
from nases_env.search_spaces.base import SearchSpace
from nases_env.search_spaces.micro import CELL_INPUTS, CELLS, NODES, OPERATIONS

STAGES = 3
STEM_FACTOR = 3
"""The stem has so many times the filters of a cell's node."""
STEM_SIZE = 3
NORMAL, REDUCTION = (CELLS.index(name) for name in ("normal", "reduction"))

_SEPARABLE_SIZES = np.array([int(name[-1]) if name.startswith("separable") else 0 for name in OPERATIONS])


class Layout(NamedTuple):
    """Children by their two cells, in the order of CELLS."""

    inputs: np.ndarray
    """What both edges of each node read, see `Edge`, (K, 2, NODES, 2)."""
    operations: np.ndarray
    """What each edge does, as indices into OPERATIONS, (K, 2, NODES, 2)."""
    ends: np.ndarray
    """Whether a cell gives a node, because no other node reads it, (K, 2, NODES)."""


def cell_order(protocol: Protocol) -> list[int]:
    """The cells of a child from its stem to its classifier, as indices into CELLS."""
    stage = [NORMAL] * protocol.stage_cells
    return stage + (STAGES - 1) * [REDUCTION, *stage]


class MicroSizes:
    """Counts what the children of a protocol are made of.

    Args:
        space: The micro space that the rows are from.
        protocol: Its stage_cells, cell_filters, width and added filters.
        side: Pixels of an image.
        channels: Channels of an image.
        classes: Number of classes.
    """

    def __init__(self, space: SearchSpace, protocol: Protocol, side: int, channels: int, classes: int):
        self._space, self._side, self._channels, self._classes = space, side, channels, classes
        self._filters = protocol.filters(protocol.cell_filters)
        self._order = cell_order(protocol)

    def layout(self, rows: np.ndarray) -> Layout:
        """What the children of rows (K, 40) are made of."""
        decided, shape = self._space.decisions(rows), (len(rows), len(CELLS), NODES, 2)
        inputs, operations = decided["input"].reshape(shape), decided["operation"].reshape(shape)
        nodes = CELL_INPUTS + np.arange(NODES)
        ends = (inputs.reshape(*shape[:2], -1, 1) != nodes).all(axis=2)
        return Layout(inputs, operations, ends)

    def totals(self, layout: Layout) -> tuple[np.ndarray, np.ndarray]:
        """Parameters of the children, and their FLOPs of one image, int64 (K,) each."""
        stem = STEM_FACTOR * self._filters
        weights = STEM_SIZE**2 * self._channels * stem
        parameters = np.full(len(layout.ends), weights + 2 * stem)
        multiply_adds = np.full(len(layout.ends), weights * self._side**2)
        given = [np.full(len(layout.ends), stem)] * CELL_INPUTS  # channels of the cell before the last, and of the last
        filters, side = self._filters, self._side
        for cell in self._order:
            given_side = side  # also of the cell before the last one, which is halved where it was larger
            if cell == REDUCTION:
                filters, side = 2 * filters, -(-side // 2)
            sizes = _SEPARABLE_SIZES[layout.operations[:, cell]]
            edges = 2 * (sizes**2 + filters * (sizes > 0)).sum(axis=(1, 2)) * filters
            parameters += edges + 4 * filters * (sizes > 0).sum(axis=(1, 2))
            multiply_adds += edges * side**2
            for index, channels in enumerate(given):
                reads = (layout.inputs[:, cell] == index).any(axis=(1, 2))
                parameters += reads * (channels + 2) * filters
                multiply_adds += reads * channels * filters * given_side**2
            given = [given[-1], layout.ends[:, cell].sum(axis=1) * filters]
        classifier = given[-1] * self._classes
        return parameters + classifier + self._classes, 2 * (multiply_adds + classifier)
