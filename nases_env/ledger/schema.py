"""What a line of a journal may say: everything that is read from one is checked here first."""

from __future__ import annotations

import dataclasses
import json
import math
import re
import sys
from collections.abc import Mapping
from datetime import datetime
from functools import lru_cache
from typing import Any, NamedTuple

from nases_env.evaluation import Evaluation
from nases_env.ledger.memory import EvaluationId
from nases_env.schemas import SCHEMA, check_schema
from nases_env.search_spaces import from_json, registry
from nases_env.search_spaces.base import key

STUDY = "search"
"""Name of the study in every journal."""
CREATE_STUDY, CREATE_TRIAL = 0, 4
"""Optuna's numbers of the two operations that a search writes."""
_NOTES = {
    2: ("study_id", "user_attr"),
    3: ("study_id", "system_attr"),
    8: ("trial_id", "user_attr"),
    9: ("trial_id", "system_attr"),
}
NOTES = tuple(_NOTES)
"""Operations that only add an attribute to a study or a trial, as Optuna's dashboard does for its notes."""
COMPLETE, MAXIMIZE = 1, 2
"""Optuna's numbers of a finished trial and of a study whose value is to be maximised."""
LARGEST = 2**63 - 1
LARGEST_FLOAT = sys.float_info.max


class Trial(NamedTuple):
    """One child as a journal has it."""

    params: dict[str, float]
    """The action."""
    value: float
    """The reward."""
    identity: EvaluationId
    evaluation: Evaluation
    asked: int | None
    """Its index in the order in which children were asked for; None where that is the journal's order."""


class NotWhole(ValueError):
    """A line is no JSON: it was torn or damaged."""


class NotASearch(ValueError):
    """A line is whole and says something, but nothing that a search writes."""


def parse(line: bytes) -> dict[str, Any]:
    """The operation of one line.

    Raises:
        ValueError: NotWhole if the line is no JSON, NotASearch if it is no operation of Optuna's.
    """
    if not line.strip():
        raise NotWhole("it is blank")
    if not line.endswith(b"\n"):
        raise NotWhole("it does not end")
    try:
        operation = json.loads(line.decode())
    except RecursionError as error:
        raise NotASearch("it is nested too deeply") from error
    except ValueError as error:
        raise NotWhole(f"it is no JSON ({error})") from error
    if (
        not isinstance(operation, dict)
        or not _is_int(operation.get("op_code"), 0, 99)
        or not isinstance(operation.get("worker_id"), str)
    ):
        raise NotASearch(f"it begins with {line[:40]!r}")
    return operation


def check_study(operation: Mapping[str, Any]) -> None:
    """Whether a line starts the study of a search.

    Raises:
        NotASearch: If it does not.
    """
    expected = {"op_code": CREATE_STUDY, "study_name": STUDY, "directions": [MAXIMIZE]}
    found = {name: operation.get(name) for name in expected}
    if found != expected:
        raise NotASearch(f"it starts {found}, not {expected}")


def trial(operation: Mapping[str, Any]) -> Trial | None:
    """What a line tells about a child; None for a note, which tells nothing.

    Raises:
        ValueError: If a number, a name or a type cannot be; NotASearch if the line has no evaluation at all.
    """
    code = operation["op_code"]
    if code in NOTES:
        _check_note(operation)
        return None
    if code != CREATE_TRIAL or "evaluation" not in _dictionary(operation, "user_attrs"):
        raise NotASearch(f"its operation {code} tells of no evaluation")
    action, value = _action(operation), _value(operation)
    _check_optunas(operation)
    found = operation["user_attrs"]["evaluation"]
    return Trial(action, value, *evaluation(found), found.get("asked"))


def written(identity: EvaluationId, evaluation: Evaluation) -> dict[str, Any]:
    """What the attribute `evaluation` of a trial says, JSON types only."""
    return {"schema": SCHEMA["evaluation"], **identity._asdict(), **evaluation.to_dict()}


def evaluation(found: Any) -> tuple[EvaluationId, Evaluation]:
    """The attribute `evaluation` of a trial, every field checked. Fields that an `Evaluation` has defaults for may be
    missing, and others may be there: another version wrote them.

    Raises:
        NewerVersionError: If its schema is newer than this version knows.
        ValueError: If a field is missing, or has a type or a value that cannot be.
    """
    if not isinstance(found, dict):
        raise ValueError(f"its evaluation is {found!r:.60}; expected a mapping")
    check_schema(found, "evaluation", "its evaluation")
    checks = _IDENTITY | _EVALUATION | _BESIDE
    for name, (holds, expected) in checks.items():
        if name in found and not holds(found[name]):
            raise ValueError(f"its {name} is {found[name]!r:.60}; expected {expected}")
    if missing := [name for name in (*_IDENTITY, *_REQUIRED) if name not in found]:
        raise ValueError(f"its evaluation lacks {', '.join(missing)}")
    _check_architecture(found)
    identity = EvaluationId(*(found[name] for name in EvaluationId._fields))
    fields = [field.name for field in dataclasses.fields(Evaluation)]
    return identity, Evaluation(**{name: found[name] for name in fields if name in found})


def _check_architecture(found: Mapping[str, Any]) -> None:
    """Whether the architecture beside an evaluation, where there is one of a known space, is what was evaluated."""
    recorded = found.get("architecture_json", {})
    text = json.dumps(recorded, separators=(",", ":"))
    space = recorded.get("space")
    if not isinstance(space, str) or space not in registry.REGISTERED or key(text) == found["architecture"]:
        return
    if (other := from_json(text).key) != found["architecture"]:
        raise ValueError(f"its architecture is {found['architecture']!r}; the architecture_json beside it is {other}")


def _check_note(operation: Mapping[str, Any]) -> None:
    kind, attribute = _NOTES[operation["op_code"]]
    if not _is_int(operation.get(kind), 0, LARGEST) or "evaluation" in _dictionary(operation, attribute):
        raise NotASearch(f"its operation {operation['op_code']} is no note on a {kind.removesuffix('_id')}")


def _action(operation: Mapping[str, Any]) -> dict[str, float]:
    params = _dictionary(operation, "params")
    if list(params) != [f"action_{index:02}" for index in range(len(params))] or not params:
        raise ValueError(f"its params are {', '.join(params)!r:.60}; expected action_00, action_01 …")
    for name, number in params.items():
        if not _is_number(number, 0.0, 1.0):
            raise ValueError(f"its {name} is {number!r:.60}; expected a number in [0, 1]")
    return params


def _value(operation: Mapping[str, Any]) -> float:
    value: Any = operation.get("value")
    if not _is_number(value, -math.inf, math.inf):
        raise ValueError(f"its value is {value!r:.60}; expected a finite number, the reward")
    return float(value)


def _check_optunas(operation: Mapping[str, Any]) -> None:
    """Whether Optuna understands the rest of a trial."""
    expected = {"study_id": 0, "state": COMPLETE, "values": None}
    for name, value in expected.items():
        if operation.get(name) != value or isinstance(operation.get(name), bool):
            raise ValueError(f"its {name} is {operation.get(name)!r:.60}; expected {value}")
    if operation.get("system_attrs", {}) != {} or operation.get("intermediate_values", {}) != {}:
        raise ValueError("it has system_attrs or intermediate_values, which a search does not write")
    for name in ("datetime_start", "datetime_complete"):
        try:
            datetime.fromisoformat(operation.get(name)).astimezone()  # type: ignore[arg-type]
        except (TypeError, ValueError, OverflowError) as error:
            raise ValueError(f"its {name} is {operation.get(name)!r:.60}; expected a time") from error
    distributions = _dictionary(operation, "distributions")
    if distributions.keys() != operation["params"].keys() or not all(
        isinstance(text, str) and _is_action_range(text) for text in distributions.values()
    ):
        raise ValueError("its distributions are not [0, 1] for each of its params")


@lru_cache(maxsize=16)
def _is_action_range(text: str) -> bool:
    """Whether Optuna's text means the numbers from 0 to 1."""
    try:
        distribution = json.loads(text)
        attributes = distribution["attributes"]
        range_ = (distribution["name"], attributes["low"], attributes["high"], attributes["step"], attributes["log"])
    except (ValueError, LookupError, TypeError, RecursionError):
        return False
    return range_ == ("FloatDistribution", 0.0, 1.0, None, False) and len(attributes) == 4


def _dictionary(operation: Mapping[str, Any], name: str) -> dict[str, Any]:
    found = operation.get(name)
    if not isinstance(found, dict):
        raise NotASearch(f"its {name} are {found!r:.60}")
    return found


def _is_int(value: Any, low: int, high: int) -> bool:
    return type(value) is int and low <= value <= high


def _is_number(value: Any, low: float, high: float) -> bool:
    return type(value) in (int, float) and max(low, -LARGEST_FLOAT) <= value <= min(high, LARGEST_FLOAT)


def _is_share(value: Any) -> bool:
    return _is_number(value, 0.0, 1.0)


def _is_size(value: Any) -> bool:
    return _is_int(value, 0, LARGEST)


def _is_word(value: Any) -> bool:
    return isinstance(value, str) and len(value) <= 200


def _is_failure(value: Any) -> bool:
    return isinstance(value, str) and re.fullmatch("[a-z0-9_]{0,40}", value) is not None


def _are_epochs(value: Any) -> bool:
    return isinstance(value, list) and all(
        isinstance(epoch, dict) and all(_is_number(number, -math.inf, math.inf) for number in epoch.values())
        for epoch in value
    )


def _are_versions(value: Any) -> bool:
    return isinstance(value, dict) and all(isinstance(version, str) for version in value.values())


_IDENTITY = {
    "evaluator": (_is_word, "a text"),
    "architecture": (_is_word, "a text"),
    "child_seed": (_is_size, "a seed, at least 0"),
}
_EVALUATION = {
    "train_accuracy": (_is_share, "a number in [0, 1]"),
    "validation_accuracy": (_is_share, "a number in [0, 1]"),
    "parameters": (_is_size, "a number of parameters, at least 0"),
    "flops": (_is_size, "a number of operations, at least 0"),
    "failure": (_is_failure, "a reason such as out_of_memory, or nothing"),
    "epochs": (_are_epochs, "a list with a mapping of numbers for each epoch"),
    "seconds": (lambda value: _is_number(value, 0.0, math.inf), "a number of seconds, at least 0"),
    "device": (_is_word, "a text"),
    "versions": (_are_versions, "a mapping of texts"),
    "proxy": (lambda value: _is_number(value, -math.inf, math.inf), "a finite number, what a proxy told"),
}
_BESIDE = {
    "architecture_json": (lambda value: isinstance(value, dict), "an architecture's JSON"),
    "asked": (_is_size, "the index of a child, at least 0"),
}
"""What a record may have beside the evaluation: the network, for whoever takes it away, and when it was asked for."""
_REQUIRED = ("train_accuracy", "validation_accuracy", "parameters", "flops", "failure")
