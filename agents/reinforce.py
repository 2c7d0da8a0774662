"""REINFORCE in embedding space: Algorithm 1 (v1, section 4.2.2)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple, get_args

import numpy as np
import torch

from agents.base import START, Agent, Proposal
from agents.controller import Controller, Policy
from agents.critic import Critic
from agents.reward_pool import Baseline, RewardPool
from agents.trace import Trace

Update = Literal["critic", "adam"]


@dataclass(frozen=True)
class ReinforceSettings:
    """Settings of Algorithm 1. The defaults won on the digits surrogate; `paper` gives the paper's."""

    policy: Policy = "logit_normal"
    """Distribution over embeddings, see Controller. The paper: Bernoulli; its released code: deterministic."""
    sigma: float = 0.7
    """Standard deviation of logit_normal, before the sigmoid; learned by adam, fixed otherwise."""
    warmup: int = 15
    """Random children in the beginning."""
    epsilon: float = 0.0
    """Chance of a random child afterwards."""
    update: Update = "critic"
    """What is learned after each child (or batch). `critic`: a critic, from the whole pool, whose policy gradient the
    controller's logits climb before a child is drawn; its weights stay the simulator's. `adam`: the controller's
    weights, from a few entries, as in the paper; the only one for `bernoulli`, whose bits have no such gradient."""
    width: float = 1.0
    """Width of the critic's kernel, as a multiple of the distance of two uniform embeddings. (With the calibration
    `both` embeddings are a quarter as far apart.)"""
    ridge: float = 0.2
    """Variance of a reward's noise that the critic allows for, as a multiple of the rewards' variance."""
    steps: int = 20
    """Steps up the critic's policy gradient."""
    step: float = 1.0
    """Length of each of these steps, in logits."""
    draws: int = 8
    """Draws from the policy over which the gradient of a step is averaged."""
    learning_rate: float = 1e-4
    """Adam's learning rate. The paper's value for stage 1, 1e-5, hardly moves the weights within 100 children."""
    pool: bool = True
    """Whether Adam's entries are drawn from the pool; else they are what was built last."""
    samples: int = 3
    """Pool entries per step of Adam."""
    updates: int = 1
    """Steps of Adam after each child; with 0 adam learns nothing."""
    baseline: Baseline = "pool"
    """What rewards are compared with, see RewardPool. The critic takes out their mean and scale itself, so that `none`
    and `pool` are the same to it."""
    pretrained: bool = True
    """Whether the controller starts from the simulator's weights."""

    def __post_init__(self) -> None:
        for name, least in {"warmup": 0, "steps": 0, "draws": 1, "updates": 0, "samples": 1}.items():
            value = getattr(self, name)
            self._check(name, type(value) is int and value >= least, f"a whole number, at least {least}")
        for name in ("sigma", "epsilon", "width", "ridge", "step", "learning_rate"):
            self._check(name, type(getattr(self, name)) in (int, float), "a number")
        for name in ("step", "learning_rate"):
            self._check(name, getattr(self, name) >= 0, "at least 0")
        for name in ("sigma", "width"):
            self._check(name, getattr(self, name) > 0, "above 0")
        self._check("ridge", self.ridge >= 1e-6, "at least 1e-6")
        self._check("epsilon", 0 <= self.epsilon <= 1, "between 0 and 1")
        choices = {"policy": Policy, "baseline": Baseline, "update": Update}
        for name, known in choices.items():
            self._check(name, getattr(self, name) in get_args(known), f"one of {get_args(known)}")
        for name in ("pool", "pretrained"):
            self._check(name, type(getattr(self, name)) is bool, "true or false")
        bits = self.policy == "bernoulli"
        self._check("update", self.update == "adam" or not bits, "adam, with the policy bernoulli")

    def _check(self, name: str, holds: bool, expected: str) -> None:
        if not holds:
            raise ValueError(f"reinforce's {name} is {getattr(self, name)!r}; expected {expected}")

    @classmethod
    def paper(cls) -> ReinforceSettings:
        """The settings that the paper gives (section 4.2.2)."""
        return cls(policy="bernoulli", update="adam", learning_rate=1e-5, warmup=10, epsilon=0.1, updates=1)


class Memo(NamedTuple):
    """What the reward pool keeps of a proposal besides its reward."""

    state: np.ndarray
    """The origin vector that the controller saw, (m,)."""
    embedding: np.ndarray
    """The embedding as it was drawn, (n,). The action, which went through a table and a clip, does not give it back
    exactly."""


class Reinforce(Agent):
    """Controller, reward pool, critic and ε-greedy exploration; a proposal's memo is a Memo."""

    settings_class = ReinforceSettings

    def __init__(self, env: Trace, seed: int, settings: ReinforceSettings | None = None):
        super().__init__(env, seed, settings)
        self.settings = settings or ReinforceSettings()
        # Fresh weights come from a generator of their own, so that agents of one seed share their random children.
        weights = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(2,)))
        self.controller = Controller(
            self._decoder, self.settings.policy, self.settings.sigma, self.settings.pretrained, weights
        )
        self.pool = RewardPool(self.settings.baseline)
        self._optimiser = torch.optim.Adam(self.controller.parameters(), lr=self.settings.learning_rate)
        self._critic: Critic | None = None

    def start_from(self, states: np.ndarray) -> list[Proposal]:
        """Propose the encodings of known origin vectors; `bernoulli` learns from them as from soft bits."""
        actions = self._decoder.encode(states)
        memos = map(Memo, states, self._decoder.action_to_code(actions))
        return [Proposal(action, START, memo) for action, memo in zip(actions, memos, strict=True)]

    def ask(self, states: np.ndarray) -> list[Proposal]:
        """Propose what is random in the warm-up and with probability ε, and else drawn by the controller."""
        # One after the other: a batch cut by the budget draws what the whole one would.
        drawn = [self._draw(state, len(self.pool) + i) for i, state in enumerate(states)]
        embeddings = np.concatenate([embedding for _, embedding in drawn])
        actions = np.clip(self._decoder.code_to_action(embeddings), 0.0, 1.0)
        sources = [source for source, _ in drawn]
        return [Proposal(*given) for given in zip(actions, sources, map(Memo, states, embeddings), strict=True)]

    def _draw(self, state: np.ndarray, child: int) -> tuple[str, np.ndarray]:
        """Draw one child; returns its source and its embedding (1, n)."""
        if child < self.settings.warmup:
            return "warmup", self.controller.random(1, self.rng)
        if self.rng.random() < self.settings.epsilon:
            return "epsilon", self.controller.random(1, self.rng)
        logits = self.controller.logits(state[None])[0]
        if self._critic is not None:
            steps, length, draws = self.settings.steps, self.settings.step, self.settings.draws
            logits = self._critic.ascend(logits, self.controller.sigma, steps, length, draws, self.rng)
        return "controller", self.controller.draw(logits[None], self.rng)

    def tell(self, proposals: Sequence[Proposal], rewards: np.ndarray, next_states: np.ndarray) -> dict[str, float]:
        """Add to the pool; after the warm-up, learn what makes the better children more likely."""
        for proposal, reward in zip(proposals, rewards, strict=True):
            self.pool.add(proposal.memo.state, proposal.memo.embedding, reward)
        after_warmup = min(len(rewards), len(self.pool) - self.settings.warmup)
        if after_warmup < 0:
            return {}
        numbers = self._criticise() if self.settings.update == "critic" else self._adam(after_warmup)
        return numbers | {"train/pool_size": float(len(self.pool))}

    def _criticise(self) -> dict[str, float]:
        """Fit a critic to the whole pool.

        It learns from the embeddings of what was built: with the calibration `both`, drawn ones are clipped.
        """
        actions = np.clip(self._decoder.code_to_action(self.pool.embeddings()), 0.0, 1.0)
        embeddings = self._decoder.action_to_code(actions)
        self._critic = Critic(embeddings, self.pool.advantages(), self.settings.width, self.settings.ridge)
        return {"train/critic_explained": self._critic.explained}

    def _adam(self, new: int) -> dict[str, float]:
        """Take Adam's steps up the scores of a few entries, weighted by their advantages; `new` children were told."""
        numbers = {}
        for _ in range(self.settings.updates * new):
            # Scored under the present policy, without importance weights, as in the paper.
            batch = self.pool.sample(self.settings.samples, self.rng) if self.settings.pool else self.pool.last(new)
            scores = self.controller.score(batch.states, batch.embeddings)
            loss = -(torch.from_numpy(batch.advantages).float() * scores).mean()
            self._optimiser.zero_grad()
            loss.backward()
            self._optimiser.step()
            numbers = {"train/loss": float(loss.detach()), "train/log_probability": float(scores.detach().mean())}
        return numbers | {"train/sigma": float(self.controller.log_sigma.detach().exp().mean())}

    def state_dict(self) -> dict[str, np.ndarray]:
        """The controller's weights and, where there is one, the critic's state."""
        weights = {name: tensor.numpy() for name, tensor in self.controller.state_dict().items()}
        return weights | (self._critic.state_dict() if self._critic else {})
