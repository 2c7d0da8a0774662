"""What identifies an evaluation, and evaluations kept in memory."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from nases_env.evaluation import Evaluation
from nases_env.search_spaces import Architecture


class LedgerMismatchError(ValueError):
    """A run asks for another child than its own journal holds at this place.

    Args:
        message: What differs, and what to do.
        child: The child's index; None where it is about all of them.
    """

    def __init__(self, message: str, child: int | None = None):
        super().__init__(message)
        self.child = child


class EvaluationId(NamedTuple):
    """What makes two evaluations the same."""

    evaluator: str
    """The evaluator's fingerprint."""
    architecture: str
    """The architecture's key."""
    child_seed: int


class Ledger:
    """Evaluations of this process, in memory.

    Args:
        remember: Whether they are kept; not for evaluators that answer faster than memory fills.
    """

    def __init__(self, remember: bool = True) -> None:
        self.remembers = remember
        """Whether evaluations are kept."""
        self._found: dict[EvaluationId, Evaluation] = {}
        self.children = 0
        """Children asked for so far: the next one's index."""

    def replay(self, action: np.ndarray, identity: EvaluationId) -> Evaluation | None:
        """What an earlier start of this run found for the next child, if it got that far.

        Raises:
            LedgerMismatchError: If it found it for another child.
        """
        return None

    def replay_told(self, asked: Mapping[int, tuple[np.ndarray, EvaluationId]]) -> tuple[int, Evaluation] | None:
        """What an earlier start of this run was told of next, where children are told in the order they are known in.

        Args:
            asked: Action and identity of each child that was asked for and not told of yet, by its index in the order
                in which children are asked for.

        Returns:
            The index of one of them, and its evaluation; None if it got no further.

        Raises:
            LedgerMismatchError: If it was told of none of them.
        """
        return None

    def find(self, identity: EvaluationId) -> Evaluation | None:
        """The evaluation of that identity, with 0 seconds, if there is one."""
        found = self._found.get(identity)
        return found and found.again()

    def in_memory(self) -> Ledger:
        """What is known so far, in a ledger without a file."""
        ledger = Ledger(self.remembers)
        ledger._found, ledger.children = dict(self._found), self.children
        return ledger

    def record(
        self,
        action: np.ndarray,
        identity: EvaluationId,
        architecture: Architecture,
        evaluation: Evaluation,
        reward: float,
        asked: int | None = None,
    ) -> None:
        """Keep what was found for the next child; durable when it returns, if this ledger has a file.

        Args:
            action: The child's action.
            identity: What makes its evaluation the same as another.
            architecture: What was evaluated.
            evaluation: What was found out.
            reward: What that is worth.
            asked: The child's index in the order in which children were asked for; None: it is the next one's.
        """
        if self.remembers:
            self._found.setdefault(identity, copy.deepcopy(evaluation))
        self.children += 1

    def close(self) -> None:
        """Release the file; may be called twice."""
