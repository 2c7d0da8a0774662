"""The architectures whose children are timed."""

from __future__ import annotations

import numpy as np

from nases_env import search_spaces
from nases_env.search_spaces import Architecture, MacroArchitecture
from nases_env.search_spaces.macro import LAYERS, MacroLayer

PURE = {
    "conv3": ("convolution", 3),
    "conv5": ("convolution", 5),
    "conv7": ("convolution", 7),
    "sep5": ("separable", 5),
    "max7": ("max_pool", 7),
    "avg7": ("average_pool", 7),
}
"""Operation and size of all layers of a network, by the network's name."""
PURE_FILTERS = 170


def architectures(space_name: str, count: int, published: bool, pure: bool) -> dict[str, Architecture]:
    """What to train, by name.

    Args:
        space_name: Search space of the random architectures.
        count: Number of random architectures (seed 0).
        published: Whether the architecture published with v1 is among them.
        pure: Whether networks of LAYERS equal layers, see PURE, are among them.
    """
    space = search_spaces.make(space_name)
    rows = space.discretise(space.sample(np.random.default_rng(0), count))
    found = {f"random {i}": space.architecture(row) for i, row in enumerate(rows)}
    if published:
        found["published"] = MacroArchitecture.published()
    if pure:
        for name, (operation, size) in PURE.items():
            layers = (MacroLayer(operation, size, PURE_FILTERS),) * LAYERS
            found[f"{name} × {LAYERS}"] = MacroArchitecture("paper", layers, ())
    return found
