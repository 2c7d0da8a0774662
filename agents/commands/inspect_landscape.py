"""Measures what an agent walks on: how rewards vary over the embedding of some decoders, on a surrogate.

nases inspect-landscape
nases inspect-landscape --decoders autoencoder autoencoder-uniform pca identity
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import gymnasium as gym
import numpy as np

from agents.commands import startup
from nases_env import embeddings, files
from nases_env.search_spaces import registry
from nases_env.stage_one.coverage import found_again

STEPS = (0.05, 0.1, 0.2)
BATCH = 256


@dataclass(frozen=True)
class Options:
    """Draws uniform actions and their neighbours; prints and writes a row for each decoder and calibration."""

    decoders: tuple[str, ...] = ()
    """Names or weights files, see `nases search`; none: all that are shipped for the environment's space."""
    calibrations: tuple[str, ...] = ("none", "output", "both")
    """Calibrations that each decoder is measured with."""
    env_id: str = "NASES-Digits-Surrogate-v0"
    """A surrogate's environment; its noise is left out."""
    samples: int = 8192
    """Uniform actions; half of them fit the linear model, half test it, a quarter have neighbours."""
    seed: int = 0
    """Seed of the actions."""
    out: Path = Path("runs/landscape.csv")
    """The table."""


def rewards_of(env: gym.vector.VectorEnv, actions: np.ndarray) -> np.ndarray:
    """Rewards (K,) of actions (K, n)."""
    env.reset(seed=0)
    padded = np.concatenate([actions, np.zeros((-len(actions) % BATCH, actions.shape[1]), np.float32)])
    return np.concatenate([env.step(batch)[1] for batch in padded.reshape(-1, BATCH, actions.shape[1])])[: len(actions)]


def linear_r2(actions: np.ndarray, rewards: np.ndarray) -> float:
    """Fit a linear model to the first half of actions and rewards; returns its R² on the second half."""
    half = len(actions) // 2
    design = np.concatenate([np.ones((len(actions), 1)), actions], axis=1)
    weights = np.linalg.lstsq(design[:half], rewards[:half], rcond=None)[0]
    errors = rewards[half:] - design[half:] @ weights
    return float(1 - (errors**2).mean() / rewards[half:].var())


def measure(reward: Callable[[np.ndarray], np.ndarray], decoder: embeddings.Decoder, options: Options) -> dict:
    """Measure one row: the rewards' deviation, correlations with neighbours, linear R², how codes are found again."""
    rng = np.random.default_rng(options.seed)
    actions = rng.uniform(size=(options.samples, decoder.action_size)).astype(np.float32)
    rewards, near = reward(actions), actions[: options.samples // 4]
    row = {"reward deviation": float(rewards.std()), "linear r2": linear_r2(actions, rewards)}
    for step in STEPS:
        moved = np.clip(near + step * rng.standard_normal(near.shape), 0, 1).astype(np.float32)
        row[f"correlation {step}"] = float(np.corrcoef(rewards[: len(near)], reward(moved))[0, 1])
    return row | {"found again": found_again(decoder, near)}


def main(options: Options) -> int:
    """Measure and write; returns the exit status."""
    try:
        options.out.parent.mkdir(parents=True, exist_ok=True)  # a folder that cannot be written is found out first
        rows = table(options)
        files.write_csv(options.out, rows)
    except (ValueError, TypeError, OSError, gym.error.Error) as error:
        print(f"error: {error}", file=sys.stderr)
        return startup.WRONG
    print(f"table: {options.out}")
    return 0


def table(options: Options) -> list[dict]:
    """A row for each decoder and calibration."""
    rows = []
    for name in options.decoders or _shipped(options.env_id):
        for calibration in options.calibrations:
            env = gym.make_vec(options.env_id, num_envs=BATCH, decoder=name, calibration=calibration, noise=False)
            decoder = env.unwrapped.decoder  # type: ignore[attr-defined]
            measured = measure(partial(rewards_of, env), decoder, options)
            rows.append({"decoder": name, "calibration": calibration} | measured)
            env.close()
            print(f"{name} {calibration}: " + ", ".join(f"{key} {value:.2f}" for key, value in measured.items()))
    return rows


def _shipped(env_id: str) -> tuple[str, ...]:
    """The decoders of an environment's space."""
    env = gym.make(env_id, decoder="identity")
    space = env.get_wrapper_attr("space")
    env.close()
    return registry.find(space.name).decoders
