"""Optuna's samplers, asked and told: TPE, CMA-ES and a Gaussian process."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from agents.base import Agent, Transition
from agents.trace import Trace


class OptunaAgent(Agent):
    """A study of the action's numbers, in memory; subclasses name its sampler."""

    settings_class = dict
    name: ClassVar[str]
    sampler: ClassVar[str]
    """Its class in optuna.samplers."""
    settings: ClassVar[dict[str, Any]] = {}
    """Its keywords."""

    def __init__(self, env: Trace, seed: int, settings: dict[str, Any] | None = None):
        import optuna

        super().__init__(env, seed, settings)
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        sampler = getattr(optuna.samplers, self.sampler)(
            seed=int(self.rng.integers(2**31)), **(self.settings | (settings or {}))
        )
        self._study = optuna.create_study(direction="maximize", sampler=sampler)
        names = [f"action_{i:02}" for i in range(self._decoder.action_size)]
        self._distributions: dict[str, Any] = {name: optuna.distributions.FloatDistribution(0.0, 1.0) for name in names}
        self._asked: list[Any] = []

    def start_from(self, observations: np.ndarray) -> np.ndarray:
        """The encodings of known origin vectors, told as they were enqueued."""
        actions = super().start_from(observations)
        for action in actions:
            self._study.enqueue_trial(dict(zip(self._distributions, action.tolist(), strict=True)))
        self._asked = [self._study.ask(self._distributions) for _ in actions]
        return actions

    def act(self, observations: np.ndarray) -> np.ndarray:
        """What the sampler asks for."""
        self.sources = [self.name] * len(observations)
        self._asked = [self._study.ask(self._distributions) for _ in observations]
        return np.array([[*trial.params.values()] for trial in self._asked], dtype=np.float32)

    def learn(self, transition: Transition) -> dict[str, float]:
        """Tell the sampler."""
        for trial, reward in zip(self._asked, transition.rewards.tolist(), strict=True):
            self._study.tell(trial, reward)
        return {}


class TPE(OptunaAgent):
    """Tree-structured Parzen estimators (Bergstra et al. 2011)."""

    name, sampler = "tpe", "TPESampler"


class CMAES(OptunaAgent):
    """Covariance matrix adaptation (Hansen 2016)."""

    name, sampler = "cmaes", "CmaEsSampler"
    settings: ClassVar[dict[str, Any]] = {"sigma0": 0.17, "n_startup_trials": 1, "popsize": 12}


class GP(OptunaAgent):
    """Bayesian optimisation with a Gaussian process."""

    name, sampler = "gp", "GPSampler"
