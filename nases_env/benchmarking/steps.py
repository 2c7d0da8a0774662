"""Times steps of the environment, with children that cost nothing and on a surrogate."""

from __future__ import annotations

import tempfile
from typing import Any
from unittest import mock

import gymnasium as gym
import numpy as np

from nases_env.benchmarking.timing import Row, timed
from nases_env.evaluation import Evaluation
from nases_env.evaluators.child_training import ChildTraining
from nases_env.search_spaces import Architecture

STEPS = 50
SURROGATES = {
    "surrogate": "NASES-Digits-Surrogate-v0",
    "surrogate of cells": "NASES-Digits-Micro-Surrogate-v0",
}
"""What is timed on surrogates, by the name of its rows."""
SEARCHES = (64, 1024)
"""Numbers of searches side by side that are timed on a surrogate."""


def rows(environment: dict[str, Any], repeats: int) -> list[Row]:
    """Time `env.step` with everything but the child itself, which a constant stands for.

    Args:
        environment: Arguments of NASESEnv.
        repeats: Timed runs of each row.
    """
    found: list[Row] = []

    def constant(self: ChildTraining, architecture: Architecture, seed: int) -> Evaluation:
        return Evaluation()

    with tempfile.TemporaryDirectory() as folder, mock.patch.object(ChildTraining, "_evaluate", constant):
        for name, ledger in (("", None), (" with a journal", f"{folder}/journal.log")):
            env = gym.make("NASES-v0", ledger=ledger, **environment)
            env.reset(seed=0)
            env.action_space.seed(0)

            def step(env: gym.Env = env) -> None:
                env.step(env.action_space.sample())

            found.append(timed(f"env.step without the child{name}", step, repeats, STEPS))
            env.close()
    return found


def surrogate_rows(repeats: int) -> list[Row]:
    """Time steps of the environments on surrogates with noise."""
    return [row for name, env_id in SURROGATES.items() for row in _surrogate_rows(name, env_id, repeats)]


def _surrogate_rows(name: str, env_id: str, repeats: int) -> list[Row]:
    """Time steps of one search and of many side by side."""
    env = gym.make(env_id, noise=True)
    env.reset(seed=0)
    actions = iter(np.random.default_rng(0).random(((repeats + 1) * STEPS, 20), np.float32))
    found = [timed(f"{name}: env.step", lambda: env.step(next(actions)), repeats, STEPS)]
    for searches in SEARCHES:
        many = gym.make_vec(env_id, num_envs=searches, noise=True)
        many.reset(seed=0)
        many.action_space.seed(0)
        samples = iter([many.action_space.sample() for _ in range(10 * repeats + 1)])
        row = timed("", lambda many=many, samples=samples: many.step(next(samples)), repeats, 10)  # type: ignore[misc]
        spread = row.spread[0] / searches, row.spread[1] / searches
        told = f"{name}: a step of one of {searches:,} searches"
        found.append(Row(told, row.seconds / searches, spread, steps_per_second=searches / row.seconds))
    return found
