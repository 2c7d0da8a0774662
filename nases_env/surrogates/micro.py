"""Features of micro architectures: their sizes, what their cells put out untrained, and which operations make it.

They are computed for many rows of `MicroSpace.discretise` at once, which are the same for all rows that mean the same
network.
"""

from __future__ import annotations

import numpy as np
from scipy.special import ndtr

from nases_env.children.micro_sizes import Layout, MicroSizes, cell_order
from nases_env.children.protocol import Protocol
from nases_env.search_spaces.base import SearchSpace
from nases_env.search_spaces.micro import CELL_INPUTS, CELLS, NODES, OPERATIONS
from nases_env.surrogates.cell_statistics import Statistics, untrained
from nases_env.surrogates.features import Features, ImageShape

DECAYS = (0.8, 0.5)
"""Shares of a signal that are left behind an operation that weakens it; there are signals of either kind."""

_FACTORS = np.concatenate(
    [[np.full(len(OPERATIONS), decay), *np.where(np.eye(len(OPERATIONS)), decay, 1.0)] for decay in DECAYS]
).T
"""What each operation leaves of several signals, (operations, n): for each decay one signal that all operations weaken,
and for each operation one that it alone weakens."""


class MicroFeatures(Features):
    """Features of micro architectures.

    An edge's *share* in its node is its share of the untrained variance, and so is a node's share in what its cell
    gives. Along shares, every node and edge has an *influence* on what the cell gives.

    Args:
        space: The micro space that the rows are from.
        protocol: How children are built: cells, width and filters are read.
        images: The images that children see.
    """

    def __init__(self, space: SearchSpace, protocol: Protocol, images: ImageShape):
        super().__init__(space, protocol, images)
        self._sizes = MicroSizes(space, protocol, *images)
        self._order = cell_order(protocol)

    def __call__(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Compute what is known of the architectures of rows (K, 40).

        Returns:
            Their features, float64 (K, F), the children's exact numbers of parameters, int64 (K,), and their exact
            FLOPs of one image, int64 (K,).
        """
        layout = self._sizes.layout(rows)
        totals = self._sizes.totals(layout)
        groups = {"totals": np.log(np.stack(totals, axis=1)), **self._groups(layout)}
        return np.concatenate([group.reshape(len(rows), -1) for group in groups.values()], axis=1), *totals

    def choices(self, rows: np.ndarray) -> np.ndarray:
        """The decisions of rows (K, 40) themselves, float64 (K, n): inputs and operations one-hot."""
        hot = [column[:, None] == np.arange(bins) for column, bins in zip(rows.T, self._space.bins(), strict=True)]
        return np.concatenate(hot, axis=1).astype(float)

    def _groups(self, layout: Layout) -> dict[str, np.ndarray]:
        """The features in groups of what they tell, (K, n) or (K, 2, n) each, with an n for each cell."""
        inputs, operations, ends = (part.reshape(-1, *part.shape[2:]) for part in layout)
        statistics = untrained(inputs, operations)
        given = ends * (statistics.common + statistics.own)
        given = given / given.sum(axis=1, keepdims=True)
        nodes, edges = _influence(inputs, given, statistics.shares)
        read = np.minimum(inputs, CELL_INPUTS)  # either input, or some node
        through = _signals(inputs, given, statistics.shares[..., None] * _FACTORS[operations])
        width = ends.sum(axis=1, keepdims=True)
        groups = {
            "ends": np.concatenate([width, np.log(width)], axis=1),
            "operations": _by_kind(operations, len(OPERATIONS), np.ones_like(edges)),
            "influence of operations by what they read": _by_kind(
                read * len(OPERATIONS) + operations, (CELL_INPUTS + 1) * len(OPERATIONS), edges
            ),
            "influence of nodes": nodes,
            "outputs": _outputs(ends, statistics),
        }
        by_cell = {name: group.reshape(*layout.ends.shape[:2], -1) for name, group in groups.items()}
        return by_cell | {"classifier_signals": self._classifier(through.reshape(-1, len(CELLS), *through.shape[1:]))}

    def _classifier(self, through: np.ndarray) -> np.ndarray:
        """The signals that reach the classifier, (K, n), by what cells leave of each input's, (K, 2, 2, n)."""
        before_last = last = np.ones_like(through[:, 0, 0])
        for cell in self._order:
            before_last, last = last, through[:, cell, 0] * before_last + through[:, cell, 1] * last
        return last


def _by_kind(kinds: np.ndarray, count: int, edges: np.ndarray) -> np.ndarray:
    """The sums of numbers (C, NODES, 2) of edges by their kinds, integers (C, NODES, 2) below a count: (C, count)."""
    places = np.arange(len(kinds))[:, None, None] * count + kinds
    return np.bincount(places.ravel(), edges.ravel(), len(kinds) * count).reshape(-1, count)


def _influence(inputs: np.ndarray, given: np.ndarray, shares: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The influence of nodes (C, NODES) and of edges (C, NODES, 2) on what a cell gives, in which nodes have shares."""
    nodes, edges = given.copy(), np.empty_like(shares)
    for node in range(NODES - 1, -1, -1):
        edges[:, node] = nodes[:, node, None] * shares[:, node]
        reads = inputs[:, node, :, None] == CELL_INPUTS + np.arange(NODES)
        nodes += (edges[:, node, :, None] * reads).sum(axis=1)
    return nodes, edges


def _signals(inputs: np.ndarray, given: np.ndarray, factors: np.ndarray) -> np.ndarray:
    """Follow signals that start as 1 in either input of cells and are weakened by the edges' factors (C, NODES, 2, n).

    Returns:
        What the cell gives of each, (C, 2, n).
    """
    cells = np.arange(len(inputs))[:, None]
    signals = np.zeros((len(inputs), CELL_INPUTS + NODES, CELL_INPUTS, factors.shape[3]))
    signals[:, range(CELL_INPUTS), range(CELL_INPUTS)] = 1
    for node in range(NODES):
        edges = factors[:, node, :, None] * signals[cells, inputs[:, node]]
        signals[:, CELL_INPUTS + node] = edges[:, 0] + edges[:, 1]
    return (given[:, :, None, None] * signals[:, CELL_INPUTS:]).sum(axis=1)


def _outputs(ends: np.ndarray, statistics: Statistics) -> np.ndarray:
    """What a classifier or another cell would read of what untrained cells give, (C, n).

    The first numbers are what a classifier's loss curves with: behind ReLU, the square of what all images have in
    common, and the variance between images.
    """
    means, variances = statistics.means, statistics.common + statistics.own
    deviations = np.sqrt(variances)
    positive = ndtr(means / deviations)
    density = np.exp(-((means / deviations) ** 2) / 2) / np.sqrt(2 * np.pi)
    rectified = means * positive + deviations * density
    in_common = np.log((ends * rectified**2).sum(axis=1))
    between = np.log((ends * positive**2 * (statistics.common + statistics.own / 4)).sum(axis=1))
    logs, width = np.log(variances), ends.sum(axis=1)
    numbers = [
        in_common,
        in_common**2,
        between,
        np.where(ends, logs, -np.inf).max(axis=1),
        np.where(ends, logs, np.inf).min(axis=1),
        (ends * logs).sum(axis=1) / width,
        np.log((ends * variances).sum(axis=1) / width),
        (ends * means).sum(axis=1) / width,
        (ends * means).max(axis=1),
    ]
    return np.stack(numbers, axis=1)
