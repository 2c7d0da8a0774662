"""Table 1 and Figure 3 of v1: what an embedding of k numbers loses, and the k where loss and size cross."""

from __future__ import annotations

import math
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

from nases_env.embeddings.autoencoders import autoencoder
from nases_env.search_spaces.base import HIGH, LOW

ORIGIN_SIZE = 60
VARIANCE = (HIGH - LOW) ** 2 / 12
"""Variance of a uniform number in [0, 30], 75: the mean squared error of always predicting the mean."""


class Losses(NamedTuple):
    """Mean squared errors in raw units."""

    train: float
    test: float


PAPER = {
    1: Losses(71.78, 72.58),
    5: Losses(59.82, 63.37),
    10: Losses(53.38, 57.52),
    20: Losses(40.79, 46.15),
    30: Losses(30.53, 34.77),
    40: Losses(19.14, 22.66),
    50: Losses(7.54, 10.76),
    60: Losses(1.74, 2.23),
}
"""The paper's training and testing loss for each embedding size."""

SEEDS = {20: (0, 1, 2)}
"""Seeds of our table by embedding size; every other size has seed 0 alone."""

COLUMNS = (
    "embedding_size", "seed", "compression_ratio", "train_loss", "test_loss", "paper_train_loss", "paper_test_loss",
    "pca_loss", "steps", "minutes",
)  # fmt: skip


def pca_loss(size: int) -> float:
    """What the best linear projection to so many numbers loses."""
    return VARIANCE * (1 - size / ORIGIN_SIZE)


def row(card: dict[str, Any]) -> dict[str, float]:
    """A row of the table from a card of `pretraining.write`; NaN for the paper where it has no such size."""
    size = card["embedding_size"]
    paper = PAPER.get(size, Losses(math.nan, math.nan))
    return {
        "embedding_size": size,
        "seed": card["settings"]["seed"],
        "compression_ratio": round(size / card["origin_size"], 2),
        "train_loss": card["train_loss"],
        "test_loss": card["test_loss"],
        "paper_train_loss": paper.train,
        "paper_test_loss": paper.test,
        "pca_loss": round(pca_loss(size), 2),
        "steps": card["steps"],
        "minutes": card["minutes"],
    }


def rows(folder: Path) -> list[dict[str, float]]:
    """The rows of all models in a folder, by size and seed."""
    cards = [autoencoder.read_card(path) for path in folder.glob("k*-seed*.safetensors")]
    return sorted(map(row, cards), key=lambda row: (row["embedding_size"], row["seed"]))


def crossing(losses: Mapping[int, float]) -> float:
    """The embedding size where the share of the variance that is lost equals the share of numbers that is kept.

    That is where Figure 3's curves cross when its axes end at 60 numbers and at a loss of 75.

    Args:
        losses: Embedding size, ascending → test loss, falling; joined by straight lines.

    Raises:
        ValueError: If the curves do not cross.
    """
    gaps = [(size, loss / VARIANCE - size / ORIGIN_SIZE) for size, loss in losses.items()]
    for (before, above), (after, below) in pairwise(gaps):
        if above >= 0 >= below and above > below:
            return before + (after - before) * above / (above - below)
    raise ValueError(f"the losses {dict(losses)} do not cross the sizes; train larger and smaller ones")
