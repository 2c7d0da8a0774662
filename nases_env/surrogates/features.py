"""What surrogates know of an architecture, for every search space that they know."""

from __future__ import annotations

import typing

import numpy as np

from nases_env.children.protocol import Protocol
from nases_env.search_spaces import SearchSpace, registry
from nases_env.surrogates.macro import Images

VERSION = 1
"""Of the features: a surrogate that was fitted on others would predict nonsense."""


class Features(typing.Protocol):
    """Features of a space's architectures, see `macro.MacroFeatures`."""

    @property
    def count(self) -> int:
        """Features of a row, F."""

    def __call__(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Features, float64 (K, F), and the children's exact parameters and FLOPs of one image, int64 (K,), of rows
        (K, m).
        """

    def choices(self, rows: np.ndarray) -> np.ndarray:
        """What the space decides, as it is, float64 (K, n)."""


def make(space: SearchSpace, protocol: Protocol, images: Images) -> Features:
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
