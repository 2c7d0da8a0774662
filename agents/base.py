"""What every agent is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from nases_env.search_spaces import Architecture

if TYPE_CHECKING:
    from agents.trace import Trace


@dataclass(frozen=True)
class NoSettings:
    """There is nothing to set."""


@dataclass(frozen=True)
class Transition:
    """K steps: of K searches, or of one that chooses K children at once."""

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
        env: The environment behind its trace; agents know Gymnasium and `get_wrapper_attr("space")`, `("decoder")`.
        seed: Seed of the agent's own randomness and of the environment's first reset.
        settings: The agent's own settings; None for its defaults.
    """

    env_kwargs: ClassVar[dict[str, Any]] = {}
    """Environment keywords the agent needs."""
    settings_class: ClassVar[type] = NoSettings
    """What its settings are an instance of."""
    batches: ClassVar[bool] = True
    """Whether it can choose several children before any of them is known."""

    def __init__(self, env: Trace, seed: int, settings: Any = None):
        self.seed = seed
        self._decoder = env.get_wrapper_attr("decoder")
        self.rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(1,)))
        self.sources: list[str] = []
        """What each of the last actions came from, for the record; `act` sets one word for each."""

    def start_from(self, observations: np.ndarray) -> np.ndarray:
        """Actions (K, n) that decode near known origin vectors (K, m): where a search starts from."""
        return self._decoder.encode(observations)

    @abstractmethod
    def act(self, observations: np.ndarray) -> np.ndarray:
        """Actions (K, n) for the last origin vectors (K, m); sets `sources`."""

    def learn(self, transition: Transition) -> dict[str, float]:
        """Learn from what the actions brought; returns numbers to log."""
        return {}

    def state_dict(self) -> dict[str, np.ndarray]:
        """What was learned, to carry elsewhere; resuming a search needs none of it."""
        return {}

    def run(self, env: Trace, children: int, start: Architecture | None = None, batch: int = 1) -> None:
        """Search: build so many children.

        Args:
            env: The environment behind its trace.
            children: The budget.
            start: A known network: the first state, and the first child is what its encoding decodes to.
            batch: Children that are chosen before any of them is known; workers train them at once.
        """
        observation, _ = env.reset(seed=self.seed, options={} if start is None else {"architecture": start})
        if start is not None:
            self.sources = ["start"]
            observation = self._build(env, observation[None], self.start_from(observation[None]))
        while env.steps < children:
            observations = np.repeat(observation[None], min(batch, children - env.steps), axis=0)
            observation = self._build(env, observations, self.act(observations))

    def _build(self, env: Trace, observations: np.ndarray, actions: np.ndarray) -> np.ndarray:
        """Build the children of actions (K, n), learn from them; the last one's origin vector (m,)."""
        if len(actions) > 1:
            env.get_wrapper_attr("prefetch")(actions)
        built = []
        for action, source in zip(actions, self.sources, strict=True):
            env.source = source
            next_observation, reward, _, _, _ = env.step(action)
            built.append((next_observation, reward))
        next_observations, rewards = (np.array(values) for values in zip(*built, strict=True))
        env.log(self.learn(Transition(observations, actions, rewards, next_observations)))
        return next_observations[-1]
