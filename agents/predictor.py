"""Search guided by a predictor of rewards (as in progressive NAS, Liu et al. 2018, arXiv 1712.00559)."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPRegressor
from threadpoolctl import threadpool_limits

from agents.discrete import DiscreteAgent
from agents.trace import Trace


@dataclass(frozen=True)
class PredictorSettings:
    """An ensemble of small networks, as the paper's MLP ensemble."""

    warmup: int = 30
    """Random children in the beginning."""
    every: int = 20
    """Children between two fits."""
    members: int = 5
    """Networks in the ensemble."""
    hidden: int = 64
    """Hidden units of each network."""
    parents: int = 10
    """The best children, whose mutants are candidates."""
    candidates: int = 1000
    """Candidates that the predictor chooses from: so many mutants of the best, and a third as many random ones."""
    mutations: int = 4
    """Numbers of a parent that are chosen anew, at most."""


class PredictorGuided(DiscreteAgent):
    """Builds the candidate with the highest predicted reward.

    The paper widens cells step by step. Here the number of choices is always the same, so only the predictor grows.
    """

    settings_class = PredictorSettings

    def __init__(self, env: Trace, seed: int, settings: PredictorSettings | None = None):
        super().__init__(env, seed, settings)
        self.settings = settings or PredictorSettings()
        self._seen: list[np.ndarray] = []
        self._rewards: list[float] = []
        self._ensemble: list[MLPRegressor] = []
        self._fitted_on = 0

    def choose(self, count: int) -> tuple[list[str], np.ndarray]:
        """Choose at random in the warm-up, then the best of the candidates."""
        warmup = max(0, min(count, self.settings.warmup - len(self._seen)))
        chosen = self.random_choices(warmup)
        if warmup < count:
            chosen = np.concatenate([chosen, self._predicted_best(count - warmup)])
        return ["warmup"] * warmup + ["predictor"] * (count - warmup), chosen

    def observe(self, choices: np.ndarray, rewards: np.ndarray) -> dict[str, float]:
        """Remember the children."""
        self._seen += list(choices)
        self._rewards += rewards.tolist()
        return {}

    def _predicted_best(self, count: int) -> np.ndarray:
        if not self._seen:
            return self.random_choices(count)
        if not self._ensemble or len(self._seen) - self._fitted_on >= self.settings.every:
            self._fit()
        candidates = np.concatenate([self._mutants(), self.random_choices(self.settings.candidates // 3)])
        inputs = self._inputs(candidates)
        predicted = np.mean([member.predict(inputs) for member in self._ensemble], axis=0)
        return candidates[np.argsort(-predicted, kind="stable")[:count]]

    def _mutants(self) -> np.ndarray:
        best = np.argsort(-np.array(self._rewards), kind="stable")[: self.settings.parents]
        mutants = np.stack([self._seen[i] for i in self.rng.choice(best, self.settings.candidates)])
        for mutant in mutants:
            positions = self.rng.choice(len(mutant), self.rng.integers(1, self.settings.mutations + 1), replace=False)
            mutant[positions] = self.rng.integers(self.bins[positions])
        return mutants

    def _fit(self) -> None:
        inputs, rewards = self._inputs(np.stack(self._seen)), np.array(self._rewards)
        seeds = self.rng.integers(2**31, size=self.settings.members).tolist()
        self._ensemble = [
            MLPRegressor(
                hidden_layer_sizes=(self.settings.hidden,), alpha=1.0, solver="lbfgs", max_iter=100, random_state=seed
            )
            for seed in seeds
        ]
        with warnings.catch_warnings(), threadpool_limits(1):  # more threads cost more than such small products gain
            warnings.simplefilter("ignore", ConvergenceWarning)  # a hundred steps are meant to be enough
            for member in self._ensemble:
                member.fit(inputs, rewards)
        self._fitted_on = len(self._seen)

    def _inputs(self, choices: np.ndarray) -> np.ndarray:
        """The predictor's inputs (K, inputs): where each number lies in its range, and named bins one-hot."""
        named = [i for i, dimension in enumerate(self.space.dimensions) if dimension.labels]
        hot = [choices[:, i, None] == np.arange(self.bins[i]) for i in named]
        return np.concatenate([2 * choices / (self.bins - 1) - 1, *hot], axis=1)
