"""Asks a surrogate instead of training children."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence

import numpy as np

from nases_env.evaluation import Evaluation, Evaluations
from nases_env.search_spaces import Architecture, SearchSpace
from nases_env.surrogates.model import Surrogate


class SurrogateEvaluator:
    """Evaluates each architecture by a surrogate.

    Args:
        surrogate: Who is asked.
        space: Whose architectures they are.
    """

    def __init__(self, surrogate: Surrogate, space: SearchSpace):
        self._surrogate, self._space = surrogate, space

    @property
    def fingerprint(self) -> str:
        """Names the surrogate's files: 16 hexadecimal digits."""
        return self._surrogate.fingerprint

    def prepare(self) -> None:
        """Read the models; see `Evaluator.prepare`.

        Raises:
            FileNotFoundError: If a file of the surrogate is missing.
            ValueError: If a file of it is damaged.
        """
        _ = self._surrogate.fingerprint, self._surrogate.regressor

    def evaluate(self, architectures: Sequence[Architecture], seeds: Sequence[int]) -> Iterator[tuple[int, Evaluation]]:
        """Predict the architectures, all at once."""
        if not architectures:
            return
        start = time.perf_counter()
        rows = np.stack([self._space.row(architecture) for architecture in architectures])
        found = self.evaluate_rows(rows, [architecture.key for architecture in architectures], seeds)
        seconds = (time.perf_counter() - start) / len(architectures)
        for index, numbers in enumerate(zip(*(array.tolist() for array in found), strict=True)):
            yield index, Evaluation(**dict(zip(found._fields, numbers, strict=True)), seconds=seconds, device="cpu")

    def evaluate_rows(self, rows: np.ndarray, keys: Sequence[str] | np.ndarray, seeds: Sequence[int]) -> Evaluations:
        """Predict rows of the search space; see `RowsEvaluator`."""
        return self._surrogate.predict(rows, keys, seeds)
