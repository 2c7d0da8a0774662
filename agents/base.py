"""What every agent is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from nases_env.search_spaces import Architecture

if TYPE_CHECKING:
    from agents.recorder import Recorder


@dataclass(frozen=True)
class Transition:
    """K steps, one in each of K searches."""

    observations: np.ndarray
    """Origin vectors before, (K, m)."""
    actions: np.ndarray
    """(K, n)."""
    rewards: np.ndarray
    """(K,)."""
    next_observations: np.ndarray
    """Origin vectors built, (K, m)."""


class Agent(ABC):
    """Chooses actions and learns from their rewards.

    Args:
        env: The recorded environment; agents know Gymnasium and `get_wrapper_attr("space")`, `("decoder")`.
        seed: Seed of the agent's own randomness and of the environment's first reset.
        settings: The agent's own settings; None for its defaults.
    """

    env_kwargs: ClassVar[dict[str, Any]] = {}
    """Environment keywords the agent needs."""

    def __init__(self, env: Recorder, seed: int, settings: Any = None):
        self.seed = seed
        self._decoder = env.get_wrapper_attr("decoder")
        self.rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(1,)))
        self.source = ""
        """What the last action came from, for the record."""

    def start_from(self, observations: np.ndarray) -> np.ndarray:
        """Actions (K, n) that decode near known origin vectors (K, m): where a search starts from."""
        return self._decoder.encode(observations)

    @abstractmethod
    def act(self, observations: np.ndarray) -> np.ndarray:
        """Actions (K, n) for the last origin vectors (K, m)."""

    def learn(self, transition: Transition) -> dict[str, float]:
        """Learn from what the actions brought; returns numbers to log."""
        return {}

    def state_dict(self) -> dict[str, np.ndarray]:
        """What was learned, to carry elsewhere; resuming a search needs none of it."""
        return {}

    def run(self, env: Recorder, children: int, start: Architecture | None = None) -> None:
        """Search: build so many children, one after the other.

        Args:
            env: The recorded environment.
            children: The budget.
            start: A known network: the first state, and the first child is what its encoding decodes to.
        """
        observation, _ = env.reset(seed=self.seed, options={} if start is None else {"architecture": start})
        for child in range(children):
            if child == 0 and start is not None:
                actions, env.source = self.start_from(observation[None]), "start"
            else:
                actions = self.act(observation[None])
                env.source = self.source
            next_observation, reward, _, _, _ = env.step(actions[0])
            transition = Transition(observation[None], actions, np.array([reward]), next_observation[None])
            env.log(self.learn(transition))
            observation = next_observation
