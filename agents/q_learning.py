"""Tabular Q-learning over the choices of one layer after the other (Baker et al. 2017, arXiv 1611.02167)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from agents.discrete import DiscreteAgent
from agents.trace import Trace


@dataclass(frozen=True)
class QLearningSettings:
    """The paper's method, its schedule shortened to 100 children."""

    learning_rate: float = 0.1
    """Learning rate of the table's entries; the paper's is 0.01 for 2,700 children."""
    exploration: tuple[float, ...] = (1.0, 1.0, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1)
    """Chance of a random choice, ε, in each ten children in turn; the last value holds afterwards."""
    replays: int = 200
    """Children drawn from memory and learned from after each child."""
    first_value: float = 0.3
    """Value of every entry of the table before anything is learned."""


class QLearning(DiscreteAgent):
    """Learns a table of values. Its state is how many choices were made; each gets an equal part of the reward (γ = 1).

    The paper's states also hold the last layer, and its reward comes with the last choice. So large a table and so late
    a reward teach nothing within a few hundred children. To give each choice a part is the reward shaping of Zhong et
    al., arXiv 1708.05552.
    """

    settings_class = QLearningSettings

    def __init__(self, env: Trace, seed: int, settings: QLearningSettings | None = None):
        super().__init__(env, seed, settings)
        self.settings = settings or QLearningSettings()
        most = int(self.bins.max())
        remaining = np.arange(len(self.bins), 0, -1) / len(self.bins)
        self._values = np.tile(self.settings.first_value * remaining[:, None], most)
        """Expected reward still to come, by position and choice."""
        self._values[np.arange(most) >= self.bins[:, None]] = -np.inf
        self._memory: list[tuple[np.ndarray, float]] = []

    def choose(self, count: int) -> tuple[list[str], np.ndarray]:
        """Make ε-greedy choices, one position after the other."""
        return ["q_learning"] * count, np.stack([self._walk(len(self._memory) + i) for i in range(count)])

    def observe(self, choices: np.ndarray, rewards: np.ndarray) -> dict[str, float]:
        """Remember the children and learn from some of them."""
        self._memory += zip(choices, rewards.tolist(), strict=True)
        for index in self.rng.integers(len(self._memory), size=self.settings.replays):
            self._update(*self._memory[index])
        return {"train/epsilon": self._epsilon(len(self._memory))}

    def _epsilon(self, child: int) -> float:
        schedule = self.settings.exploration
        return schedule[min(child // 10, len(schedule) - 1)]

    def _walk(self, child: int) -> np.ndarray:
        explore = self.rng.random(len(self.bins)) < self._epsilon(child)
        choices = self.random_choices(1)[0]
        for position in np.flatnonzero(~explore):
            values = self._values[position]
            best = np.flatnonzero(values == values.max())
            choices[position] = best[self.rng.integers(len(best))]
        return choices

    def _update(self, choices: np.ndarray, reward: float) -> None:
        """Learn from the last choice to the first, so that the reward reaches them all."""
        part, rest = reward / len(choices), 0.0
        for position in range(len(choices) - 1, -1, -1):
            entry = position, choices[position]
            self._values[entry] += self.settings.learning_rate * (part + rest - self._values[entry])
            rest = self._values[position].max()
