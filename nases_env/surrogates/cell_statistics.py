"""What the numbers in a cell are like before it is trained: their mean, how they vary, and what varies them.

Nothing in a cell normalises sums and pools, so sums grow and max pools raise the mean: that decides whether the first
steps of training succeed, and whose numbers the next cell mostly sees. Every batch normalisation starts anew from mean
0 and variance 1. The model is coarse: numbers are normal, and windows see a whole image, as in the last stage of small
images.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from nases_env.search_spaces.micro import CELL_INPUTS, NODES, OPERATIONS

NORMALISED = (0.5, 0.5)
"""The variance of a normalised number: what all pixels of an image have in common, and what is a pixel's own."""
MIXED = {"average_pool_3x3": 0.25, "max_pool_3x3": 0.4}
"""The share of pixels' own variance that a pool makes common to them; the rest is lost."""
RAISED = {"max_pool_3x3": 1.0}
"""By how many of the pixels' own deviations an operation raises the mean."""

_NEW = np.array([NORMALISED if name.startswith("separable") else (0, 0) for name in OPERATIONS])
_KEEPS = np.array([(not name.startswith("separable"), name == "identity") for name in OPERATIONS], dtype=float)
_MIXED = np.array([(MIXED.get(name, 0), 0) for name in OPERATIONS])
_RAISED = np.array([RAISED.get(name, 0) for name in OPERATIONS])


class Statistics(NamedTuple):
    """Of the numbers that the nodes of C cells put out."""

    means: np.ndarray
    """(C, NODES)"""
    common: np.ndarray
    """The variance that all pixels of an image have in common, (C, NODES)."""
    own: np.ndarray
    """The variance that is a pixel's own, (C, NODES)."""
    shares: np.ndarray
    """The share of each of a node's two edges in its variance, (C, NODES, 2)."""


def untrained(inputs: np.ndarray, operations: np.ndarray) -> Statistics:
    """The statistics of cells before training, from what their edges read and do, (C, NODES, 2) each."""
    count, states = len(inputs), CELL_INPUTS + NODES
    cells = np.arange(count)[:, None]
    means, shares = np.zeros((count, states)), np.empty(inputs.shape)
    covariance = np.zeros((count, states, states, len(NORMALISED)))  # of inputs and nodes; they share what both read
    covariance[:, range(CELL_INPUTS), range(CELL_INPUTS)] = NORMALISED
    for node in range(NODES):
        state, read, done = CELL_INPUTS + node, inputs[:, node], operations[:, node]
        variances, keeps = covariance[cells, read, read], _KEEPS[done]
        fresh = _NEW[done] + _MIXED[done] * variances[:, :, 1:]
        means[:, state] = _sum(keeps[:, :, 0] * means[cells, read] + _RAISED[done] * np.sqrt(variances[:, :, 1]))
        edges = (keeps * variances + fresh).sum(axis=2)  # what is kept is kept whole
        shares[:, node] = edges / _sum(edges)[:, None]
        shared = _sum(keeps[:, :, None] * covariance[cells, read])
        covariance[:, state] = covariance[:, :, state] = shared
        covariance[:, state, state] = _sum(keeps * shared[cells, read] + fresh)
    common, own = np.diagonal(covariance, axis1=1, axis2=2)[:, :, CELL_INPUTS:].swapaxes(0, 1)
    return Statistics(means[:, CELL_INPUTS:], common, own, shares)


def _sum(edges: np.ndarray) -> np.ndarray:
    """The sum of a node's two edges, (C, 2, …) → (C, …)."""
    return edges[:, 0] + edges[:, 1]
