"""REINFORCE in embedding space: Algorithm 1 (v1, section 4.2.2)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal, NamedTuple, get_args

import numpy as np
import torch

from agents.base import START, Agent, Proposal
from agents.built import Built
from agents.controller import Controller, Policy
from agents.critic import Critic, climb
from agents.reward_pool import Baseline, RewardPool
from agents.trace import Trace

Update = Literal["critic", "adam"]
Inputs = Literal["built", "embedding"]


@dataclass(frozen=True)
class ReinforceSettings:
    """Settings of Algorithm 1. The defaults won on the digits surrogate; recipes give others."""

    recipes: ClassVar[tuple[str, ...]] = ("paper", "embedding")
    """Names of the methods that give other settings."""
    policy: Policy = "logit_normal"
    """Distribution over embeddings, see Controller. The paper: Bernoulli; its released code: deterministic."""
    sigma: float = 0.7
    """Standard deviation of logit_normal, before the sigmoid; learned by adam, fixed otherwise."""
    warmup: int = 15
    """Random children in the beginning."""
    epsilon: float = 0.0
    """Chance of a random child afterwards."""
    update: Update = "critic"
    """What is learned after each child (or batch). `critic`: a critic, from the whole pool, which moves the
    controller's logits before a child is drawn; its weights stay the simulator's. `adam`: the controller's weights,
    from a few entries, as in the paper; the only one for `bernoulli`."""
    critic: Inputs = "built"
    """What the critic sees of a child. `built`: the decisions that its embedding decodes to, see Built; the logits go
    to the best of a few draws, again and again. `embedding`: the embedding alone; the logits climb its policy
    gradient."""
    width: float = 2.0
    """Width of the critic's kernel, as a multiple of the distance of two random children: of what they are, or of their
    embeddings. (With the calibration `both` embeddings are a quarter as far apart as uniform ones.)"""
    ridge: float = 0.1
    """Variance of a reward's noise that the critic allows for, as a multiple of the rewards' variance."""
    steps: int = 12
    """Steps of the logits to what the critic values more."""
    step: float = 1.0
    """Length of each step up the policy gradient of the critic `embedding`, in logits."""
    draws: int = 32
    """Draws from the policy in each step: the best of them is where it ends, or a gradient is averaged over them."""
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
        choices = {"policy": Policy, "baseline": Baseline, "update": Update, "critic": Inputs}
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

    @classmethod
    def embedding(cls) -> ReinforceSettings:
        """The settings that won with a critic of embeddings alone."""
        return cls(critic="embedding", width=1.0, ridge=0.2, steps=20, draws=8)


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
        sees_what_is_built = self.settings.update == "critic" and self.settings.critic == "built"
        self._built = Built(env.get_wrapper_attr("space")) if sees_what_is_built else None

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
        if self._critic is None:
            return "controller", self.controller.draw(logits[None], self.rng)
        if self._built is not None:
            return "controller", self._climb(self._critic, logits)
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

    def recommend(self, env: Trace) -> int | None:
        """The child that the critic of what was built values most: it averages the luck of single rewards out."""
        succeeded = [step for step, row in enumerate(env.rows) if not row["failure"]]
        if self._critic is None or self._built is None or not succeeded:
            return super().recommend(env)
        values = self._critic.value(self._built(np.stack([env.origins[step] for step in succeeded])))
        return succeeded[int(values.argmax())]

    def _criticise(self) -> dict[str, float]:
        """Fit a critic to the whole pool."""
        inputs = self._inputs(self.pool.embeddings())
        distance = Built.distance if self._built is not None else inputs.shape[1] / 6
        self._critic = Critic(inputs, self.pool.advantages(), self.settings.width**2 * distance, self.settings.ridge)
        return {"train/critic_explained": self._critic.explained}

    def _inputs(self, embeddings: np.ndarray) -> np.ndarray:
        """What the critic sees of the children of embeddings (K, n).

        It is of what is built: with the calibration `both`, drawn embeddings are clipped.
        """
        actions = np.clip(self._decoder.code_to_action(embeddings), 0.0, 1.0)
        if self._built is not None:
            return self._built(self._decoder.decode(actions))
        return self._decoder.action_to_code(actions)

    def _climb(self, critic: Critic, logits: np.ndarray) -> np.ndarray:
        """Draw around the logits (n,), then around the best that was drawn; returns the best one's embedding (1, n)."""

        def value(embeddings: np.ndarray) -> np.ndarray:
            return critic.value(self._inputs(embeddings))

        sigma, steps, draws = self.settings.sigma, self.settings.steps, self.settings.draws
        drawn = logits + self.controller.sigma * self.rng.standard_normal(len(logits))
        drawn = climb(value, drawn, sigma, steps, draws, self.rng)
        return (1 / (1 + np.exp(-drawn[None]))).astype(np.float32)

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
