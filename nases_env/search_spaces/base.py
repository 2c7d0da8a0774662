"""The language that agents, surrogates and keys share: dimensions, discretisation, architectures."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar, Self

import numpy as np

from nases_env.words import shortened, shown

LOW, HIGH = 0.0, 30.0
"""Range of every number of an origin vector (v1, section 4.1.1)."""


@dataclass(frozen=True)
class Dimension:
    """One number of an origin vector."""

    name: str
    layer: int
    """The layer or node that the number belongs to, counted from 1."""
    edges: tuple[float, ...]
    """Bin edges from LOW to HIGH; a value belongs to the bin whose upper edge it does not exceed."""
    labels: tuple[str, ...] = ()
    """The name of each bin, where bins have names."""

    @property
    def centres(self) -> np.ndarray:
        """The middle of each bin, float64 (bins,)."""
        edges = np.asarray(self.edges)
        return (edges[:-1] + edges[1:]) / 2


class Architecture(ABC):
    """A discrete network: frozen and hashable; equal exactly when it means the same network.

    `str` is a line to read.
    """

    space: ClassVar[str]
    """Name of the space that it is one of."""

    @abstractmethod
    def to_json(self) -> str:
        """Canonical JSON: equal architectures have equal texts."""

    @classmethod
    def from_json(cls, text: str) -> Self:
        """The architecture of `to_json`.

        Raises:
            ValueError: If the text is not an architecture of this kind.
        """
        try:
            fields = read_fields(text)
            if fields["space"] != cls.space:
                raise ValueError(f"its space is {shown(fields['space'])}")
            names = {"space", *(field.name for field in dataclasses.fields(cls))}  # type: ignore[arg-type]
            if fields.keys() != names:
                raise ValueError(f"its keys are {shown(sorted(fields))} instead of {sorted(names)}")
            return cls._from_fields(fields)
        except ValueError as error:
            raise ValueError(
                f"not a {cls.space} architecture: {shown(text)}; expected the JSON of {cls.__name__}.to_json "
                f"({shortened(str(error))})"
            ) from error

    @classmethod
    @abstractmethod
    def _from_fields(cls, fields: dict[str, Any]) -> Self:
        """The architecture of the fields of its JSON, which has the right keys; ValueError where they are none's."""

    @cached_property
    def key(self) -> str:
        """16 hexadecimal digits that name this network; two vectors that mean the same network share it."""
        return key(self.to_json())


def read_fields(text: str) -> dict[str, Any]:
    """The fields of a JSON object that names a space.

    Raises:
        ValueError: If the text is no such JSON.
    """
    if not isinstance(text, str):
        raise ValueError(f"it is of type {type(text).__name__}, not a text")
    try:
        fields = json.loads(text, object_pairs_hook=_without_repeats, parse_constant=_no_number)
    except RecursionError as error:
        raise ValueError("it is nested too deep") from error
    if not isinstance(fields, dict) or "space" not in fields:
        raise ValueError("it is no JSON object with the key 'space'")
    return fields


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len(fields := dict(pairs)) < len(pairs):
        raise ValueError("a key stands in it twice")
    return fields


def _no_number(constant: str) -> None:
    raise ValueError(f"{constant} is no number of JSON")


def check_list(value: Any, what: str, length: int | None = None) -> None:
    """Refuse what is no list of that length.

    Raises:
        ValueError: If it is none.
    """
    if not isinstance(value, list | tuple):
        raise ValueError(f"the {what} are {shown(value)}, not a list")
    if length is not None and len(value) != length:
        raise ValueError(f"{len(value)} {what} instead of {length}")


def key(text: str) -> str:
    """The key of the architecture with this canonical JSON."""
    return hashlib.sha256(text.encode()).hexdigest()[:16]


class SearchSpace(ABC):
    """Maps origin vectors (K, n) in [LOW, HIGH] to architectures."""

    name: str
    rules_name: str = "paper"
    """The name of the rules that the space follows."""
    dimensions: tuple[Dimension, ...]

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        return self  # nothing changes a space

    @property
    def origin_size(self) -> int:
        """Numbers in an origin vector, n."""
        return len(self.dimensions)

    def bins(self) -> np.ndarray:
        """The number of bins that each dimension has, int (n,)."""
        return np.array([len(dimension.edges) - 1 for dimension in self.dimensions])

    def sample(self, rng: np.random.Generator, count: int) -> np.ndarray:
        """Uniform origin vectors, float32 (count, n)."""
        return rng.uniform(LOW, HIGH, (count, self.origin_size)).astype(np.float32)

    def origin(self, choices: np.ndarray) -> np.ndarray:
        """Bin centres, float32 (K, n), of integer choices (K, n), one bin per dimension."""
        choices = np.atleast_2d(choices)
        columns = [dimension.centres[choices[:, i]] for i, dimension in enumerate(self.dimensions)]
        return np.stack(columns, axis=1).astype(np.float32)

    def choices(self, origins: np.ndarray) -> np.ndarray:
        """The bins, int (K, n), that the numbers of origin vectors (K, n) lie in."""
        columns = [
            np.searchsorted(dimension.edges[1:-1], origins[:, i], side="left")
            for i, dimension in enumerate(self.dimensions)
        ]
        return np.stack(columns, axis=1)

    def check_origins(self, origins: np.ndarray) -> np.ndarray:
        """The origin vectors as float64 (K, n).

        Raises:
            ValueError: If the shape is wrong or a number is not in [LOW, HIGH].
        """
        array = np.asarray(origins, dtype=np.float64)
        if array.ndim != 2 or array.shape[1] != self.origin_size:
            raise ValueError(f"origin vectors have shape {array.shape}; expected (K, {self.origin_size})")
        if not (np.isfinite(array).all() and array.min(initial=LOW) >= LOW and array.max(initial=HIGH) <= HIGH):
            raise ValueError(f"origin vectors must be numbers in [{LOW:g}, {HIGH:g}]; got {array}")
        return array

    @abstractmethod
    def discretise(self, origins: np.ndarray) -> np.ndarray:
        """Integer rows (K, m), the same for all origin vectors that mean the same network.

        The only home of the space's thresholds.

        Raises:
            ValueError: If the shape is wrong or a number is not in [LOW, HIGH].
        """

    @abstractmethod
    def decisions(self, rows: np.ndarray) -> dict[str, np.ndarray]:
        """The columns of rows (K, m) by what they decide: name → integers (K, decisions of that name)."""

    @abstractmethod
    def architecture(self, row: np.ndarray) -> Architecture:
        """The architecture of one row of `discretise`."""

    @abstractmethod
    def row(self, architecture: Architecture) -> np.ndarray:
        """The row (m,) of an architecture.

        Raises:
            ValueError: If it is not one of this space.
        """

    @abstractmethod
    def describe(self, rows: np.ndarray) -> tuple[list[str], list[str]]:
        """Tell what `str` and `key` of the architectures of rows (K, m) of `discretise` are."""

    @abstractmethod
    def origin_of(self, architecture: Architecture) -> np.ndarray:
        """An origin vector, float32 (n,), that means this architecture.

        Raises:
            ValueError: If no vector does.
        """

    @abstractmethod
    def from_json(self, text: str) -> Architecture:
        """The architecture of `Architecture.to_json`.

        Raises:
            ValueError: If the text is not an architecture of this space.
        """
