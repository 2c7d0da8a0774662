"""Regularised evolution (Real et al. 2019, arXiv 1802.01548): the oldest dies, not the worst."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import numpy as np

from agents.discrete import DiscreteAgent
from agents.trace import Trace


@dataclass(frozen=True)
class EvolutionSettings:
    """The defaults won on the digits surrogate with 100 children.

    The paper has a population of 100 and samples of 25 for 20,000 children.
    """

    population: int = 10
    """So many children live, the last ones; a search begins with as many random children."""
    sample: int = 5
    """So many of the living are drawn evenly; the best of them is the parent."""
    mutations: int = 3
    """So many numbers of the parent are chosen anew."""


class RegularisedEvolution(DiscreteAgent):
    """Tournament selection and mutation of an ageing population."""

    settings_class = EvolutionSettings

    def __init__(self, env: Trace, seed: int, settings: EvolutionSettings | None = None):
        super().__init__(env, seed, settings)
        self.settings = settings or EvolutionSettings()
        self._population: deque[tuple[float, np.ndarray]] = deque(maxlen=self.settings.population)

    def choose(self, count: int) -> tuple[list[str], np.ndarray]:
        """Choose at random until the population is full, then mutants."""
        missing = min(count, self.settings.population - len(self._population))
        mutants = [self._mutant() for _ in range(count - missing)] if missing < count else []
        choices = np.concatenate([self.random_choices(missing), *(mutant[None] for mutant in mutants)])
        return ["random"] * missing + ["mutation"] * len(mutants), choices

    def observe(self, choices: np.ndarray, rewards: np.ndarray) -> dict[str, float]:
        """Add the children; the oldest ones die."""
        self._population.extend(zip(rewards.tolist(), choices, strict=True))
        return {"train/population_reward": float(np.mean([reward for reward, _ in self._population]))}

    def _mutant(self) -> np.ndarray:
        if not self._population:
            return self.random_choices(1)[0]
        size = min(self.settings.sample, len(self._population))
        drawn = self.rng.choice(len(self._population), size, replace=False)
        _, parent = max((self._population[i] for i in drawn), key=lambda member: member[0])
        child = parent.copy()
        for position in self.rng.choice(len(child), self.settings.mutations, replace=False):
            other = self.rng.integers(self.bins[position] - 1)
            child[position] = other + (other >= parent[position])  # never the same again
        return child
