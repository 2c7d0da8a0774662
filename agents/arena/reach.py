"""What an embedding reaches: the rewards of uniform actions without noise, and the best that a long search finds."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from agents.arena.noise_free import NoiseFree
from nases_env.embeddings import Decoder

POPULATION = 200
TOURNAMENT = 8
CHUNK = 10_000
SHORTEST, LONGEST = 0.01, 0.5
"""Deviations of a mutation's steps are between these, evenly in logarithms."""
QUANTILES = {"median": 0.5, "best 1 %": 0.99, "best 0.1 %": 0.999}


def reach(
    decoder: Decoder, reward: NoiseFree, samples: int, evaluations: int, restarts: int, rng: np.random.Generator
) -> dict[str, float]:
    """Measure what uniform actions give, and what is reachable as far as evolution finds it.

    Args:
        decoder: It decodes the actions.
        reward: Tells rewards without noise.
        samples: Uniform actions.
        evaluations: Rewards that each run of the evolution asks for.
        restarts: Runs of the evolution; the best counts.
        rng: Draws everything.

    Returns:
        Quantiles and the best reward of uniform actions; `reachable`: the best reward that was found at all.
    """

    def of_actions(actions: np.ndarray) -> np.ndarray:
        return reward(decoder.decode(actions.astype(np.float32)))

    size, done = decoder.action_size, range(0, samples, CHUNK)
    rewards = np.concatenate([of_actions(rng.uniform(size=(min(CHUNK, samples - start), size))) for start in done])
    found = [evolve(of_actions, size, evaluations, rng) for _ in range(restarts)]
    quantiles = {name: float(np.quantile(rewards, share)) for name, share in QUANTILES.items()}
    best = float(rewards.max())
    return quantiles | {"best": best, "reachable": max(best, *found)}


def evolve(rewards: Callable[[np.ndarray], np.ndarray], size: int, evaluations: int, rng: np.random.Generator) -> float:
    """Look long for the highest reward of an action of so many numbers in [0, 1]; returns the reward.

    The best of parents and children survive. A child has its parent's numbers, half of the children some of another's,
    and a few take a step, short or long.
    """
    living = rng.uniform(size=(POPULATION, size))
    worth = rewards(living)
    for _ in range(POPULATION, evaluations, POPULATION):
        born = _children(living, worth, rng)
        living, worth = np.concatenate([living, born]), np.concatenate([worth, rewards(born)])
        kept = np.argsort(-worth, kind="stable")[:POPULATION]
        living, worth = living[kept], worth[kept]
    return float(worth[0])


def _children(living: np.ndarray, worth: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    count, size = living.shape
    drawn = rng.integers(count, size=(count, TOURNAMENT))
    parents = living[drawn[np.arange(count), worth[drawn].argmax(axis=1)]]
    others = living[rng.integers(count, size=count)]
    crossed = (rng.random((count, 1)) < 0.5) & (rng.random((count, size)) < 0.2)
    stepped = rng.random((count, size)) < max(2 / size, 0.05)
    lengths = np.exp(rng.uniform(np.log(SHORTEST), np.log(LONGEST), (count, 1)))
    steps = stepped * lengths * rng.standard_normal((count, size))
    return (np.where(crossed, others, parents) + steps).clip(0, 1)
