"""Where a search loses: what its embedding does not reach, what it does not find, and what it does not choose."""

from __future__ import annotations

from dataclasses import dataclass

import gymnasium as gym
import numpy as np

import agents
from agents.arena.noise_free import NoiseFree
from agents.arena.runs import Entry
from agents.trace import Trace
from nases_env.search_spaces import SearchSpace

LAST = 30
"""How concentrated a search is in the end is told of so many of its children."""


@dataclass(frozen=True)
class Searched:
    """What one search built."""

    origins: np.ndarray
    """The children's origin vectors, (children, m)."""
    rewards: np.ndarray
    """Their rewards, with noise, (children,)."""
    noise_free: np.ndarray
    """Their rewards without noise, (children,)."""
    chosen: int
    """Which of them the agent recommends."""


def search(entry: Entry, env_id: str, seed: int, children: int, reward: NoiseFree) -> Searched:
    """Make one search on a surrogate with noise, as `nases compare` does."""
    keywords = {"noise": True} | entry.environment
    trace = Trace(gym.make(env_id, max_episode_steps=children, **keywords), children)
    agent = agents.find(entry.agent)(trace, seed, entry.make_settings())
    agent.run(trace, children)
    chosen = agent.recommend(trace)
    assert chosen is not None, "no child of a surrogate fails"
    trace.close()
    origins = np.stack(trace.origins)
    return Searched(origins, np.array([row["reward"] for row in trace.rows]), reward(origins), chosen)


def regret(searched: Searched, reachable: float, best: float) -> dict[str, float]:
    """Split the distance from the best reward of the space to that of the chosen child, both without noise.

    Args:
        searched: The search.
        reachable: The best reward that the search's embedding is known to reach.
        best: The best reward that is known in the space.

    Returns:
        `not reachable`, `not found` among what was built, and `not chosen` from it: noise decides which child looks
        best. Their sum is the whole regret.
    """
    built, chosen = float(searched.noise_free.max()), float(searched.noise_free[searched.chosen])
    return {"not reachable": best - reachable, "not found": reachable - built, "not chosen": built - chosen}


def concentration(searched: Searched, space: SearchSpace) -> dict[str, float]:
    """Tell how much the last LAST children have in common.

    Returns:
        * `last reward`: their mean reward without noise.
        * `last spread`: the standard deviation of it.
        * `last distinct`: different networks among them, per child.
        * `last differ`: the share of decisions in which two of them differ, averaged over the decisions' names.
    """
    rewards, rows = searched.noise_free[-LAST:], space.discretise(searched.origins[-LAST:])
    first, second = np.triu_indices(len(rows), 1)
    differ = [float((values[first] != values[second]).mean()) for values in space.decisions(rows).values()]
    return {
        "last reward": float(rewards.mean()),
        "last spread": float(rewards.std()),
        "last distinct": len(np.unique(rows, axis=0)) / len(rows),
        "last differ": float(np.mean(differ)),
    }
