"""Optuna's samplers, asked and told: TPE, CMA-ES and a Gaussian process."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

from agents.base import START, Agent, Proposal
from agents.trace import Trace


class OptunaAgent(Agent):
    """Searches with an Optuna study of the action's numbers, kept in memory; subclasses name its sampler.

    A proposal's memo is the number of its trial.
    """

    settings_class = dict
    name: ClassVar[str]
    sampler: ClassVar[str]
    """Name of the sampler's class in optuna.samplers."""
    settings: ClassVar[dict[str, Any]] = {}
    """The sampler's keywords."""

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

    def start_from(self, states: np.ndarray) -> list[Proposal]:
        """Propose the encodings of known origin vectors, as trials that were enqueued."""
        actions = self._decoder.encode(states)
        for action in actions:
            self._study.enqueue_trial(dict(zip(self._distributions, action.tolist(), strict=True)))
        return [Proposal(action, START, self._study.ask(self._distributions).number) for action in actions]

    def ask(self, states: np.ndarray) -> list[Proposal]:
        """Propose what the sampler asks for."""
        trials = [self._study.ask(self._distributions) for _ in states]
        actions = np.array([[*trial.params.values()] for trial in trials], dtype=np.float32)
        return [Proposal(action, self.name, trial.number) for action, trial in zip(actions, trials, strict=True)]

    def tell(self, proposals: Sequence[Proposal], rewards: np.ndarray, next_states: np.ndarray) -> dict[str, float]:
        """Tell the sampler."""
        for proposal, reward in zip(proposals, rewards.tolist(), strict=True):
            self._study.tell(proposal.memo, reward)
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
