"""The wrapper that every agent runs behind: it counts children, keeps a row of each, and knows the best one."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, SupportsFloat

import gymnasium as gym
import numpy as np
from gymnasium.utils import RecordConstructorArgs

from agents.base import Proposal
from nases_env.search_spaces import Architecture

COLUMNS = (
    "step", "source", "reward", "best_reward", "train_accuracy", "validation_accuracy", "parameters", "flops",
    "architecture_key", "cached", "failure", "seconds",
)  # fmt: skip


@dataclasses.dataclass(frozen=True)
class BestChild:
    """A child that a search hands over: the one with the highest reward, or the one that its agent believes in."""

    step: int
    """Its index, from 0."""
    reward: float
    architecture: Architecture


class Trace(gym.Wrapper, RecordConstructorArgs):
    """Keeps a row of every child and the best child, in memory.

    Args:
        env: The environment, an unwrapped or wrapped NASESEnv.
        children: The budget; a step beyond it is refused.
    """

    def __init__(self, env: gym.Env, children: int):
        RecordConstructorArgs.__init__(self, children=children)
        gym.Wrapper.__init__(self, env)
        self.children = children
        self.steps = 0
        """How many children were built so far."""
        self.default_source = ""
        """What `step` records as the source of its action. A loop that steps without proposals sets it once, as a
        library's own does; `build` records the source of each proposal."""
        self.best: BestChild | None = None
        """The best child so far; None until a child succeeded."""
        self.believed: BestChild | None = None
        """The child that the agent recommends, once whoever runs the search has asked it."""
        self.rows: list[dict[str, Any]] = []
        """A row of COLUMNS for each child."""
        self.origins: list[np.ndarray] = []
        """The origin vector of each child, (m,)."""

    def child(self, step: int) -> BestChild:
        """The child of that index, from 0."""
        space = self.get_wrapper_attr("space")
        architecture = space.architecture(space.discretise(self.origins[step][None])[0])
        return BestChild(step, self.rows[step]["reward"], architecture)

    def step(self, action: np.ndarray) -> tuple[Any, SupportsFloat, bool, bool, dict[str, Any]]:
        """Step and record, as Gymnasium's loops do; the child's source is `default_source`.

        Raises:
            RuntimeError: If the budget is spent.
        """
        self._check_budget(1)
        return self._step(action, self.default_source)

    def build(self, proposals: Sequence[Proposal]) -> tuple[np.ndarray, np.ndarray]:
        """Build what an agent proposed: several at once where there are workers, recorded in their order.

        Args:
            proposals: At least one.

        Returns:
            Their rewards (K,), and the origin vectors (K, m) that they built.

        Raises:
            ValueError: If there are no proposals.
            RuntimeError: If fewer children are left of the budget; none is built then.
        """
        if not proposals:
            raise ValueError("there are no proposals to build; an agent that is asked proposes a child for each state")
        self._check_budget(len(proposals))
        if len(proposals) > 1:
            self.get_wrapper_attr("prefetch")(np.stack([proposal.action for proposal in proposals]))
        steps = [self._step(proposal.action, proposal.source) for proposal in proposals]
        return np.array([step[1] for step in steps]), np.array([step[0] for step in steps])

    def build_as_completed(
        self, proposals: Iterable[Proposal], ahead: int
    ) -> Iterator[tuple[Proposal, float, np.ndarray]]:
        """Build what an agent proposes, side by side, and record it in order of completion.

        Args:
            proposals: One is taken whenever fewer than `ahead` children are waited for, and may depend on what was told
                of others.
            ahead: How many children are trained side by side.

        Yields:
            A proposal, its reward and the origin vector (m,) that it built, as soon as they are known.

        Raises:
            RuntimeError: If there are more proposals than the budget has children.
        """
        waiting: dict[int, Proposal] = {}

        def actions() -> Iterator[np.ndarray]:
            for index, proposal in enumerate(proposals):
                self._check_budget(len(waiting) + 1)
                waiting[index] = proposal
                yield proposal.action

        for index in self.get_wrapper_attr("prefetch_as_completed")(actions(), ahead):
            proposal = waiting.pop(index)
            origin, reward, *_ = self._step(proposal.action, proposal.source)
            yield proposal, float(reward), origin

    def log(self, numbers: dict[str, float]) -> None:
        """Take an agent's numbers; they are not kept here, but a recorder writes them."""

    def _check_budget(self, children: int) -> None:
        left = self.children - self.steps
        if children > left:
            raise RuntimeError(
                f"the budget of {self.children} children has {left} left, too few to build {children} more; make the "
                "trace with more children"
            )

    def _step(self, action: np.ndarray, source: str) -> tuple[Any, SupportsFloat, bool, bool, dict[str, Any]]:
        observation, reward, terminated, truncated, info = self.env.step(action)
        self.origins.append(observation)
        self._record(self._row(source, float(reward), info))
        self.steps += 1
        return observation, reward, terminated, truncated, info

    def _row(self, source: str, reward: float, info: dict[str, Any]) -> dict[str, Any]:
        if not info["failure"] and (self.best is None or reward > self.best.reward):
            self.best = BestChild(self.steps, reward, self.get_wrapper_attr("architecture"))
        row = {name: info[name] for name in COLUMNS if name in info}
        best_reward = self.best.reward if self.best else reward
        seconds = self.get_wrapper_attr("evaluation").seconds
        own = {"step": self.steps, "source": source, "reward": reward, "best_reward": best_reward}
        return row | own | {"seconds": seconds}

    def _record(self, row: dict[str, Any]) -> None:
        self.rows.append(row)
