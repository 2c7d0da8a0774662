"""The controls of the experiment: PCA, a random projection, and the identity.

They answer whether an embedding helps, and whether it has to be learned.
"""

from __future__ import annotations

from functools import cached_property

import numpy as np

from nases_env.embeddings.base import Decoder, fit_output_table, multiply
from nases_env.embeddings.calibration import Calibration, RankTable
from nases_env.search_spaces.base import HIGH, LOW

CENTRE = (LOW + HIGH) / 2
RANGE = HIGH - LOW


class IdentityDecoder(Decoder):
    """The origin space itself: an action is the origin vector divided by 30. No calibration changes it."""

    def __init__(self, origin_size: int):
        self.action_size = self.origin_size = origin_size

    def _decode_codes(self, codes: np.ndarray) -> np.ndarray:
        return LOW + RANGE * codes

    def _encode_codes(self, raw: np.ndarray) -> np.ndarray:
        return (raw - LOW) / RANGE


class LinearDecoder(Decoder):
    """`15 + 30 · matrix · (action − ½)`, and its pseudo-inverse.

    Args:
        matrix: (origin_size, action_size).
        calibration: `output`, `none`, or `both` (an action is already uniform here: the same as `output`).
    """

    def __init__(self, matrix: np.ndarray, calibration: Calibration = "output"):
        self.matrix = matrix.astype(np.float32)
        self.origin_size, self.action_size = matrix.shape
        self._calibrated = calibration != "none"

    @classmethod
    def pca(cls, origin_size: int, action_size: int, calibration: Calibration = "output") -> LinearDecoder:
        """Principal components of uniform origin vectors: a squared error of 75 · (1 − k/60)."""
        sample = np.random.default_rng(0).uniform(LOW, HIGH, (100_000, origin_size))
        _, vectors = np.linalg.eigh(np.cov(sample, rowvar=False))
        components = vectors[:, ::-1][:, :action_size]
        signs = np.sign(components[np.abs(components).argmax(axis=0), np.arange(action_size)])
        return cls(components * signs, calibration)

    @classmethod
    def random(cls, origin_size: int, action_size: int, calibration: Calibration = "output") -> LinearDecoder:
        """A Gaussian matrix with rows of length 1, so that decoded numbers have the deviation of uniform ones."""
        matrix = np.random.default_rng(0).standard_normal((origin_size, action_size))
        return cls(matrix / np.linalg.norm(matrix, axis=1, keepdims=True), calibration)

    @cached_property
    def _inverse(self) -> np.ndarray:
        return np.linalg.pinv(self.matrix)

    @cached_property
    def _fitted_table(self) -> RankTable:
        return fit_output_table(self._decode_codes, self.action_size)

    @property
    def _output_table(self) -> RankTable | None:
        return self._fitted_table if self._calibrated else None

    def _decode_codes(self, codes: np.ndarray) -> np.ndarray:
        return CENTRE + RANGE * multiply(codes - 0.5, self.matrix.T)

    def _encode_codes(self, raw: np.ndarray) -> np.ndarray:
        return 0.5 + multiply(raw - CENTRE, self._inverse.T) / RANGE
