"""Whether children that are good after a short training are good after a long one."""

from __future__ import annotations

import dataclasses

import numpy as np
from scipy.stats import spearmanr

from agents.arena.noise_floor import RandomChildren

RESAMPLES = 2000


def longer(sample: RandomChildren, factor: int) -> RandomChildren:
    """The same children with so many times the epochs; restarts of the schedule are as much rarer."""
    protocol = sample.resolved()
    fields = [f"epochs={factor * protocol.epochs}"]
    if protocol.restart_period:
        fields.append(f"restart_period={factor * protocol.restart_period}")
    return dataclasses.replace(sample, overrides=(*sample.overrides, *fields))


def interval(short: np.ndarray, long: np.ndarray) -> tuple[float, float]:
    """95 % bootstrap interval over children of Spearman's correlation of two columns (children,)."""
    rng = np.random.default_rng(0)
    drawn = rng.integers(len(short), size=(RESAMPLES, len(short)))
    low, high = np.nanquantile([spearmanr(short[rows], long[rows]).statistic for rows in drawn], (0.025, 0.975))
    return float(low), float(high)
