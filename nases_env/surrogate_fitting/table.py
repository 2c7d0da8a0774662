"""Tables of evaluations that `nases collect` wrote."""

from __future__ import annotations

import gzip
import hashlib
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from nases_env import files, rewards, search_spaces
from nases_env.children.protocol import Protocol
from nases_env.evaluation import Evaluations
from nases_env.schemas import NewerVersionError, check_schema
from nases_env.search_spaces import SearchSpace
from nases_env.surrogates.features import ImageShape
from nases_env.untrusted import parse_json

SUFFIX = ".csv.gz"
"""The name of every table ends with this."""
EPOCH_COLUMNS = ("loss", "running_train_accuracy", "validation_accuracy")
CARD_FIELDS = ("command", "dataset", "fingerprint", "hardware", "dates", "versions", "sources")
"""Fields that a card has besides space, rules, protocol and images."""


@dataclass(frozen=True)
class Table:
    """N evaluations of children that did not fail, and the card beside them."""

    card: dict[str, Any]
    sha256: str
    """Hash of the file."""
    space: SearchSpace
    protocol: Protocol
    images: ImageShape
    reward: str
    """The name of the reward function whose values stand in the table."""
    failed: int
    """Evaluations that were left out."""
    rows: np.ndarray
    """The evaluated architectures as rows of the search space, (N, m)."""
    keys: np.ndarray
    """Keys of the architectures, (N,)."""
    families: np.ndarray
    """Key of the architecture that each descends from by mutations, (N,). One drawn anew descends from itself."""
    sources: np.ndarray
    """The source that each architecture was drawn from, (N,)."""
    measured: dict[str, np.ndarray]
    """train_accuracy, validation_accuracy, reward, parameters and flops, (N,) each."""
    epochs: np.ndarray
    """What was measured after each epoch, (N, epochs, 3) in the order of EPOCH_COLUMNS."""

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, chosen: np.ndarray) -> Table:
        """Some of the evaluations."""
        columns = ("rows", "keys", "families", "sources", "epochs")
        measured = {name: values[chosen] for name, values in self.measured.items()}
        return replace(self, measured=measured, **{name: getattr(self, name)[chosen] for name in columns})

    @cached_property
    def architecture_index(self) -> np.ndarray:
        """The index of each evaluation's architecture among the different ones, (N,)."""
        return np.unique(self.keys, return_inverse=True)[1]


def read(path: Path) -> Table:
    """The table at path, with the card beside it.

    Raises:
        FileNotFoundError: If either is missing.
        ValueError: If they are not what `nases collect` writes; NewerVersionError if a newer version wrote them.
    """
    card_file = card_path(path)
    for file in (path, card_file):
        if not file.is_file():
            raise FileNotFoundError(f"{file} is missing; nases collect --table writes tables with their card")
    try:
        card, data = parse_json(card_file.read_bytes()), path.read_bytes()
        check_schema(card, "table", card_file)
        if missing := [name for name in CARD_FIELDS if name not in card]:
            raise ValueError(f"the card lacks {', '.join(missing)}")
        return _table(card, hashlib.sha256(data).hexdigest(), files.read_compressed_csv(data))
    except NewerVersionError:
        raise
    except (ValueError, KeyError, TypeError, IndexError, EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise ValueError(
            f"{path} and its card {card_file} are not what nases collect writes now ({error!r}); write them again"
        ) from error


def lines(path: Path) -> list[dict[str, str]]:
    """The lines of the table at path, which `read` accepts: one for each evaluation, failed ones included."""
    return files.read_compressed_csv(path.read_bytes())


def card_path(table: Path) -> Path:
    """The path of the card that belongs to a table."""
    return table.with_name(table.name.removesuffix(SUFFIX) + ".json")


def _table(card: dict[str, Any], sha256: str, lines: Sequence[dict[str, str]]) -> Table:
    space, protocol = search_spaces.make(card["space"], card["rules"]), Protocol(**card["protocol"])
    architectures = [space.from_json(line["architecture"]) for line in lines]
    keys = np.array([architecture.key for architecture in architectures])
    kept = [index for index, line in enumerate(lines) if not line["failure"]]
    names = ("train_accuracy", "validation_accuracy", "reward", "parameters", "flops")
    measured = {name: np.array([float(lines[index][name]) for index in kept]) for name in names}
    epochs = [
        [[float(lines[index][f"{name}_{i}"]) for name in EPOCH_COLUMNS] for i in range(1, protocol.epochs + 1)]
        for index in kept
    ]
    return Table(
        card,
        sha256,
        space,
        protocol,
        ImageShape(**card["images"]),
        _reward(measured),
        len(lines) - len(kept),
        np.stack([space.row(architectures[index]) for index in kept]),
        keys[kept],
        keys[_roots(lines)][kept],
        np.array([lines[index]["source"] for index in kept]),
        measured,
        np.array(epochs),
    )


def _reward(measured: dict[str, np.ndarray]) -> str:
    """The name of the first reward function that gives the rewards which were measured, by the accuracies."""
    evaluations = Evaluations(**{name: measured[name] for name in Evaluations._fields})
    known = {name: reward for name, reward in rewards.REWARDS.items() if reward is not rewards.proxy}
    for name, reward in known.items():
        if np.allclose(reward(evaluations), measured["reward"], atol=1e-6):
            return name
    raise ValueError(f"its rewards are those of none of {', '.join(known)}")


def _roots(lines: Sequence[dict[str, str]]) -> list[int]:
    """Find the line that each line descends from; its `parent` is the index of an earlier line, or empty."""
    roots: list[int] = []
    for index, line in enumerate(lines):
        roots.append(roots[int(line["parent"])] if line["parent"] else index)
    return roots
