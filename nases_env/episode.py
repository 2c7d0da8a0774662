"""One search in progress: what its children share, and which architectures it has had."""

from __future__ import annotations

from typing import Any

import numpy as np

from nases_env.pipeline import Child
from nases_env.search_spaces import Architecture, SearchSpace


class Episode:
    """The state that an environment keeps of one search.

    Args:
        space: Where its origin vectors come from.
    """

    def __init__(self, space: SearchSpace):
        self._space = space
        self._seen: set[str] = set()
        self.child_seed = 0
        """Seed of every child of this search."""
        self.architecture: Architecture | None = None
        """The last child's, or the drawn one; None before the first start."""

    def start(self, rng: np.random.Generator, given: np.ndarray | None) -> tuple[np.ndarray, dict[str, Any]]:
        """Draw a child seed and an origin vector; both are drawn also where the vector (m,) is given.

        Returns:
            The origin vector and what `reset` tells about it.
        """
        self.child_seed = int(rng.integers(2**31))
        drawn = self._space.sample(rng, 1)[0]
        origin = drawn if given is None else given
        self.architecture = self._space.architecture(self._space.discretise(origin[None])[0])
        self._seen.clear()
        return origin, {"architecture": str(self.architecture), "architecture_key": self.architecture.key}

    def take(self, child: Child) -> dict[str, Any]:
        """Go on to a child; returns what `step` tells about it."""
        self.architecture = child.architecture
        key = child.architecture.key
        info = {
            "train_accuracy": child.evaluation.train_accuracy,
            "validation_accuracy": child.evaluation.validation_accuracy,
            "parameters": child.evaluation.parameters,
            "flops": child.evaluation.flops,
            "architecture": str(child.architecture),
            "architecture_key": key,
            "cached": key in self._seen,
            "failure": child.evaluation.failure,
        }
        self._seen.add(key)
        return info
