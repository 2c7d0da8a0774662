"""Sizes of many macro children at once: what `macro.MacroChild` builds under `paper` rules, as arithmetic on rows.

`padding.count_parameters` and `MacroChild.flops` count one child that was built, whatever its rules; tests hold both
to the same numbers.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from nases_env.children.protocol import Protocol
from nases_env.search_spaces.base import SearchSpace
from nases_env.search_spaces.macro import CONVOLUTION, LAYERS, OPERATIONS, PAIRS

SEPARABLE = OPERATIONS.index("separable")

_EARLY, _LATE = np.array(PAIRS).T


class Layout(NamedTuple):
    """Children by their layers."""

    operations: np.ndarray
    """What each layer does, as indices into OPERATIONS, (K, layers)."""
    sizes: np.ndarray
    """Filter sizes of the layers, (K, layers)."""
    widths: np.ndarray
    """Channels that each layer puts out, (K, layers)."""
    reads: np.ndarray
    """(K, layers + 1, layers): whether a layer, or at the end the classifier, reads another one."""
    inputs: np.ndarray
    """Channels that each reads, (K, layers + 1)."""


class MacroSizes:
    """Counts what the children of a protocol are made of.

    Args:
        space: The macro space, under `paper` rules, that the rows are from.
        protocol: Its width and reductions.
        side: Pixels of an image.
        channels: Channels of an image.
        classes: Number of classes.
    """

    def __init__(self, space: SearchSpace, protocol: Protocol, side: int, channels: int, classes: int):
        self._space, self._channels, self._classes = space, channels, classes
        self._filters = np.array([protocol.filters(10 * tens) for tens in range(31)])
        sides = [side]
        for layer in range(1, LAYERS):
            sides.append(-(-sides[-1] // 2) if layer in protocol.reductions else sides[-1])
        self._pixels = np.array(sides) ** 2

    def layout(self, rows: np.ndarray) -> Layout:
        """What the children of rows (K, 150) are made of."""
        decided = self._space.decisions(rows)
        reads = np.zeros((len(rows), LAYERS + 1, LAYERS))
        reads[:, np.arange(1, LAYERS + 1), np.arange(LAYERS)] = 1
        reads[:, _LATE + 1, _EARLY] = decided["links"]
        widths = self._filters[decided["filters"]]
        inputs = (reads * widths[:, None]).sum(axis=2).astype(np.int64)
        inputs[:, 0] = self._channels
        return Layout(decided["operation"], decided["filter_size"], widths, reads, inputs)

    def weights(self, layout: Layout) -> np.ndarray:
        """Weights of each layer's convolutions, int64 (K, layers)."""
        operations, sizes, widths = layout.operations, layout.sizes, layout.widths
        weights = layout.inputs[:, :LAYERS] * widths
        weights[:, 0] = 0  # the first layer has no 1×1 convolution
        inputs = np.concatenate([layout.inputs[:, :1], widths[:, 1:]], axis=1)
        weights = weights + (operations == CONVOLUTION) * sizes**2 * inputs * widths
        return weights + (operations == SEPARABLE) * 2 * (sizes**2 + widths) * widths

    def totals(self, layout: Layout, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Parameters of the children with these `weights`, and their FLOPs of one image, int64 (K,) each."""
        normalised = layout.widths * (1 + (layout.operations == CONVOLUTION) + 2 * (layout.operations == SEPARABLE))
        normalised[:, 0] = layout.widths[:, 0]
        classifier = layout.inputs[:, LAYERS] * self._classes
        parameters = (weights + 2 * normalised).sum(axis=1) + classifier + self._classes
        return parameters, 2 * ((weights * self._pixels).sum(axis=1) + classifier)
