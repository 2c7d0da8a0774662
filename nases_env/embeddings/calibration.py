"""Rank tables: monotone maps, one per column, that give a sample a uniform distribution."""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np

from nases_env.words import shown

Calibration = Literal["output", "none", "both"]
"""Which rank tables stand around a decoder. With `none` there are none, as in the paper; with `output` decoded numbers
go through one; with `both` actions go through the encoder's quantiles as well."""

KNOTS = 513
"""So many quantiles of a sample make a rank table; between them it is linear."""
FEW = 4
"""For fewer rows than this, comparing with every knot is faster than a search in each column."""


class RankTable:
    """A monotone, piecewise linear map of each of d columns onto [low, high], exact on the sample it was fitted on.

    Args:
        quantiles: Ascending input values, (d, KNOTS); column i's quantile j is mapped to knot j of an even grid.
        low: The value that the lowest quantile and everything below it is mapped to.
        high: The value that the highest quantile and everything above it is mapped to.
    """

    def __init__(self, quantiles: np.ndarray, low: float, high: float):
        self.quantiles = quantiles
        self._edges = quantiles.astype(np.float64)
        self._columns = np.arange(len(quantiles))
        self._grid = np.linspace(low, high, quantiles.shape[1])

    @classmethod
    def fit(cls, sample: np.ndarray, low: float, high: float) -> RankTable:
        """Fit the table that makes the columns of a sample (N, d) uniform on [low, high]."""
        quantiles = np.quantile(sample.astype(np.float64), np.linspace(0, 1, KNOTS), axis=0).T
        return cls(np.ascontiguousarray(quantiles, dtype=np.float32), low, high)

    def __call__(self, values: np.ndarray) -> np.ndarray:
        """Map (K, d) to [low, high], float32."""
        values = np.asarray(values, dtype=np.float64)
        segment = self._segments(values)
        start, end = self._edges[self._columns, segment], self._edges[self._columns, segment + 1]
        slope = (self._grid[segment + 1] - self._grid[segment]) / np.where(end > start, end - start, 1.0)
        mapped = slope * (values.clip(start, end) - start) + self._grid[segment]
        return mapped.astype(np.float32)

    def inverse(self, values: np.ndarray) -> np.ndarray:
        """Map (K, d) in [low, high] back to the range of the sample, float32."""
        columns = [np.interp(values[:, i], self._grid, known) for i, known in enumerate(self.quantiles)]
        return np.stack(columns, axis=1).astype(np.float32)

    def _segments(self, values: np.ndarray) -> np.ndarray:
        """Find between which two knots each value (K, d) lies; returns the index of the lower one."""
        if len(values) < FEW:
            knots = (self._edges <= values[:, :, None]).sum(axis=2)
        else:
            found = [np.searchsorted(known, values[:, i], "right") for i, known in enumerate(self._edges)]
            knots = np.stack(found, axis=1)
        return (knots - 1).clip(0, KNOTS - 2)


def check(calibration: str) -> Calibration:
    """Give a calibration back, if there is one of that name.

    Raises:
        ValueError: If there is none.
    """
    if not isinstance(calibration, str) or calibration not in get_args(Calibration):
        raise ValueError(f"there is no calibration {shown(calibration)}; choose one of {get_args(Calibration)}")
    return calibration  # type: ignore[return-value]
