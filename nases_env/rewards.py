"""Rewards of evaluations: Eq. 1 of v1, the validation accuracy of v3, and what a zero-cost proxy told."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np

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


def proxy(evaluation: Evaluation | Evaluations) -> float:
    """What a zero-cost proxy told, as a share of the largest logarithm: `signed_log(x) / 709.8`, in (−1, 1).

    Only its order means something: proxies have no scale in common. −1 for a failed child.

    Raises:
        ValueError: If no proxy was asked.
    """
    if evaluation.failure:
        return FAILURE_REWARD
    told = evaluation.proxy if isinstance(evaluation, Evaluation) else None
    if told is None:
        raise ValueError("the reward 'proxy' needs an evaluator that asks one, such as evaluator='proxy:nwot'")
    return float(signed_log(told) / signed_log(sys.float_info.max))


def signed_log(values: Any) -> Any:
    """`sign(x) · log(1 + |x|)` of numbers, in their order, because proxies of networks differ by factors."""
    return np.sign(values) * np.log1p(np.abs(values))


REWARDS: dict[str, Reward] = {"eq1": eq1, "validation": validation, "proxy": proxy}


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
