"""Features of architectures, for every search space that surrogates know."""

from __future__ import annotations

from abc import ABC, abstractmethod
from functools import cached_property
from typing import NamedTuple

import numpy as np

from nases_env.children.protocol import Protocol
from nases_env.search_spaces import SearchSpace, registry

VERSION = 1
"""Version of the features. A surrogate that was fitted on another version's would predict nonsense."""


class ImageShape(NamedTuple):
    """The images that children see."""

    side: int
    """Pixels of a side."""
    channels: int
    classes: int


class Features(ABC):
    """Features of a space's architectures.

    Args:
        space: The space that the rows are from.
        protocol: How children are built.
        images: The images that children see.
    """

    def __init__(self, space: SearchSpace, protocol: Protocol, images: ImageShape):
        self._space = space

    @cached_property
    def count(self) -> int:
        """Features of a row, F."""
        some = self._space.discretise(np.zeros((1, self._space.origin_size)))
        return self(some)[0].shape[1]

    @abstractmethod
    def __call__(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Compute what is known of the architectures of rows (K, m).

        Returns:
            Their features, float64 (K, F), the children's exact numbers of parameters, int64 (K,), and their exact
            FLOPs of one image, int64 (K,).
        """

    @abstractmethod
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
