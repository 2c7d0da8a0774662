"""Who finds out how good architectures are."""

from __future__ import annotations

import typing
from collections.abc import Iterator, Sequence

from nases_env.evaluation import Evaluation
from nases_env.search_spaces import Architecture


class WorkerStartError(RuntimeError):
    """Worker processes cannot be started, so nothing was found out about any child; the message says what to do."""


class Evaluator(typing.Protocol):
    """Finds out how good architectures are."""

    @property
    def fingerprint(self) -> str | None:
        """Names everything but architecture and seed that a result depends on; None: depends on history."""

    def prepare(self) -> None:
        """Read everything that evaluations need; afterwards `fingerprint` is known.

        Errors in what is read come from here, before anything is trained or written.
        """

    def evaluate(self, architectures: Sequence[Architecture], seeds: Sequence[int]) -> Iterator[tuple[int, Evaluation]]:
        """Yield (index, evaluation) in order of completion. A child that fails is an evaluation with a failure.

        Raises:
            WorkerStartError: If children are to be trained in worker processes and those cannot be started.
        """

    def close(self) -> None:
        """Free what was held; may be called twice."""
