"""Who evaluates in an environment: what its arguments `evaluator`, `surrogate` and `noise` stand for."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from nases_env.evaluators.base import Evaluator
from nases_env.words import shown

if TYPE_CHECKING:
    from nases_env.surrogates import Surrogate

TRAINING = "training"
PREFIX = "surrogate:"
PROXY = "proxy"
"""The name of the reward that proxies have; with a colon behind it, what names of evaluators by a proxy begin with."""
OF_TRAINING = ("dataset", "data_dir", "protocol", "space", "rules", "device", "workers", "executor")
"""Arguments of an environment that a surrogate decides or has no use for."""
OF_SURROGATES = ("surrogate", "noise")
"""Arguments of an environment that only a surrogate has a use for."""
LONGEST_FINGERPRINT = 200


def surrogate_name(evaluator: Any, surrogate: Any) -> Any:
    """The surrogate that the arguments `evaluator` and `surrogate` ask for, by its name; None where they ask for none.

    Raises:
        ValueError: If they contradict each other, or `evaluator` is neither a known name nor an evaluator.
    """
    by_name = isinstance(evaluator, str)
    if surrogate is not None:
        if not by_name or evaluator not in (TRAINING, f"{PREFIX}{surrogate}"):
            raise ValueError(
                f"evaluator is {shown(evaluator)}, but surrogate is {shown(surrogate)}; leave one of the two out, or "
                "make the id NASES-v0, which has neither"
            )
        return surrogate
    if by_name and evaluator.startswith(PREFIX):
        return evaluator.removeprefix(PREFIX)
    if not (by_name and (evaluator == TRAINING or evaluator.startswith(f"{PROXY}:"))):
        _check_object(evaluator)
    return None


def proxy_name(evaluator: Any, reward: Any) -> str | None:
    """The proxy that the argument `evaluator` asks for; None where it asks for none.

    Raises:
        ValueError: If there is no such proxy, or the reward is one of accuracies and the evaluator a proxy, or the
            other way round.
    """
    named = isinstance(evaluator, str)
    rewarded = (reward.get("name") if isinstance(reward, Mapping) else reward) == PROXY
    if not named or not evaluator.startswith(f"{PROXY}:"):
        if named and rewarded:
            raise ValueError(
                f"reward is {shown(reward)}, but no proxy is asked; choose evaluator='{PROXY}:nwot', or another reward"
            )
        return None
    from nases_env import proxies

    name = evaluator.removeprefix(f"{PROXY}:")
    proxies.proxy(name)
    if not rewarded:
        raise ValueError(
            f"reward is {shown(reward)}, which is made of accuracies, but evaluator={shown(evaluator)} measures none; "
            f"choose reward={PROXY!r}"
        )
    return name


def find_surrogate(evaluator: Any, surrogate: Any, noise: Any) -> Surrogate | None:
    """The surrogate that the arguments ask for; None where they ask for none.

    Raises:
        ValueError: If an argument has a value that does not exist, or there is noise without a surrogate.
        FileNotFoundError: If the surrogate's folder lacks a file.
    """
    name = surrogate_name(evaluator, surrogate)
    if name is not None:
        from nases_env import surrogates

        return surrogates.make(name, noise)
    if noise is not False:
        raise ValueError(
            f"noise is {shown(noise)}, but only a surrogate has noise: choose evaluator='surrogate:digits', or leave "
            "noise out"
        )
    return None


def check_left_out(given: Mapping[str, Any], defaults: Mapping[str, Any], decided: Mapping[str, Any]) -> None:
    """Check that nothing is asked for that a surrogate decides otherwise, or has no use for.

    Args:
        given: Arguments of the environment.
        defaults: What they are where they are left out.
        decided: What the surrogate's card says about some of them.

    Raises:
        ValueError: If an argument is neither left out nor what the card says.
    """
    for name, value in given.items():
        if not any(type(value) is type(each) and value == each for each in (defaults[name], decided.get(name))):
            raise ValueError(
                f"{name} is {shown(value)}, but a surrogate trains nothing, and speaks only for the data, protocol, "
                f"space and rules that it was fitted for; leave {name} out"
            )


def _check_object(evaluator: Any) -> Evaluator:
    """Check that an object is an evaluator; properties of it are not asked for, because they may read data.

    Raises:
        ValueError: If it is not.
    """
    expected = (
        f"expected {TRAINING!r}, '{PREFIX}digits', '{PREFIX}FOLDER', '{PROXY}:nwot', or an object with evaluate and "
        "fingerprint"
    )
    if isinstance(evaluator, type):
        raise ValueError(f"evaluator is the class {shown(evaluator)}; {expected}: make an object of the class")
    missing = object()
    if not callable(getattr(evaluator, "evaluate", None)):
        raise ValueError(f"evaluator is {shown(evaluator)}; {expected}")
    fingerprint = inspect.getattr_static(evaluator, "fingerprint", missing)
    if fingerprint is missing:
        raise ValueError(f"evaluator is {shown(evaluator)}, which has no fingerprint; {expected}")
    if not hasattr(fingerprint, "__get__"):
        check_fingerprint(fingerprint)
    return evaluator


def check_fingerprint(fingerprint: Any) -> str | None:
    """The fingerprint of an evaluator.

    Raises:
        ValueError: If it is neither a text that a journal can hold nor None.
    """
    if fingerprint is None or (isinstance(fingerprint, str) and 0 < len(fingerprint) <= LONGEST_FINGERPRINT):
        return fingerprint
    raise ValueError(
        f"the evaluator's fingerprint is {shown(fingerprint)}; expected a text of 1 to {LONGEST_FINGERPRINT} letters, "
        "or None where evaluations depend on history"
    )
