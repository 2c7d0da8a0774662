"""One search in progress: what its children share, and which architectures it has had."""

from __future__ import annotations

from typing import Any

import numpy as np

from nases_env.evaluation import Evaluation, Evaluations
from nases_env.search_spaces import Architecture, SearchSpace


class Episode:
    """The state that an environment keeps of one search.

    Args:
        space: Where its origin vectors come from.
    """

    def __init__(self, space: SearchSpace):
        self._space = space
        self._seen: set[str] = set()
        self._row: np.ndarray | None = None
        self.child_seed = 0
        """Seed of every child of this search."""

    @property
    def started(self) -> bool:
        """Whether there was a first start."""
        return self._row is not None

    @property
    def architecture(self) -> Architecture | None:
        """The last child's, or the drawn one; None before the first start."""
        return None if self._row is None else self._space.architecture(self._row)

    def start(self, rng: np.random.Generator, given: np.ndarray | None) -> tuple[np.ndarray, dict[str, Any]]:
        """Draw a child seed and an origin vector; both are drawn also where the vector (m,) is given.

        Returns:
            The origin vector and what `reset` tells about it.
        """
        self.child_seed = int(rng.integers(2**31))
        drawn = self._space.sample(rng, 1)[0]
        origin = drawn if given is None else given
        rows = self._space.discretise(origin[None])
        (text,), (key,) = self._space.describe(rows)
        self._row = rows[0]
        self._seen.clear()
        return origin, {"architecture": text, "architecture_key": key}

    def take(self, row: np.ndarray, key: str) -> bool:
        """Go on to a child; returns whether its architecture had been a child before."""
        self._row = row
        cached = key in self._seen
        self._seen.add(key)
        return cached


def step_info(evaluation: Evaluation | Evaluations, text: Any, key: Any, cached: Any) -> dict[str, Any]:
    """What `step` tells about a child, or arrays (K,) about K children."""
    return {
        "train_accuracy": evaluation.train_accuracy,
        "validation_accuracy": evaluation.validation_accuracy,
        "parameters": evaluation.parameters,
        "flops": evaluation.flops,
        "architecture": text,
        "architecture_key": key,
        "cached": cached,
        "failure": evaluation.failure,
    }
