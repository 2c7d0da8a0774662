"""Random search, in the embedding and in the origin space: the baseline every search has to beat."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from agents.base import Agent


class RandomSearch(Agent):
    """Draws every action uniformly."""

    def act(self, observations: np.ndarray) -> np.ndarray:
        """Uniform actions."""
        self.sources = ["random"] * len(observations)
        return self.rng.uniform(size=(len(observations), self._decoder.action_size)).astype(np.float32)


class RandomOrigin(RandomSearch):
    """Draws every origin vector uniformly."""

    env_kwargs: ClassVar[dict[str, Any]] = {"decoder": "identity"}
