"""REINFORCE in embedding space: Algorithm 1 (v1, section 4.2.2)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import get_args

import numpy as np
import torch

from agents.base import Agent, Transition
from agents.controller import Controller, Policy
from agents.reward_pool import Baseline, Batch, RewardPool
from agents.trace import Trace


@dataclass(frozen=True)
class ReinforceSettings:
    """Settings of Algorithm 1. The defaults are what won on the digits surrogate, `paper` has the paper's."""

    policy: Policy = "logit_normal"
    """Distribution over embeddings, see Controller. The paper: Bernoulli; its released code: deterministic."""
    learning_rate: float = 1e-4
    """Adam's. The paper's stage-1 value, 1e-5, hardly moves it within 100 children."""
    sigma: float = 0.4
    """First standard deviation of logit_normal, before the sigmoid."""
    warmup: int = 20
    """Random children in the beginning, without updates."""
    epsilon: float = 0.05
    """Chance of a random child afterwards."""
    population: int = 10
    """The controller goes on from one of so many last children; 1: from the last one, as in the paper."""
    tournament: int = 5
    """Of them, drawn evenly, the best one."""
    pool: bool = True
    """Whether updates sample the pool; else they see what was built last."""
    baseline: Baseline = "pool"
    """What rewards are compared with, see RewardPool."""
    samples: int = 3
    """Pool entries per update."""
    updates: int = 3
    """Adam steps after each child."""
    pretrained: bool = True
    """Whether the controller starts from the simulator's weights."""

    def __post_init__(self) -> None:
        whole = {"warmup": 0, "updates": 0, "population": 1, "tournament": 1, "samples": 1}
        for name, least in whole.items():
            value = getattr(self, name)
            self._check(name, type(value) is int and value >= least, f"a whole number, at least {least}")
        for name in ("learning_rate", "sigma", "epsilon"):
            self._check(name, type(getattr(self, name)) in (int, float), "a number")
        self._check("learning_rate", self.learning_rate >= 0, "at least 0")
        self._check("sigma", self.sigma > 0, "above 0")
        self._check("epsilon", 0 <= self.epsilon <= 1, "between 0 and 1")
        for name, known in (("policy", get_args(Policy)), ("baseline", get_args(Baseline))):
            self._check(name, getattr(self, name) in known, f"one of {known}")
        for name in ("pool", "pretrained"):
            self._check(name, type(getattr(self, name)) is bool, "true or false")

    def _check(self, name: str, holds: bool, expected: str) -> None:
        if not holds:
            raise ValueError(f"reinforce's {name} is {getattr(self, name)!r}; expected {expected}")

    @classmethod
    def paper(cls) -> ReinforceSettings:
        """The paper's letter (section 4.2.2)."""
        return cls(
            policy="bernoulli", learning_rate=1e-5, warmup=10, epsilon=0.1, population=1, tournament=1, updates=1
        )


class Reinforce(Agent):
    """Controller, reward pool and ε-greedy exploration."""

    settings_class = ReinforceSettings

    def __init__(self, env: Trace, seed: int, settings: ReinforceSettings | None = None):
        super().__init__(env, seed, settings)
        self.settings = settings or ReinforceSettings()
        # Fresh weights from a generator of their own: agents of one seed share their random children.
        weights = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(2,)))
        self.controller = Controller(
            self._decoder, self.settings.policy, self.settings.sigma, self.settings.pretrained, weights
        )
        self.pool = RewardPool(self.settings.baseline)
        self._optimiser = torch.optim.Adam(self.controller.parameters(), lr=self.settings.learning_rate)
        self._embeddings = np.empty((0, self._decoder.action_size), dtype=np.float32)
        """Of the last actions, as they were drawn: a table and a clip are not undone exactly."""
        self._states = np.empty((0, self._decoder.origin_size), dtype=np.float32)
        """What the controller saw for each of them."""

    def start_from(self, observations: np.ndarray) -> np.ndarray:
        """The encodings of known origin vectors; `bernoulli` learns from them as from soft bits."""
        actions = super().start_from(observations)
        self._states, self._embeddings = observations, self._decoder.action_to_code(actions)
        return actions

    def act(self, observations: np.ndarray) -> np.ndarray:
        """Actions (K, n): random in the warm-up and with probability ε, else drawn by the controller."""
        # One after the other: a batch cut by the budget draws what the whole one would.
        drawn = [self._draw(observation, len(self.pool) + i) for i, observation in enumerate(observations)]
        self.sources = [source for source, _, _ in drawn]
        self._states = np.stack([state for _, state, _ in drawn])
        self._embeddings = np.concatenate([embedding for _, _, embedding in drawn])
        return np.clip(self._decoder.code_to_action(self._embeddings), 0.0, 1.0)

    def _draw(self, observation: np.ndarray, child: int) -> tuple[str, np.ndarray, np.ndarray]:
        """Source, state (m,) and embedding (1, n) of one child."""
        if child < self.settings.warmup:
            return "warmup", observation, self.controller.random(1, self.rng)
        state = self._state(observation)
        if self.rng.random() < self.settings.epsilon:
            return "epsilon", state, self.controller.random(1, self.rng)
        return "controller", state, self.controller.sample(state[None], self.rng)

    def _state(self, last: np.ndarray) -> np.ndarray:
        """The child (m,) that the controller goes on from: the winner of a tournament among the last ones."""
        population, tournament = self.settings.population, self.settings.tournament
        if population == 1 or not len(self.pool):
            return last
        return self.pool.tournament(population, tournament, self.rng)

    def learn(self, transition: Transition) -> dict[str, float]:
        """Add to the pool; after the warm-up, ascend the scores of sampled entries, weighted by their advantages."""
        built, rewards = transition.next_observations, transition.rewards
        for entry in zip(self._states, self._embeddings, built, rewards, strict=True):
            self.pool.add(*entry)
        after_warmup = min(len(transition.rewards), len(self.pool) - self.settings.warmup)
        if after_warmup <= 0 or not self.settings.updates:
            return {}
        for _ in range(self.settings.updates * after_warmup):
            # Scored under the present policy, without importance weights, as in the paper.
            batch = self._batch(after_warmup)
            scores = self.controller.score(batch.states, batch.embeddings)
            loss = -(torch.from_numpy(batch.advantages).float() * scores).mean()
            self._optimiser.zero_grad()
            loss.backward()
            self._optimiser.step()
        return {
            "train/loss": float(loss.detach()),
            "train/log_probability": float(scores.detach().mean()),
            "train/sigma": float(self.controller.log_sigma.detach().exp().mean()),
            "train/pool_size": float(len(self.pool)),
        }

    def _batch(self, new: int) -> Batch:
        """What an update learns from, after so many new children."""
        return self.pool.sample(self.settings.samples, self.rng) if self.settings.pool else self.pool.last(new)

    def state_dict(self) -> dict[str, np.ndarray]:
        """The controller's weights."""
        return {name: tensor.numpy() for name, tensor in self.controller.state_dict().items()}
