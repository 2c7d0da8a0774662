"""What an agent is, and how to write one.

An agent looks for good children. It is asked for proposals, which say what to build, and it is told what they brought.
A new one is a class with an `ask`, and with a `tell` where it learns:

    >>> import gymnasium as gym, numpy as np, nases_env
    >>> from agents import Agent, Proposal
    >>> from agents.trace import Trace
    >>> class Climber(Agent):
    ...     best = (-np.inf, np.full(20, 0.5))  # a reward and its action
    ...     def ask(self, states):
    ...         actions = [self.best[1] + self.rng.normal(0, 0.1, 20) for _ in states]
    ...         return [Proposal(action.clip(0, 1).astype(np.float32), "near") for action in actions]
    ...     def tell(self, proposals, rewards, next_states):
    ...         actions = [proposal.action for proposal in proposals]
    ...         self.best = max([self.best, *zip(rewards, actions)], key=lambda known: known[0])
    ...         return {"train/best": float(self.best[0])}

It runs behind a trace, which keeps a row of every child:

    >>> trace = Trace(gym.make("NASES-Digits-Surrogate-v0"), children=30)
    >>> Climber(trace, seed=0).run(trace, children=30)
    >>> len(trace.rows), trace.rows[-1]["source"], trace.best.reward > trace.rows[0]["reward"]
    (30, 'near', True)
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from nases_env.search_spaces import Architecture

if TYPE_CHECKING:
    from agents.trace import Trace

START = "start"
"""Source of the proposals that a search starts from."""


@dataclass(frozen=True)
class NoSettings:
    """Settings of an agent that has none."""


@dataclass(frozen=True, eq=False)
class Proposal:
    """One child that an agent would like to see built."""

    action: np.ndarray
    """What decodes to the child, float32 (n,) in [0, 1]."""
    source: str
    """One word that says what the action came from; the record keeps it."""
    memo: Any = None
    """What the agent wants to have back when it is told. It is plain data that can be copied; only the agent that made
    the proposal reads it."""


class Agent(ABC):
    """Proposes children and learns from their rewards.

    What an agent has to remember of a proposal travels in the proposal's memo. So it may be asked again before it is
    told of what it proposed earlier, and be told in any order, several proposals at once or one by one. It draws from
    its generator when it is asked and when it is told, and looks at no clock: so a search that goes on is the same one.

    Args:
        env: The environment behind its trace; agents know Gymnasium and `get_wrapper_attr("space")`, `("decoder")`.
        seed: Seed of the agent's own randomness and of the environment's first reset.
        settings: The agent's own settings; None for its defaults.
    """

    env_kwargs: ClassVar[dict[str, Any]] = {}
    """Keywords that the agent needs its environment to be made with."""
    settings_class: ClassVar[type] = NoSettings
    """Class of its settings."""
    batches: ClassVar[bool] = True
    """Whether it can choose several children before any of them is known."""

    def __init__(self, env: Trace, seed: int, settings: Any = None):
        self.seed = seed
        self._decoder = env.get_wrapper_attr("decoder")
        self.rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(1,)))

    def start_from(self, states: np.ndarray) -> list[Proposal]:
        """Propose what decodes near known origin vectors (K, m): where a search starts from."""
        return [Proposal(action, START) for action in self._decoder.encode(states)]

    @abstractmethod
    def ask(self, states: np.ndarray) -> list[Proposal]:
        """Propose a child for each of the last origin vectors (K, m): of K searches, or K times the same of one."""

    def tell(self, proposals: Sequence[Proposal], rewards: np.ndarray, next_states: np.ndarray) -> dict[str, float]:
        """Learn what proposals brought.

        Args:
            proposals: Proposals of this agent, at least one.
            rewards: The reward of each, (K,).
            next_states: The origin vector that each built, (K, m).

        Returns:
            Numbers to log.
        """
        return {}

    def recommend(self, env: Trace) -> int | None:
        """The child to hand over at the end of a search, by its index from 0; None where none succeeded.

        It is the one with the highest reward, unless the agent knows better than one noisy measurement.
        """
        return env.best.step if env.best else None

    def state_dict(self) -> dict[str, np.ndarray]:
        """What was learned, to carry elsewhere; resuming a search needs none of it."""
        return {}

    def run(
        self,
        env: Trace,
        children: int,
        start: Architecture | None = None,
        batch: int = 1,
        asynchronous: bool = False,
    ) -> None:
        """Search: build so many children.

        Args:
            env: The environment behind its trace.
            children: The budget.
            start: A known network: the first state, and the first child is what its encoding decodes to.
            batch: Children that are chosen before any of them is known; workers train them at once.
            asynchronous: Whether the next child is chosen as soon as one of the batch is known, so that so many are
                always in training; else when all are.
        """
        state, _ = env.reset(seed=self.seed, options={} if start is None else {"architecture": start})
        if start is not None:
            state = self._build(env, self.start_from(state[None]))
        if asynchronous:
            self._run_asynchronously(env, children, state, batch)
        while env.steps < children:
            states = np.repeat(state[None], min(batch, children - env.steps), axis=0)
            state = self._build(env, self.ask(states))

    def _run_asynchronously(self, env: Trace, children: int, state: np.ndarray, ahead: int) -> None:
        """Build the rest of the budget, `ahead` children side by side; the state is that of the last one told."""

        def proposals() -> Iterator[Proposal]:
            for _ in range(children - env.steps):
                yield from self.ask(state[None])  # the state that the loop below has come to

        for proposal, reward, state in env.build_as_completed(proposals(), ahead):
            env.log(self.tell([proposal], np.array([reward]), state[None]))

    def _build(self, env: Trace, proposals: list[Proposal]) -> np.ndarray:
        """Build proposals and learn from them; returns the origin vector of the last one, (m,)."""
        rewards, next_states = env.build(proposals)
        env.log(self.tell(proposals, rewards, next_states))
        return next_states[-1]
