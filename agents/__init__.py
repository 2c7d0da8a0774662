"""The agents that search: the paper's REINFORCE, random search, other papers' methods, and agents of libraries.

Importing the package imports no library: a command can so be ended before its own imports are through.
"""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable, Mapping
from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from agents.base import Agent, Proposal

__all__ = ["CLASSES", "NAMES", "Agent", "Proposal", "find", "make_settings"]

CLASSES = {
    "reinforce": "agents.reinforce:Reinforce",
    "random": "agents.random_search:RandomSearch",
    "random-origin": "agents.random_search:RandomOrigin",
    "evolution": "agents.evolution:RegularisedEvolution",
    "lstm": "agents.lstm_controller:LSTMReinforce",
    "q-learning": "agents.q_learning:QLearning",
    "predictor": "agents.predictor:PredictorGuided",
    "gradient-ascent": "agents.gradient_ascent:GradientAscent",
    "tpe": "agents.black_box:TPE",
    "cmaes": "agents.black_box:CMAES",
    "gp": "agents.black_box:GP",
    "ppo": "agents.sb3:PPO",
    "a2c": "agents.sb3:A2C",
    "sac": "agents.sb3:SAC",
    "td3": "agents.sb3:TD3",
}
"""Where the class of each agent lies. It is imported when it is asked for: some need libraries of their own."""
NAMES = tuple(CLASSES)


def __getattr__(name: str) -> Any:
    """`Agent` and `Proposal`, imported when they are asked for."""
    if name not in ("Agent", "Proposal"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module("agents.base"), name)


def find(name: str) -> type[Agent]:
    """The agent class of that name.

    Raises:
        ValueError: If there is none.
        ImportError: If it needs a library that is not installed; the message says how to install it.
    """
    if name not in CLASSES:
        raise ValueError(f"there is no agent {name!r}; choose one of {', '.join(NAMES)}")
    module, _, class_name = CLASSES[name].partition(":")
    return getattr(import_module(module), class_name)


def make_settings(name: str, given: Mapping[str, Any]) -> Any:
    """The settings of an agent; None, its defaults, where nothing is given.

    `recipe=NAME` starts from a recipe, one of its settings' `recipes`: `paper` is the paper's.

    Raises:
        ValueError: If it has no such setting, or one has a value that cannot be.
    """
    if not given:
        return None
    settings_class = find(name).settings_class
    if settings_class is dict:  # a library's keywords, which it checks itself
        return dict(given)
    given = dict(given)
    start: Callable[..., Any] = settings_class
    if "recipe" in given and hasattr(settings_class, "recipes"):
        if (recipe := given.pop("recipe")) not in settings_class.recipes:
            raise ValueError(f"{name} has no recipe {recipe!r}; it has {', '.join(map(repr, settings_class.recipes))}")
        start = partial(dataclasses.replace, getattr(settings_class, recipe)())
    known = [*inspect.signature(settings_class).parameters]
    if unknown := sorted(given.keys() - set(known)):
        raise ValueError(f"{name} has no settings {', '.join(unknown)}; it has {', '.join(known) or 'none'}")
    return start(**given)
