"""v3's micro space: a normal and a reduction cell of 5 nodes, the operations of ENAS (v3, section 3; Pham et al. 2018).

A node adds two operations' outputs, each of one of the two cells before or of an earlier node. What a cell gives is the
concatenation of the nodes that no other node reads, so no node is dead.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, ClassVar, NamedTuple, Self

import numpy as np

from nases_env.search_spaces.base import HIGH, LOW, Architecture, Dimension, SearchSpace, check_list, key
from nases_env.words import shown

NODES = 5
OPERATIONS = ("identity", "separable_3x3", "separable_5x5", "average_pool_3x3", "max_pool_3x3")
CELLS = ("normal", "reduction")
CELL_INPUTS = 2
"""Inputs 0 and 1 of a node: the cell before the last one, and the last one. Input 2 + i is node i."""
FIELDS = ("first_input", "first_operation", "second_input", "second_operation")

_EDGE_CODES = (CELL_INPUTS + NODES - 1) * len(OPERATIONS)
_NODE_CODES = _EDGE_CODES**2
_PLACES = np.array(list(zip(*itertools.permutations(range(NODES)), strict=True)), dtype=np.int16)
"""New places of the nodes, (NODES, 120)."""
_MOVED = np.concatenate(
    [np.arange(CELL_INPUTS, dtype=np.int16)[:, None].repeat(_PLACES.shape[1], 1), CELL_INPUTS + _PLACES]
)
"""Where every input lies once the nodes have other places, (CELL_INPUTS + NODES, 120)."""
_WORTH = _NODE_CODES ** (NODES - 1 - _PLACES.astype(np.int64))
"""What a node's code counts in its cell's, by its place, (NODES, 120)."""
_AT_ONCE = 128
"""Rows whose numberings are in memory together: they fit a cache."""


class Edge(NamedTuple):
    """What a node reads, and what it does to it."""

    input: int
    """0, 1: the cell before the last one, the last one; 2 + i: node i of this cell."""
    operation: str

    def __str__(self) -> str:
        return f"{self.operation}({input_name(self.input)})"


Node = tuple[Edge, Edge]
Cell = tuple[Node, ...]


def input_name(index: int) -> str:
    """A node's input in words: `cell-2`, `cell-1`, `node1` …"""
    return f"cell-{CELL_INPUTS - index}" if index < CELL_INPUTS else f"node{index - CELL_INPUTS + 1}"


def outputs(cell: Cell) -> tuple[int, ...]:
    """The nodes, 0-based, that no node reads: what the cell gives."""
    read = {edge.input - CELL_INPUTS for node in cell for edge in node}
    return tuple(node for node in range(NODES) if node not in read)


@dataclass(frozen=True)
class MicroArchitecture(Architecture):
    """Two cells. Make one with `MicroSpace.architecture`, which keeps it canonical."""

    space: ClassVar[str] = "micro"

    normal: Cell
    reduction: Cell

    def to_json(self) -> str:
        """Canonical JSON with the keys space, normal and reduction: 5 nodes of two (input, operation)."""
        return _json([_described(node)[1] for node in (*self.normal, *self.reduction)])

    @classmethod
    def _from_fields(cls, fields: dict[str, Any]) -> Self:
        return MicroSpace().architecture(_row(*(fields[name] for name in CELLS)))  # type: ignore[return-value]

    def __str__(self) -> str:
        return _text([_described(node)[0] for node in (*self.normal, *self.reduction)])


class MicroSpace(SearchSpace):
    """Origin vectors of 2 cells × 5 nodes × (input, operation, input, operation), cut into equal bins.

    A row of `discretise` has the same 40 integers: inputs, see `Edge`, and indices into OPERATIONS. Of all rows that
    mean the same cells (a node's two halves exchanged, nodes numbered otherwise) it is the first in alphabetical order.
    """

    name = MicroArchitecture.space

    def __init__(self) -> None:
        self.dimensions = tuple(
            Dimension(field, 1 + NODES * cell + node, *_bins(field, node))
            for cell in range(len(CELLS))
            for node in range(NODES)
            for field in FIELDS
        )

    def __reduce__(self) -> tuple[Any, ...]:
        return MicroSpace, ()

    def discretise(self, origins: np.ndarray) -> np.ndarray:
        """Rows (K, 40), see the class."""
        return _canonical(self.choices(self.check_origins(origins)))

    def decisions(self, rows: np.ndarray) -> dict[str, np.ndarray]:
        """input and operation (K, 20 each)."""
        return {"input": rows[:, 0::2], "operation": rows[:, 1::2]}

    def architecture(self, row: np.ndarray) -> MicroArchitecture:
        """The architecture of one row of `discretise`, (40,)."""
        cells = _canonical(row[None]).reshape(len(CELLS), NODES, 4).tolist()
        return MicroArchitecture(*(tuple(_node(*node) for node in cell) for cell in cells))

    def row(self, architecture: Architecture) -> np.ndarray:
        """The row (40,) of an architecture."""
        if not isinstance(architecture, MicroArchitecture):
            raise ValueError(f"expected a micro architecture, got {shown(architecture)}")
        return _row(architecture.normal, architecture.reduction)

    def describe(self, rows: np.ndarray) -> tuple[list[str], list[str]]:
        """What `str` and `key` of the architectures of rows (K, 40) are; no architecture is built."""
        texts, keys = [], []
        for nodes in rows.reshape(len(rows), -1, 4).tolist():
            names, fragments = zip(*(_described(_node(*node)) for node in nodes), strict=True)
            texts.append(_text(names))
            keys.append(key(_json(fragments)))
        return texts, keys

    def from_json(self, text: str) -> MicroArchitecture:
        """The architecture of `MicroArchitecture.to_json`."""
        return MicroArchitecture.from_json(text)

    def origin_of(self, architecture: Architecture) -> np.ndarray:
        """An origin vector, float32 (40,), that means this architecture: the middles of its bins."""
        return self.origin(self.row(architecture)[None])[0]


@cache
def _node(first: int, first_operation: int, second: int, second_operation: int) -> Node:
    """The node of four numbers of a row; there are a thousand of them."""
    return Edge(first, OPERATIONS[first_operation]), Edge(second, OPERATIONS[second_operation])


@cache
def _described(node: Node) -> tuple[str, str]:
    """A node as a text to read and as JSON."""
    return " + ".join(map(str, node)), json.dumps(node, separators=(",", ":"))


def _json(nodes: Sequence[str]) -> str:
    """JSON of an architecture, from that of the nodes of both cells."""
    cells = (f'"{name}":[{",".join(nodes[i * NODES : (i + 1) * NODES])}]' for i, name in enumerate(CELLS))
    return f'{{"space":"{MicroArchitecture.space}",{",".join(cells)}}}'


def _text(nodes: Sequence[str]) -> str:
    """A line to read: the nodes of each cell."""
    return "; ".join(f"{name}: {', '.join(nodes[i * NODES : (i + 1) * NODES])}" for i, name in enumerate(CELLS))


def _bins(field: str, node: int) -> tuple[tuple[float, ...], tuple[str, ...]]:
    """Edges and labels of one of a node's numbers."""
    labels = OPERATIONS if field.endswith("operation") else tuple(map(input_name, range(CELL_INPUTS + node)))
    return tuple(np.linspace(LOW, HIGH, len(labels) + 1).tolist()), labels


def _canonical(rows: np.ndarray) -> np.ndarray:
    """The first, in alphabetical order, of all rows that mean the same networks as rows (K, 40)."""
    pieces = np.array_split(rows, max(1, -(-len(rows) // _AT_ONCE)))
    return np.concatenate([_first_numbering(piece) for piece in pieces])


def _first_numbering(rows: np.ndarray) -> np.ndarray:
    cells = rows.reshape(-1, NODES, 2, 2).astype(np.int16)  # a node's code is below 1,000
    inputs = _MOVED[cells[..., 0]]
    possible = (inputs < CELL_INPUTS + _PLACES[:, None]).all(axis=(1, 2))
    edges = inputs * len(OPERATIONS) + cells[..., 1, None]
    first, second = edges[:, :, 0], edges[:, :, 1]
    nodes = np.minimum(first, second) * _EDGE_CODES + np.maximum(first, second)
    codes = np.where(possible, (nodes * _WORTH).sum(axis=1), np.iinfo(np.int64).max)
    return _cells(codes.min(axis=1)).reshape(rows.shape)


def _cells(codes: np.ndarray) -> np.ndarray:
    """Inputs and operations (C, NODES, 2, 2) of cells whose nodes and edges are the digits of a number."""
    nodes = codes[:, None] // _NODE_CODES ** np.arange(NODES)[::-1] % _NODE_CODES
    edges = np.stack([nodes // _EDGE_CODES, nodes % _EDGE_CODES], axis=2)
    return np.stack([edges // len(OPERATIONS), edges % len(OPERATIONS)], axis=3)


def _row(*cells) -> np.ndarray:
    """The canonical row (40,) of two cells as they stand in JSON; ValueError where they are none."""
    numbers = []
    for cell in cells:
        check_list(cell, "nodes", NODES)
        for index, node in enumerate(cell):
            check_list(node, "halves of a node", 2)
            for half in node:
                check_list(half, "parts of a node's half (input, operation)", 2)
                source, operation = half
                if type(source) is not int or not 0 <= source < CELL_INPUTS + index:
                    raise ValueError(f"node {index + 1} reads input {shown(source)} of 0 to {CELL_INPUTS + index - 1}")
                if operation not in OPERATIONS:
                    raise ValueError(f"there is no operation {shown(operation)}; there are {', '.join(OPERATIONS)}")
                numbers += [source, OPERATIONS.index(operation)]
    return _canonical(np.array([numbers], dtype=np.int64))[0]
