"""Random search in the action box: the baseline every search has to beat."""

from __future__ import annotations

import numpy as np

from agents.base import Agent
from agents.recorder import Recorder


class RandomSearch(Agent):
    """Draws every action uniformly."""

    def __init__(self, env: Recorder, seed: int, settings: None = None):
        super().__init__(env, seed, settings)
        self.source = "random"

    def act(self, observations: np.ndarray) -> np.ndarray:
        """Uniform actions."""
        return self.rng.uniform(size=(len(observations), self._decoder.action_size)).astype(np.float32)
