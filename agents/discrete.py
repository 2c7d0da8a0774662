"""The base class of agents that choose a bin for every number of an origin vector."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

from agents.base import START, Agent, Proposal
from agents.trace import Trace


class DiscreteAgent(Agent):
    """Chooses a bin of each of the space's dimensions; its action is the bins' centres, for the identity decoder.

    A proposal's memo holds its choices, (m,).
    """

    env_kwargs: ClassVar[dict[str, Any]] = {"decoder": "identity"}

    def __init__(self, env: Trace, seed: int, settings: Any = None):
        super().__init__(env, seed, settings)
        self.space = env.get_wrapper_attr("space")
        self.bins = self.space.bins()
        """How many choices each dimension has, (m,)."""

    def start_from(self, states: np.ndarray) -> list[Proposal]:
        """Propose known origin vectors; their choices are the bins that they lie in."""
        actions = self._decoder.encode(states)
        return [Proposal(action, START, row) for action, row in zip(actions, self.space.choices(states), strict=True)]

    def ask(self, states: np.ndarray) -> list[Proposal]:
        """Propose the centres of the chosen bins."""
        sources, choices = self.choose(len(states))
        actions = self._decoder.encode(self.space.origin(choices))
        return [Proposal(*given) for given in zip(actions, sources, choices, strict=True)]

    def tell(self, proposals: Sequence[Proposal], rewards: np.ndarray, next_states: np.ndarray) -> dict[str, float]:
        """Learn which choices brought which rewards."""
        return self.observe(np.stack([proposal.memo for proposal in proposals]), rewards)

    def random_choices(self, count: int) -> np.ndarray:
        """Draw choices (count, m); every bin of a dimension is equally likely."""
        return self.rng.integers(self.bins, size=(count, len(self.bins)))

    @abstractmethod
    def choose(self, count: int) -> tuple[list[str], np.ndarray]:
        """Choose for so many children; returns a source for each, and their choices (count, m)."""

    @abstractmethod
    def observe(self, choices: np.ndarray, rewards: np.ndarray) -> dict[str, float]:
        """Learn from choices (K, m) and their rewards (K,); returns numbers to log."""
