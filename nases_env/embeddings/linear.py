"""The controls of the experiment: PCA, a random projection, and the identity.

They answer whether an embedding helps, and whether it has to be learned.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property

import numpy as np

from nases_env.embeddings.base import Decoder, fit_output_table, multiply
from nases_env.embeddings.calibration import Calibration, RankTable
from nases_env.search_spaces.base import HIGH, LOW

CENTRE = (LOW + HIGH) / 2
RANGE = HIGH - LOW


class IdentityDecoder(Decoder):
    """Searches the origin space itself: an action is the origin vector divided by 30. No calibration changes it."""

    def __init__(self, origin_size: int):
        self.action_size = self.origin_size = origin_size

    def _decode_codes(self, codes: np.ndarray) -> np.ndarray:
        return LOW + RANGE * codes

    def _encode_codes(self, raw: np.ndarray) -> np.ndarray:
        return (raw - LOW) / RANGE


class LinearDecoder(Decoder):
    """Decodes to `15 + 30 · matrix · (action − ½)`, and encodes by the pseudo-inverse of the matrix.

    Args:
        origin_size: Numbers in an origin vector, m.
        action_size: Numbers in an action, n.
        make_matrix: Makes the matrix (m, n); it is called when the matrix is first needed.
        calibration: `none`, `output` or `both`. The last two do the same here, because codes of uniform actions are
            uniform already.
    """

    def __init__(
        self,
        origin_size: int,
        action_size: int,
        make_matrix: Callable[[int, int], np.ndarray],
        calibration: Calibration = "none",
    ):
        self.origin_size, self.action_size = origin_size, action_size
        self._make_matrix = make_matrix
        self._calibrated = calibration != "none"

    @cached_property
    def matrix(self) -> np.ndarray:
        """The matrix from actions to origin vectors, float32 (m, n)."""
        return self._make_matrix(self.origin_size, self.action_size).astype(np.float32)

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


def principal_components(origin_size: int, count: int) -> np.ndarray:
    """The first principal components of uniform origin vectors, (m, count).

    A projection on them loses a mean squared error of 75 · (1 − count/m).
    """
    sample = np.random.default_rng(0).uniform(LOW, HIGH, (100_000, origin_size))
    _, vectors = np.linalg.eigh(np.cov(sample, rowvar=False))
    components = vectors[:, ::-1][:, :count]
    return components * np.sign(components[np.abs(components).argmax(axis=0), np.arange(count)])


def random_projection(origin_size: int, count: int) -> np.ndarray:
    """Gaussian (m, count) with rows of length 1, so that decoded numbers have the deviation of uniform ones."""
    matrix = np.random.default_rng(0).standard_normal((origin_size, count))
    return matrix / np.linalg.norm(matrix, axis=1, keepdims=True)
