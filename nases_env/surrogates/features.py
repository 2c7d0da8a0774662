"""Features of architectures, for every search space that surrogates know."""

from __future__ import annotations

import typing

import numpy as np

from nases_env.children.protocol import Protocol
from nases_env.search_spaces import SearchSpace, registry
from nases_env.surrogates.macro import ImageShape

VERSION = 1
"""Version of the features. A surrogate that was fitted on another version's would predict nonsense."""


class Features(typing.Protocol):
    """Features of a space's architectures, see `macro.MacroFeatures`."""

    @property
    def count(self) -> int:
        """Features of a row, F."""

    def __call__(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Compute what is known of the architectures of rows (K, m).

        Returns:
            Their features, float64 (K, F), the children's exact numbers of parameters, int64 (K,), and their exact
            FLOPs of one image, int64 (K,).
        """

    def choices(self, rows: np.ndarray) -> np.ndarray:
        """The decisions of rows (K, m) themselves as numbers, float64 (K, n)."""


def make(space: SearchSpace, protocol: Protocol, images: ImageShape) -> Features:
    """The features of a space's architectures.

    Raises:
        ValueError: If there are none for this space or its rules.
    """
    found = registry.find(space.name)
    if space.rules_name not in found.features:
        known = [
            f"the {each.name} space under {rules} rules"
            for each in registry.REGISTERED.values()
            for rules in each.features
        ]
        raise ValueError(f"surrogates know {', '.join(known)} only, not {space.name} under {space.rules_name}")
    return registry.load(found.features[space.rules_name])(space, protocol, images)
