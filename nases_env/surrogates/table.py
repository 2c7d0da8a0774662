"""Tables of evaluations that `scripts/collect.py` wrote."""

from __future__ import annotations

import csv
import gzip
import hashlib
import io
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from nases_env import search_spaces

SUFFIX = ".csv.gz"
"""Of a table's name."""
EPOCH_COLUMNS = ("loss", "running_train_accuracy", "validation_accuracy")


@dataclass(frozen=True)
class Table:
    """N evaluations of children that did not fail, and the card beside them."""

    card: dict[str, Any]
    sha256: str
    """Of the file."""
    rows: np.ndarray
    """Of the search space, (N, m)."""
    keys: np.ndarray
    """Of the architectures, (N,)."""
    sources: np.ndarray
    """What each was drawn from, (N,)."""
    measured: dict[str, np.ndarray]
    """train_accuracy, validation_accuracy, reward, parameters and flops, (N,) each."""
    epochs: np.ndarray
    """(N, epochs, 3) in the order of EPOCH_COLUMNS."""

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, chosen: np.ndarray) -> Table:
        """Some of the evaluations."""
        return replace(
            self,
            rows=self.rows[chosen],
            keys=self.keys[chosen],
            sources=self.sources[chosen],
            measured={name: values[chosen] for name, values in self.measured.items()},
            epochs=self.epochs[chosen],
        )

    @cached_property
    def architecture_index(self) -> np.ndarray:
        """Which of the different architectures each evaluation is of, (N,)."""
        return np.unique(self.keys, return_inverse=True)[1]


def read(path: Path) -> Table:
    """The table at path, with the card beside it.

    Raises:
        FileNotFoundError: If either is missing.
        ValueError: If they are not what `scripts/collect.py` writes.
    """
    card_file = card_path(path)
    for file in (path, card_file):
        if not file.is_file():
            raise FileNotFoundError(f"{file} is missing; scripts/collect.py --table writes tables with their card")
    try:
        card, data = json.loads(card_file.read_text()), path.read_bytes()
        lines = [line for line in csv.DictReader(io.StringIO(gzip.decompress(data).decode())) if not line["failure"]]
        return _table(card, hashlib.sha256(data).hexdigest(), lines)
    except (ValueError, KeyError, TypeError, EOFError, gzip.BadGzipFile) as error:
        raise ValueError(
            f"{path} is no table that scripts/collect.py wrote, or {card_file} no card ({error!r})"
        ) from error


def card_path(table: Path) -> Path:
    """Where the card of a table is."""
    return table.with_name(table.name.removesuffix(SUFFIX) + ".json")


def _table(card: dict[str, Any], sha256: str, lines: Sequence[dict[str, str]]) -> Table:
    space = search_spaces.make("macro", card["rules"])
    epochs = range(1, card["protocol"]["epochs"] + 1)
    architectures = [space.from_json(line["architecture"]) for line in lines]
    names = ("train_accuracy", "validation_accuracy", "reward", "parameters", "flops")
    return Table(
        card,
        sha256,
        np.stack([space.row(architecture) for architecture in architectures]),
        np.array([architecture.key for architecture in architectures]),
        np.array([line["source"] for line in lines]),
        {name: np.array([float(line[name]) for line in lines]) for name in names},
        np.array([[[float(line[f"{name}_{i}"]) for name in EPOCH_COLUMNS] for i in epochs] for line in lines]),
    )
