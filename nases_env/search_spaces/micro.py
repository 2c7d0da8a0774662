"""v3's micro space: a normal and a reduction cell of 5 nodes, the operations of ENAS (v3, section 3; Pham et al. 2018).

A node adds two operations' outputs, each of one of the two cells before or of an earlier node. What a cell gives is the
concatenation of the nodes that no other node reads, so no node is dead.
"""

from __future__ import annotations

import itertools
import json
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple, Self

import numpy as np

from nases_env.search_spaces.base import HIGH, LOW, Architecture, Dimension, SearchSpace, check_list
from nases_env.words import shown

NODES = 5
OPERATIONS = ("identity", "separable_3x3", "separable_5x5", "average_pool_3x3", "max_pool_3x3")
CELLS = ("normal", "reduction")
CELL_INPUTS = 2
"""Inputs 0 and 1 of a node: the cell before the last one, and the last one. Input 2 + i is node i."""
FIELDS = ("first_input", "first_operation", "second_input", "second_operation")

_EDGE_CODES = (CELL_INPUTS + NODES - 1) * len(OPERATIONS)
_NODE_CODES = _EDGE_CODES**2
_PLACES = np.array(list(itertools.permutations(range(NODES))))
"""New places (120, NODES) of the nodes."""
_AT_ONCE = 1000
"""Rows whose numberings are in memory together."""


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
        cells = {"space": self.space, "normal": self.normal, "reduction": self.reduction}
        return json.dumps(cells, separators=(",", ":"))

    @classmethod
    def _from_fields(cls, fields: dict[str, Any]) -> Self:
        return MicroSpace().architecture(_row(*(fields[name] for name in CELLS)))  # type: ignore[return-value]

    def __str__(self) -> str:
        cells = ((name, getattr(self, name)) for name in CELLS)
        return "; ".join(f"{name}: {', '.join(' + '.join(map(str, node)) for node in cell)}" for name, cell in cells)


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
        return self._built(_canonical(row[None])[0])

    def _built(self, row: np.ndarray) -> MicroArchitecture:
        nodes = row.reshape(len(CELLS), NODES, 2, 2).tolist()
        return MicroArchitecture(
            *(tuple(tuple(Edge(i, OPERATIONS[o]) for i, o in node) for node in cell) for cell in nodes)  # type: ignore[arg-type]
        )

    def row(self, architecture: Architecture) -> np.ndarray:
        """The row (40,) of an architecture."""
        if not isinstance(architecture, MicroArchitecture):
            raise ValueError(f"expected a micro architecture, got {shown(architecture)}")
        return _row(architecture.normal, architecture.reduction)

    def describe(self, rows: np.ndarray) -> tuple[list[str], list[str]]:
        """What `str` and `key` of the architectures of rows (K, 40) are."""
        architectures = [self._built(row) for row in rows]
        return [str(each) for each in architectures], [each.key for each in architectures]

    def from_json(self, text: str) -> MicroArchitecture:
        """The architecture of `MicroArchitecture.to_json`."""
        return MicroArchitecture.from_json(text)

    def origin_of(self, architecture: Architecture) -> np.ndarray:
        """An origin vector, float32 (40,), that means this architecture: the middles of its bins."""
        return self.origin(self.row(architecture)[None])[0]


def _bins(field: str, node: int) -> tuple[tuple[float, ...], tuple[str, ...]]:
    """Edges and labels of one of a node's numbers."""
    labels = OPERATIONS if field.endswith("operation") else tuple(map(input_name, range(CELL_INPUTS + node)))
    return tuple(np.linspace(LOW, HIGH, len(labels) + 1).tolist()), labels


def _canonical(rows: np.ndarray) -> np.ndarray:
    """The first, in alphabetical order, of all rows that mean the same networks as rows (K, 40)."""
    pieces = np.array_split(rows, max(1, -(-len(rows) // _AT_ONCE)))
    return np.concatenate([_first_numbering(piece) for piece in pieces])


def _first_numbering(rows: np.ndarray) -> np.ndarray:
    cells = rows.reshape(-1, 1, NODES, 2, 2)
    count, numberings = len(cells), len(_PLACES)
    # Where every input lies once the nodes have other places, for each numbering: (120, 7).
    moved = np.concatenate([np.tile(np.arange(CELL_INPUTS), (numberings, 1)), CELL_INPUTS + _PLACES], axis=1)
    every = np.arange(numberings)[None, :, None, None]
    inputs = moved[every, cells[..., 0]]
    possible = (inputs < CELL_INPUTS + _PLACES[None, :, :, None]).all(axis=(2, 3))
    edges = np.sort(inputs * len(OPERATIONS) + cells[..., 1], axis=3)
    nodes = edges[..., 0] * _EDGE_CODES + edges[..., 1]
    placed = np.empty_like(nodes)
    np.put_along_axis(placed, np.broadcast_to(_PLACES, nodes.shape), nodes, axis=2)
    codes = placed @ _NODE_CODES ** np.arange(NODES)[::-1]
    first = np.where(possible, codes, np.iinfo(np.int64).max).argmin(axis=1)
    chosen = placed[np.arange(count), first]
    halves = np.stack([chosen // _EDGE_CODES, chosen % _EDGE_CODES], axis=2)
    parts = np.stack([halves // len(OPERATIONS), halves % len(OPERATIONS)], axis=3)
    return parts.reshape(rows.shape)


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
