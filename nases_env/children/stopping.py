"""Rules that end a child's training before its last epoch."""

from __future__ import annotations

import typing
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any


class Stopping(typing.Protocol):
    """Is asked after every epoch whether the child is trained on."""

    @property
    def fingerprint(self) -> str:
        """Names the rule and its parameters, because a result depends on them; empty for the rule that never stops."""

    def __call__(self, epochs: Sequence[Mapping[str, float]]) -> Mapping[str, Any] | None:
        """Whether to stop.

        Args:
            epochs: What each epoch so far gave, see `Evaluation.epochs`.

        Returns:
            None to train on. To stop, the fields of the child's evaluation that the rule sets, for example the
            validation accuracy that it expects at the end; where it sets none, what was measured stands. A rule that
            sets a failure sets both accuracies to 0 as well.
        """


@dataclass(frozen=True)
class Never:
    """Every child is trained to its last epoch."""

    fingerprint: typing.ClassVar[str] = ""

    def __call__(self, epochs: Sequence[Mapping[str, float]]) -> None:
        """Train on."""


never = Never()
