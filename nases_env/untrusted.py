"""Checks of what a file from somebody else says, before anything is made of it."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

LARGEST_NUMBER = 1e6
"""Weights and coefficients are far smaller; a larger one is damage."""
LARGEST_SIZE = 1_000_000
"""Images, channels and classes are far fewer; memory for more would be asked in vain."""
DEEPEST = 32
"""Lists and objects of JSON that may lie inside each other."""


def parse_json(data: bytes) -> Any:
    """What a JSON text says; its numbers are finite and its nesting has an end.

    Raises:
        ValueError: If the text is no such JSON.
    """
    try:
        value = json.loads(data, parse_constant=_finite, parse_float=_finite)
    except RecursionError:
        value, depth = None, DEEPEST + 1
    else:
        depth = _depth(value)
    if depth > DEEPEST:
        raise ValueError(f"its lists and objects are nested more than {DEEPEST} deep")
    return value


def numbers(value: Any, shape: Sequence[int], name: str) -> np.ndarray:
    """Nested lists of numbers as a float64 array of that shape, none of them beyond ±LARGEST_NUMBER.

    Raises:
        ValueError: If they have another shape, or hold anything else.
    """
    cells = np.array(value, dtype=object)
    if cells.shape != tuple(shape) or not {type(cell) for cell in cells.flat} <= {int, float}:
        raise ValueError(f"{name} has to be a list of numbers of shape {tuple(shape)}")
    if not all(abs(cell) <= LARGEST_NUMBER for cell in cells.flat):
        raise ValueError(f"{name} holds numbers beyond ±{LARGEST_NUMBER:g}")
    return cells.astype(np.float64)


def check_size(value: Any, name: str) -> int:
    """A count of something, if it is a whole number from 1 to LARGEST_SIZE.

    Raises:
        ValueError: If it is not.
    """
    if type(value) is not int or not 1 <= value <= LARGEST_SIZE:
        raise ValueError(f"{name} is {value!r}; expected a whole number from 1 to {LARGEST_SIZE}")
    return value


def check_types(fields: Any, types: dict[str, type], optional: bool = False) -> None:
    """Whether fields are an object whose values have exactly these types.

    Args:
        fields: What JSON gave.
        types: Name of a field → its type.
        optional: Whether fields may be missing.

    Raises:
        ValueError: If a field is missing or has another type; all of them are named.
    """
    if type(fields) is not dict:
        raise ValueError(f"it is a {type(fields).__name__}; expected an object with named fields")
    if missing := [name for name in types if name not in fields and not optional]:
        raise ValueError(f"it lacks {', '.join(missing)}")
    if wrong := [name for name, kind in types.items() if name in fields and type(fields[name]) is not kind]:
        told = (f"{name} is a {type(fields[name]).__name__} and not a {types[name].__name__}" for name in wrong)
        raise ValueError("; ".join(told))


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"it holds {text}, which is no finite number")
    return number


def _depth(value: Any) -> int:
    """How many lists and objects lie inside each other, counted without recursion."""
    depth, level = 0, [value]
    while containers := [each for each in level if isinstance(each, list | dict)]:
        depth += 1
        level = [inner for each in containers for inner in (each.values() if isinstance(each, dict) else each)]
    return depth
