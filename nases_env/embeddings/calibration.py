"""Rank tables: monotone maps, one per column, that give a sample a uniform distribution."""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np

Calibration = Literal["output", "none", "both"]
"""`output`: decoded numbers go through a rank table; `none`: the paper's letter; `both`: actions go through the
encoder's quantiles as well."""

KNOTS = 513


class RankTable:
    """A monotone, piecewise linear map of each of d columns onto [low, high], exact on the sample it was fitted on.

    Args:
        quantiles: Ascending input values, (d, KNOTS); column i's quantile j is mapped to knot j of an even grid.
        low: Value of the lowest quantile and of everything below.
        high: Value of the highest quantile and of everything above.
    """

    def __init__(self, quantiles: np.ndarray, low: float, high: float):
        self.quantiles = quantiles
        self._grid = np.linspace(low, high, quantiles.shape[1])

    @classmethod
    def fit(cls, sample: np.ndarray, low: float, high: float) -> RankTable:
        """The table that makes the columns of a sample (N, d) uniform on [low, high]."""
        quantiles = np.quantile(sample.astype(np.float64), np.linspace(0, 1, KNOTS), axis=0).T
        return cls(np.ascontiguousarray(quantiles, dtype=np.float32), low, high)

    def __call__(self, values: np.ndarray) -> np.ndarray:
        """Map (K, d) to [low, high], float32."""
        return self._interpolate(values, lambda column, known: np.interp(column, known, self._grid))

    def inverse(self, values: np.ndarray) -> np.ndarray:
        """Map (K, d) in [low, high] back to the range of the sample, float32."""
        return self._interpolate(values, lambda column, known: np.interp(column, self._grid, known))

    def _interpolate(self, values: np.ndarray, interpolate) -> np.ndarray:
        columns = [interpolate(values[:, i], known) for i, known in enumerate(self.quantiles)]
        return np.stack(columns, axis=1).astype(np.float32)


def check(calibration: str) -> Calibration:
    """The calibration, if there is one of that name.

    Raises:
        ValueError: If there is none.
    """
    if calibration not in get_args(Calibration):
        raise ValueError(f"there is no calibration {calibration!r}; choose one of {get_args(Calibration)}")
    return calibration  # type: ignore[return-value]
