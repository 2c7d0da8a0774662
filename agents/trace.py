"""What every agent runs behind: it counts children, keeps a row of each, and knows the best one."""

from __future__ import annotations

import dataclasses
from typing import Any, SupportsFloat

import gymnasium as gym
import numpy as np
from gymnasium.utils import RecordConstructorArgs

from nases_env.search_spaces import Architecture

COLUMNS = (
    "step", "source", "reward", "best_reward", "train_accuracy", "validation_accuracy", "parameters", "flops",
    "architecture_key", "cached", "failure", "seconds",
)  # fmt: skip


@dataclasses.dataclass(frozen=True)
class BestChild:
    """The child with the highest reward so far."""

    step: int
    """Its index, from 0."""
    reward: float
    architecture: Architecture


class Trace(gym.Wrapper, RecordConstructorArgs):
    """Keeps what children brought, in memory.

    Args:
        env: The environment, an unwrapped or wrapped NASESEnv.
        children: The budget; a step beyond it is refused.
    """

    def __init__(self, env: gym.Env, children: int):
        RecordConstructorArgs.__init__(self, children=children)
        gym.Wrapper.__init__(self, env)
        self.children = children
        self.steps = 0
        """Children so far."""
        self.source = ""
        """What the next action comes from; agents set it."""
        self.best: BestChild | None = None
        """None until a child succeeded."""
        self.rows: list[dict[str, Any]] = []
        """A row of COLUMNS for each child."""

    def step(self, action: np.ndarray) -> tuple[Any, SupportsFloat, bool, bool, dict[str, Any]]:
        """Step and record.

        Raises:
            RuntimeError: If the budget is spent.
        """
        if self.steps >= self.children:
            raise RuntimeError(f"the budget of {self.children} children is spent; ask for more with children")
        observation, reward, terminated, truncated, info = self.env.step(action)
        self._record(self._row(float(reward), info))
        self.steps += 1
        return observation, reward, terminated, truncated, info

    def log(self, numbers: dict[str, float]) -> None:
        """An agent's numbers: not kept here."""

    def _row(self, reward: float, info: dict[str, Any]) -> dict[str, Any]:
        if not info["failure"] and (self.best is None or reward > self.best.reward):
            self.best = BestChild(self.steps, reward, self.get_wrapper_attr("architecture"))
        row = {name: info[name] for name in COLUMNS if name in info}
        best_reward = self.best.reward if self.best else reward
        seconds = self.get_wrapper_attr("evaluation").seconds
        own = {"step": self.steps, "source": self.source, "reward": reward, "best_reward": best_reward}
        return row | own | {"seconds": seconds}

    def _record(self, row: dict[str, Any]) -> None:
        self.rows.append(row)
