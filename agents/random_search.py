"""Random search, in the embedding and in the origin space: the baseline every search has to beat."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from agents.base import Agent, Proposal


class RandomSearch(Agent):
    """Draws every action uniformly."""

    def ask(self, states: np.ndarray) -> list[Proposal]:
        """Propose uniform actions."""
        actions = self.rng.uniform(size=(len(states), self._decoder.action_size)).astype(np.float32)
        return [Proposal(action, "random") for action in actions]


class RandomOrigin(RandomSearch):
    """Draws every origin vector uniformly."""

    env_kwargs: ClassVar[dict[str, Any]] = {"decoder": "identity"}
