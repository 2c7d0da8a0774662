"""Features of macro architectures: their sizes, and how their layers lie on the paths through them.

They are computed for many rows of `MacroSpace.discretise` at once, under the rules `paper`.
"""

from __future__ import annotations

import numpy as np

from nases_env.children.macro_sizes import Layout, MacroSizes
from nases_env.children.protocol import Protocol
from nases_env.search_spaces.base import SearchSpace
from nases_env.search_spaces.macro import LAYERS, OPERATIONS, RULES
from nases_env.surrogates.features import Features, ImageShape

STAGES = 3
"""The layers are cut into so many equal parts; the protocols' reductions lie between them."""
DECAYS = (0.8, 0.5)
"""Shares of a signal that are left behind a layer that weakens it; there are signals of either kind."""
LARGEST = max(RULES["paper"].sizes)

_STAGE = np.arange(LAYERS) * STAGES // LAYERS
_SAME_STAGE = _STAGE[:, None] == _STAGE


class MacroFeatures(Features):
    """Features of macro architectures under `paper` rules.

    Every layer reads its predecessor and what is linked to it; the *share* of a layer in what another one reads is its
    share of the channels. Along shares, every layer has an *influence* on the classifier: its share in what that reads,
    directly and through other layers.

    Args:
        space: The macro space that the rows are from.
        protocol: How children are built: width and reductions are read.
        images: The images that children see.
    """

    def __init__(self, space: SearchSpace, protocol: Protocol, images: ImageShape):
        super().__init__(space, protocol, images)
        self._sizes = MacroSizes(space, protocol, *images)
        self._layers = _layer_table()

    def __call__(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Compute what is known of the architectures of rows (K, 150).

        Returns:
            Their features, float64 (K, F), the children's exact numbers of parameters, int64 (K,), and their exact
            FLOPs of one image, int64 (K,).
        """
        layout = self._sizes.layout(rows)
        weights = self._sizes.weights(layout)
        groups = self._groups(layout, weights)
        return np.concatenate([*groups.values()], axis=1), *self._sizes.totals(layout, weights)

    def choices(self, rows: np.ndarray) -> np.ndarray:
        """The decisions of rows (K, 150) themselves, float64 (K, n): operations and sizes one-hot, filters, links."""
        decided = self._space.decisions(rows)
        hot = [decided["operation"] == operation for operation in range(len(OPERATIONS))]
        hot += [decided["filter_size"] == size for size in RULES["paper"].sizes]
        return np.concatenate([*hot, decided["filters"], decided["links"]], axis=1).astype(float)

    def _groups(self, layout: Layout, weights: np.ndarray) -> dict[str, np.ndarray]:
        """The features in groups of what they tell, (K, n) each."""
        channels = layout.reads * layout.widths[:, None]
        share = channels / channels.sum(axis=2, keepdims=True).clip(min=1)
        influence, direct = _influence(share)[:, :, None], share[:, LAYERS]
        layers = self._layers[layout.operations, layout.sizes]
        operations, sized, factors = np.split(layers, (len(OPERATIONS), 2 * len(OPERATIONS)), axis=2)
        signals = _signals(share, factors)
        links = layout.reads.sum(axis=2)[:, 1:] - 1
        totals = [
            np.log(weights.sum(axis=1)),
            np.log(layout.inputs[:, LAYERS]),
            layout.inputs.max(axis=1),
            links.sum(axis=1),
            links[:, -1],
        ]
        parts = (
            weights[:, :, None],
            layout.widths[:, :, None],
            operations,
            influence * layers[:, :, : 2 * len(OPERATIONS)],
        )
        by_stage = np.concatenate(parts, axis=2).reshape(len(weights), STAGES, LAYERS // STAGES, -1).sum(axis=2)
        return {
            "totals": np.stack(totals, axis=1),
            "log_weights": np.log(by_stage[:, :, 0]),
            "width, operations": by_stage[:, :, 1:].reshape(len(weights), -1),
            "links": (layout.reads[:, :LAYERS] * _SAME_STAGE).reshape(len(weights), STAGES, -1).sum(axis=2),
            "direct": direct,
            "direct_operations": (direct[:, :, None] * operations).sum(axis=1),
            "log_narrowing": np.log(layout.widths / layout.inputs[:, :LAYERS]),
            "signal": signals[:, :LAYERS, 0],
            "classifier_signals": signals[:, LAYERS],
        }


def _influence(share: np.ndarray) -> np.ndarray:
    """The influence of each layer on the classifier, (K, layers), from shares (K, layers + 1, layers)."""
    influence = share[:, LAYERS].copy()
    for layer in range(LAYERS - 1, 0, -1):
        influence[:, :layer] += share[:, layer, :layer] * influence[:, layer, None]
    return influence


def _layer_table() -> np.ndarray:
    """What is told of a layer, by its operation and its size, (operations, sizes, n).

    The numbers tell which operation it is, of which size, and what it leaves of several signals. Every layer weakens
    the first signal of each decay; each of the others is weakened by the layers of one operation alone, some by the
    same share in each of them, some by more in larger ones.
    """
    operations = np.broadcast_to(np.eye(len(OPERATIONS))[:, None], (len(OPERATIONS), LARGEST + 1, len(OPERATIONS)))
    sizes = np.arange(LARGEST + 1)[:, None]
    reach = (sizes - 1) / 2  # pixels on either side of a window's middle
    factors = [
        decay**steps
        for decay in DECAYS
        for steps in (np.ones_like(operations[:, :, :1]), operations, operations * reach)
    ]
    return np.concatenate([operations, operations * sizes, *factors], axis=2)


def _signals(share: np.ndarray, factors: np.ndarray) -> np.ndarray:
    """Follow signals that start as 1 in the image, mix by shares and are weakened by factors (K, layers, n).

    Returns:
        What each layer puts out and, last, what the classifier gets, (K, layers + 1, n).
    """
    signals = np.zeros((len(share), LAYERS + 1, factors.shape[2]))
    signals[:, 0] = 1
    for layer in range(LAYERS):
        signals[:, layer] *= factors[:, layer]
        signals[:, layer + 1 :] += share[:, layer + 1 :, layer, None] * signals[:, layer, None]
    return signals
