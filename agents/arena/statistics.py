"""Statistics of searches. Every seed gives one score; the children of one search are never pooled."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.stats import norm, trim_mean

RESAMPLES = 10_000
LEVEL = 0.95


class Interval(NamedTuple):
    """An estimate, and its 95 % bootstrap interval (percentiles)."""

    value: float
    low: float
    high: float


def iqm(scores: np.ndarray) -> Interval:
    """The mean of the middle half of scores (N,); its interval is over resampled seeds."""
    return _interval(trim_mean(scores, 0.25), trim_mean(_resampled(scores, 0), 0.25, axis=1))


def probability_of_improvement(scores: np.ndarray, others: np.ndarray) -> Interval:
    """How often one of scores (N,) is above one of others (M,), ties counting half: Mann and Whitney's U / NM."""
    draws = zip(_resampled(scores, 0), _resampled(others, 1), strict=True)
    return _interval(_above(scores, others), np.array([_above(*pair) for pair in draws]))


def best_so_far(rewards: np.ndarray) -> np.ndarray:
    """Running maxima of rewards (N, children).

    Raises:
        ValueError: If a curve falls, as it does where a reward is NaN.
    """
    curves = np.maximum.accumulate(rewards, axis=1)
    if not (np.diff(curves, axis=1) >= 0).all():
        raise ValueError("a curve of the best reward so far falls: its rewards are no numbers")
    return curves


def children_to_reach(curves: np.ndarray, threshold: float) -> float:
    """Median over seeds of the first child, from 1, at or above a threshold in curves (N, children); ∞: not reached."""
    reached = curves >= threshold
    return float(np.median(np.where(reached.any(axis=1), reached.argmax(axis=1) + 1.0, np.inf)))


def smallest_detectable_difference(deviation: float, seeds: int, power: float = 0.8) -> float:
    """The difference of two agents' mean scores that so many seeds each find at the 5 % level, with that power."""
    quantiles = norm.ppf(1 - (1 - LEVEL) / 2) + norm.ppf(power)
    return float(quantiles * deviation * np.sqrt(2 / seeds))


def band(curves: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """IQM of curves (N, children) at each child, and its interval."""
    rng = np.random.default_rng(0)
    chosen = rng.integers(len(curves), size=(RESAMPLES // 10, len(curves)))
    resampled = np.stack([trim_mean(curves[rows], 0.25, axis=0) for rows in chosen])
    low, high = np.quantile(resampled, ((1 - LEVEL) / 2, (1 + LEVEL) / 2), axis=0)
    return trim_mean(curves, 0.25, axis=0), low, high


def _above(scores: np.ndarray, others: np.ndarray) -> float:
    difference = scores[:, None] - others
    return float((difference > 0).mean() + 0.5 * (difference == 0).mean())


def _resampled(scores: np.ndarray, stream: int) -> np.ndarray:
    rng = np.random.default_rng([0, stream])
    return scores[rng.integers(len(scores), size=(RESAMPLES, len(scores)))]


def _interval(value: float, resampled: np.ndarray) -> Interval:
    low, high = np.quantile(resampled, ((1 - LEVEL) / 2, (1 + LEVEL) / 2))
    return Interval(float(value), float(low), float(high))
