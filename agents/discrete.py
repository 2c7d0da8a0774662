"""What agents share that choose a bin for every number of an origin vector."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, ClassVar

import numpy as np

from agents.base import Agent, Transition
from agents.trace import Trace


class DiscreteAgent(Agent):
    """Chooses a bin of each of the space's dimensions; its action is the bins' centres, for the identity decoder."""

    env_kwargs: ClassVar[dict[str, Any]] = {"decoder": "identity"}

    def __init__(self, env: Trace, seed: int, settings: Any = None):
        super().__init__(env, seed, settings)
        self.space = env.get_wrapper_attr("space")
        self.bins = np.array([len(dimension.centres) for dimension in self.space.dimensions])
        """Choices of each dimension, (m,)."""
        self._choices = np.empty((0, len(self.bins)), dtype=np.int64)

    def start_from(self, observations: np.ndarray) -> np.ndarray:
        """The bins that known origin vectors lie in."""
        self._choices = self.bins_of(observations)
        return self._decoder.encode(observations)

    def act(self, observations: np.ndarray) -> np.ndarray:
        """The centres of the chosen bins."""
        self.sources, self._choices = self.choose(len(observations))
        return self._decoder.encode(self.space.origin(self._choices))

    def learn(self, transition: Transition) -> dict[str, float]:
        """Learn which choices brought which rewards."""
        return self.observe(self._choices, transition.rewards)

    def random_choices(self, count: int) -> np.ndarray:
        """Every bin equally often, (count, m)."""
        return self.rng.integers(self.bins, size=(count, len(self.bins)))

    def bins_of(self, origins: np.ndarray) -> np.ndarray:
        """The bins of origin vectors (K, m)."""
        columns = [
            np.searchsorted(dimension.edges[1:-1], origins[:, i], side="left")
            for i, dimension in enumerate(self.space.dimensions)
        ]
        return np.stack(columns, axis=1)

    @abstractmethod
    def choose(self, count: int) -> tuple[list[str], np.ndarray]:
        """Choices (count, m), and what each came from."""

    @abstractmethod
    def observe(self, choices: np.ndarray, rewards: np.ndarray) -> dict[str, float]:
        """Learn from choices (K, m) and their rewards (K,); returns numbers to log."""
