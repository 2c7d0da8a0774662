"""Random search in the action box: the baseline every search has to beat."""

from __future__ import annotations

import numpy as np

from agents.base import Agent


class RandomSearch(Agent):
    """Draws every action uniformly."""

    def act(self, observations: np.ndarray) -> np.ndarray:
        """Uniform actions."""
        self.sources = ["random"] * len(observations)
        return self.rng.uniform(size=(len(observations), self._decoder.action_size)).astype(np.float32)
