"""A surrogate: a model of the logits of both accuracies, and of how much the child seed changes them.

It is linear, with boosted trees (LightGBM) of what that leaves. In logits the spread between child seeds depends little
on how good an architecture is, so one covariance describes it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.special import expit, ndtri

from nases_env import files, threads
from nases_env.evaluation import Evaluations
from nases_env.schemas import SCHEMA
from nases_env.surrogates import card as cards
from nases_env.surrogates import features, trees
from nases_env.surrogates.card import TARGETS

if TYPE_CHECKING:
    from lightgbm import Booster

CARD, TREES = "card.json", "trees.txt"
DIGITS = 6
"""Decimals of an accuracy: processors differ in the last bits of a logarithm."""
PIECE = 128
"""Rows at a time: what they need fits a cache."""


@dataclass(frozen=True)
class Regressor:
    """Predicts the logits of both accuracies from features: a linear model, and trees of what that leaves."""

    coefficients: np.ndarray
    """Coefficients of the linear model, float64 (2, F) in the order of TARGETS."""
    intercepts: np.ndarray
    """Intercepts of the linear model, float64 (2,)."""
    trees: Booster
    """One model with as many trees for each target, because two models would take twice the time of a call."""

    def __call__(self, features: np.ndarray) -> np.ndarray:
        """Logits (K, 2) of features (K, F)."""
        linear = (features[:, None] * self.coefficients).sum(axis=2)  # row by row, unlike a matrix product
        return self.intercepts + linear + self.trees.predict(features, num_threads=1)


class Noise:
    """How the logits of both accuracies vary with the child seed: normally, and together.

    Args:
        covariance: Covariance of the two logits, (2, 2) in the order of TARGETS.
    """

    def __init__(self, covariance: np.ndarray):
        self.covariance = covariance
        (first, both), (_, second) = covariance  # its Cholesky factor; also where seeds change nothing
        deviation = np.sqrt(first)
        slope = both / deviation if deviation else 0.0
        self._root = np.array([[deviation, 0.0], [slope, np.sqrt(max(second - slope**2, 0.0))]])

    def draw(self, keys: Sequence[str] | np.ndarray, child_seeds: Sequence[int]) -> np.ndarray:
        """Draw what is added to the logits, (K, 2). It depends on an architecture's key and a child seed alone."""
        digests = b"".join(
            hashlib.blake2b(f"{key} {seed}".encode(), digest_size=16).digest()
            for key, seed in zip(keys, child_seeds, strict=True)
        )
        uniform = (np.frombuffer(digests, "<u8").reshape(-1, 2) >> 11) * 2.0**-53 + 2.0**-54
        return (ndtri(uniform)[:, None] * self._root).sum(axis=2)


class Surrogate:
    """Predicts the accuracies that a protocol would measure. Its models are read when they are first used.

    Args:
        path: The folder with a card and a LightGBM model as text.
        noise: Whether to add what the child seed would change.

    Raises:
        FileNotFoundError: If the card is missing.
        ValueError: If it is not the card of a surrogate.
    """

    def __init__(self, path: Path, noise: bool = False):
        self.path, self.noise = path, noise
        self._card = cards.parse(_read(path / CARD), path / CARD)
        self.card = self._card.fields
        self.protocol, self.space = self._card.protocol, self._card.space
        self.dataset: str = self.card["dataset"]
        self._noise = Noise(self._card.noise_covariance)
        self._features = self._card.features

    @property
    def decides(self) -> dict[str, Any]:
        """The arguments of the environment that follow from what the surrogate was fitted for."""
        return {
            "dataset": self.dataset,
            "protocol": self.protocol,
            "space": self.space.name,
            "rules": self.card["rules"],
        }

    @cached_property
    def fingerprint(self) -> str:
        """16 hexadecimal digits that name the content of the surrogate's files and whether there is noise."""
        content = _read(self.path / CARD) + _read(self.path / TREES)
        return hashlib.sha256(content + b" noise" * self.noise).hexdigest()[:16]

    @cached_property
    def regressor(self) -> Regressor:
        """The model of the logits; its files are read when it is first asked for.

        Raises:
            FileNotFoundError: If the trees are missing.
            ValueError: If they are not those that the card was written with, or no trees of a fit.
        """
        from lightgbm import Booster

        file, card = self.path / TREES, self._card
        data = _read(file)
        if (found := hashlib.sha256(data).hexdigest()) != self.card["trees_sha256"]:
            raise ValueError(
                f"{file} has the hash {found}; its card {self.path / CARD} belongs to "
                f"{self.card['trees_sha256']}: one of the two is damaged. Fit it again with nases fit-surrogate"
            )
        try:
            text = trees.checked(data, self._features.count, len(TARGETS))
        except ValueError as error:
            raise ValueError(
                f"{file} holds no trees that nases fit-surrogate writes now ({error}); fit the surrogate again"
            ) from error
        return Regressor(card.coefficients, card.intercepts, Booster(model_str=text))

    def predict(self, rows: np.ndarray, keys: Sequence[str] | np.ndarray, child_seeds: Sequence[int]) -> Evaluations:
        """Predict what K children would measure; each row's numbers do not depend on the others.

        Args:
            rows: Integers of `SearchSpace.discretise`, (K, m), at least one row.
            keys: The keys of the K architectures; only the noise depends on them.
            child_seeds: The child seeds of the K children; only the noise depends on them.
        """
        pieces = [rows[start : start + PIECE] for start in range(0, len(rows), PIECE)]
        self.regressor  # noqa: B018  (read before threads ask for it)
        logits, parameters, flops = map(np.concatenate, zip(*threads.share(self._predict, pieces), strict=True))
        if self.noise:
            logits += self._noise.draw(keys, child_seeds)
        train, validation = np.round(expit(logits), DIGITS).T
        return Evaluations(train, validation, parameters, flops)

    def _predict(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Logits (K, 2), parameters and FLOPs of rows (K, m)."""
        features, parameters, flops = self._features(rows)
        return self.regressor(features), parameters, flops


def save(path: Path, regressor: Regressor, noise: Noise, card: dict[str, Any]) -> None:
    """Write a surrogate's folder.

    Args:
        path: The folder; it is made if it is missing.
        regressor: The model of the logits.
        noise: How much the child seed changes the logits.
        card: Fields that tell about the fit; the linear model, the trees' hash and the noise are added.
    """
    path.mkdir(parents=True, exist_ok=True)
    kind = {"schema": SCHEMA["surrogate"], "kind": cards.KIND, "features": features.VERSION}
    text = regressor.trees.model_to_string().encode()
    files.write(path / TREES, text)
    linear = {
        target: {"intercept": intercept, "coefficients": coefficients}
        for target, intercept, coefficients in zip(
            TARGETS, regressor.intercepts.tolist(), regressor.coefficients.tolist(), strict=True
        )
    }
    added = {
        "noise_covariance": noise.covariance.tolist(),
        "trees_sha256": hashlib.sha256(text).hexdigest(),
        "linear": linear,
    }
    files.write_json(path / CARD, {**kind, **card, **added}, indent=1)


def _read(file: Path) -> bytes:
    if not file.is_file():
        raise FileNotFoundError(f"{file} is missing; fit the surrogate again with nases fit-surrogate")
    return file.read_bytes()
