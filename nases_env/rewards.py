"""Rewards of evaluations: Eq. 1 of v1 and the validation accuracy of v3."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from nases_env.evaluation import Evaluation, Evaluations
from nases_env.words import shown

FAILURE_REWARD = -1.0
"""The reward of a failed child. It is the lowest value that Eq. 1 takes."""

Reward = Callable[[Evaluation | Evaluations], Any]
"""A function that gives a float for one evaluation, and an array (K,) for `Evaluations` of K children."""


def eq1(evaluation: Evaluation | Evaluations) -> Any:
    """`(2 · ACC_val − ACC_tr)³` in [−1, 8]: validation accuracy less the generalisation gap, cubed (v1, Eq. 1)."""
    if evaluation.failure:
        return FAILURE_REWARD
    accuracy = 2 * evaluation.validation_accuracy - evaluation.train_accuracy
    return accuracy * accuracy * accuracy  # unlike a power, rounded alike in arrays and floats


def validation(evaluation: Evaluation | Evaluations) -> Any:
    """ACC_val in [0, 1] (v3, Algorithm 1, line 7); −1 for a failed child."""
    return FAILURE_REWARD if evaluation.failure else evaluation.validation_accuracy


REWARDS: dict[str, Reward] = {"eq1": eq1, "validation": validation}


def make(reward: str | Mapping[str, Any]) -> Reward:
    """The reward that a name, or a mapping with the key `name` and the reward's parameters, stands for.

    Parameters are the keywords of a reward's function; `eq1` and `validation` have none.

    Raises:
        ValueError: If there is no such reward or parameter.
    """
    parameters = dict(reward) if isinstance(reward, Mapping) else {"name": reward}
    name = parameters.pop("name", None)
    if not isinstance(name, str) or name not in REWARDS:
        raise ValueError(f"there is no reward {shown(name)}; choose one of {sorted(REWARDS)}")
    function = REWARDS[name]
    known = [key for key, each in inspect.signature(function).parameters.items() if each.kind is each.KEYWORD_ONLY]
    if unknown := [key for key in parameters if key not in known]:
        raise ValueError(f"the reward {name!r} has no parameters {shown(unknown)}; it has {known or 'none'}")
    return partial(function, **parameters) if parameters else function
