"""Who finds out how good architectures are."""

from __future__ import annotations

import typing
from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from nases_env.evaluation import Evaluation, Evaluations
from nases_env.executors.base import Job
from nases_env.search_spaces import Architecture


class Evaluator(typing.Protocol):
    """Finds out how good architectures are.

    Two methods more may be there. `prepare()` reads everything that evaluations need, so that errors in it come before
    anything is trained or written; afterwards `fingerprint` is known. `close()` frees what was held; it may be called
    twice, and an evaluation may be asked for after it.
    """

    @property
    def fingerprint(self) -> str | None:
        """Names everything but architecture and seed that a result depends on; None: depends on history."""

    def evaluate(self, architectures: Sequence[Architecture], seeds: Sequence[int]) -> Iterator[tuple[int, Evaluation]]:
        """Yield (index, evaluation) in order of completion. A child that fails is an evaluation with a failure.

        Raises:
            WorkerStartError: If children are to be trained in worker processes and those cannot be started.
        """


@typing.runtime_checkable
class RowsEvaluator(typing.Protocol):
    """Also evaluates thousands of children at once, without their architectures, faster than memory would fill."""

    def evaluate_rows(self, rows: np.ndarray, keys: Sequence[str] | np.ndarray, seeds: Sequence[int]) -> Evaluations:
        """What is found out about children, none of which fails.

        Args:
            rows: Of the search space, (K, m).
            keys: The architectures' keys.
            seeds: The children's seeds.
        """


@typing.runtime_checkable
class StreamEvaluator(typing.Protocol):
    """Also takes children while it evaluates others, so that none of its workers waits."""

    def evaluate_stream(self, jobs: Iterable[Job | None]) -> Iterator[tuple[int, Evaluation]]:
        """Yield (index, evaluation) in order of completion, as `evaluate` does.

        Args:
            jobs: What to evaluate. Where there is a None among them, others come later; see `Executor.run`.
        """
