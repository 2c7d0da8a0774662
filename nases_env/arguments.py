"""What callers hand in, checked before anything changes: numbers in a box, files, seeds, options of `reset`."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from nases_env.search_spaces.base import Architecture, SearchSpace
from nases_env.words import shortened, shown

ROUNDING = 1e-6
"""Share of a box's side by which a number may lie outside: arithmetic in float32 errs by less."""


def in_box(what: str, values: Any, shape: tuple[int | None, ...], low: float, high: float) -> np.ndarray:
    """The values as an array of numbers in [low, high]; what rounding has put outside is put on the border.

    Args:
        what: What the values are called in an error, in the plural.
        values: An array, nested lists or a torch tensor, which may require gradients.
        shape: What the shape has to be; None stands for any length.
        low: The lowest number.
        high: The highest number.

    Raises:
        ValueError: If the shape is another, or a number is outside by more than rounding, or is none.
    """
    array = as_array(what, values)
    lengths = zip(shape, array.shape, strict=False)
    if array.dtype.kind not in "fiub":
        raise ValueError(f"the {what} are {shown(values)}; expected numbers in [{low:g}, {high:g}], {_text(shape)}")
    if array.ndim != len(shape) or any(expected not in (None, found) for expected, found in lengths):
        raise ValueError(f"the {what} have shape {array.shape}; expected {_text(shape)}: {shown(values)}")
    margin = ROUNDING * (high - low)
    inside = (array >= low - margin) & (array <= high + margin)
    if not inside.all():
        wrong = shortened(", ".join(map(str, array[~inside][:10].tolist())))
        raise ValueError(f"the {what} have to be numbers in [{low:g}, {high:g}]; got {wrong}")
    return np.clip(array, low, high) if array.size and (array.min() < low or array.max() > high) else array


def as_array(what: str, values: Any) -> np.ndarray:
    """The values as an array; a tensor is read without its gradients, from whichever device.

    Raises:
        ValueError: If they are no array.
    """
    try:
        return np.asarray(values.detach().cpu() if hasattr(values, "detach") else values)
    except (TypeError, ValueError, RuntimeError) as error:  # ragged lists, tensors in a list, types numpy lacks
        raise ValueError(f"the {what} are no array of numbers ({error}): {shown(values)}") from error


def _text(shape: tuple[int | None, ...]) -> str:
    """A shape as Python writes it, with K for any length."""
    return str(shape).replace("None", "K")


def is_path(value: Any) -> bool:
    """Whether the value names a file or a folder, as a text that is not empty or as a path."""
    return isinstance(value, str | os.PathLike) and isinstance(os.fspath(value), str) and bool(os.fspath(value))


def check_path(name: str, value: Any, expected: str) -> str:
    """The path of a file or a folder, as a text.

    Raises:
        ValueError: If the value is no path.
    """
    if not is_path(value):
        raise ValueError(f"{name} is {shown(value)}; expected {expected}")
    return os.fspath(value)


def check_count(name: str, value: Any, expected: str, lowest: int, highest: float = math.inf) -> int:
    """A whole number from the lowest to the highest.

    Raises:
        ValueError: If it lies outside, or is no whole number.
    """
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or not lowest <= value <= highest:
        raise ValueError(f"{name} is {shown(value)}; expected {expected}")
    return int(value)


def check_seed(seed: Any) -> int | None:
    """A seed of a random generator, or None.

    Raises:
        ValueError: If it is negative, or no whole number.
    """
    return None if seed is None else check_count("seed", seed, "a whole number, at least 0, or None", 0)


def check_seeds(seed: Any, count: int) -> Sequence[int | None]:
    """The seeds of several searches: those given one by one, or one and its successors.

    Raises:
        ValueError: If there are more or fewer, or one is negative or no whole number.
    """
    if seed is None:
        return [None] * count
    if isinstance(seed, Sequence | np.ndarray) and not isinstance(seed, str | bytes):
        if len(seed) != count:
            raise ValueError(f"got {len(seed)} seeds for {count} searches; expected one for each")
        return [check_seed(each) for each in seed]
    first = check_count("seed", seed, "a whole number, at least 0, a list of them, or None", 0)
    return [first + i for i in range(count)]


def check_journals(ledger: Any, reuse: Any) -> tuple[str | None, tuple[str, ...]]:
    """The paths of a run's own journal and of other runs' journals.

    Raises:
        ValueError: If they are no paths, or there are others but no own one.
    """
    if not isinstance(reuse, Sequence) or isinstance(reuse, str | bytes) or not all(map(is_path, reuse)):
        raise ValueError(f"reuse is {shown(reuse)}; expected a list of the paths of journals")
    if ledger is not None:
        ledger = check_path("ledger", ledger, "the path of a journal file, or None for memory")
    elif reuse:
        raise ValueError("reuse names journals of other runs, which needs a journal of this one: set ledger")
    return ledger, tuple(map(os.fspath, reuse))


def check_options(options: Any) -> dict[str, Any]:
    """The options of a reset; none where they are None.

    Raises:
        ValueError: If they are no mapping.
    """
    if options is None:
        return {}
    if not isinstance(options, Mapping):
        raise ValueError(f"reset's options are {shown(options)}; expected a mapping such as {{'architecture': ...}}")
    return dict(options)


def given_origin(space: SearchSpace, options: Mapping[str, Any]) -> np.ndarray | None:
    """The origin vector that reset's options ask for, if they do.

    Raises:
        ValueError: If there is another option, or the architecture is not one.
    """
    if unknown := [name for name in options if name != "architecture"]:
        raise ValueError(f"reset has no options {shown(unknown)}; it has 'architecture'")
    if "architecture" not in options:
        return None
    architecture = options["architecture"]
    if isinstance(architecture, str):
        architecture = space.from_json(architecture)
    if isinstance(architecture, Architecture):
        return space.origin_of(architecture)
    origin = as_array("numbers of the option 'architecture'", architecture)
    if origin.dtype.kind not in "fiu" or origin.shape != (space.origin_size,):
        raise ValueError(
            f"the option 'architecture' is {shown(architecture)}; expected {space.origin_size} numbers, an "
            "Architecture, or the JSON of one"
        )
    return space.check_origins(origin[None])[0].astype(np.float32)


def check_words(dataset: Any, device: Any, render_mode: Any, modes: Sequence[str]) -> None:
    """Check those arguments of an environment that are words, before anything is read.

    Raises:
        ValueError: If one is no text, or the render mode is none of the modes.
    """
    if render_mode is not None and (not isinstance(render_mode, str) or render_mode not in modes):
        raise ValueError(f"there is no render mode {shown(render_mode)}; choose one of {modes}")
    if not isinstance(dataset, str):
        raise ValueError(f"dataset is {shown(dataset)}; expected the name of a data set")
    if not isinstance(device, str) or not device:
        raise ValueError(f"device is {shown(device)}; expected the name of a torch device, or 'auto'")
