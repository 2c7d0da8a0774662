"""Strategies that search an embedding: the paper's REINFORCE, random search, and stable-baselines3's agents."""

from __future__ import annotations

from agents.base import Agent, Transition

__all__ = ["NAMES", "Agent", "Transition", "find"]

NAMES = ("reinforce", "random", "ppo", "a2c", "sac", "td3")


def find(name: str) -> type[Agent]:
    """The agent class of that name.

    Raises:
        ValueError: If there is none.
        ImportError: If it needs a library that is not installed; the message says how to install it.
    """
    if name == "reinforce":
        from agents.reinforce import Reinforce

        return Reinforce
    if name == "random":
        from agents.random_search import RandomSearch

        return RandomSearch
    from agents.sb3 import AGENTS

    if name not in AGENTS:
        raise ValueError(f"there is no agent {name!r}; choose one of {', '.join(NAMES)}")
    return AGENTS[name]
