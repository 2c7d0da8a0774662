"""Children in flight: they were asked for and are not told of yet. Whichever is known first is told first."""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Hashable, Iterator
from typing import NamedTuple

import numpy as np

from nases_env.evaluation import Evaluation
from nases_env.evaluators.base import Evaluator, StreamEvaluator
from nases_env.evaluators.choice import check_fingerprint
from nases_env.executors.base import Job, available
from nases_env.ledger import EvaluationId, Ledger
from nases_env.search_spaces import Architecture


class Asked(NamedTuple):
    """One child that was asked for."""

    number: int
    """Its index in the order in which a run asks for children."""
    action: np.ndarray
    origin: np.ndarray
    row: np.ndarray
    architecture: Architecture
    identity: EvaluationId


class Flight:
    """Tells children in the order in which they are known.

    What an earlier start of the run was told is told again in that order, before anything is evaluated. After that,
    whatever the ledger knows is known at once, and equal children in flight are evaluated once.

    Args:
        ledger: Answers what is known, and knows what an earlier start was told.
        evaluator: Evaluates the others; one that is no StreamEvaluator is asked for one child at a time.
    """

    def __init__(self, ledger: Ledger, evaluator: Evaluator):
        self._ledger = ledger
        self.fingerprint = check_fingerprint(evaluator.fingerprint)
        """The evaluator's; None where nothing is answered from memory."""
        self._new: dict[int, Asked] = {}
        """Nothing was done for these yet, by their numbers."""
        self._same: dict[Hashable, list[Asked]] = {}
        """Being evaluated: the first of each list is, and those behind it are equal to it."""
        self._known: deque[tuple[Asked, Evaluation]] = deque()
        self._begun: dict[int, Asked] = {}
        """Given to the evaluator, by their indices there."""
        self._indices = itertools.count()
        self._jobs: deque[Job] = deque()
        self._results = _evaluated(evaluator, self._coming())

    def __len__(self) -> int:
        return len(self._new) + len(self._known) + sum(map(len, self._same.values()))

    def add(self, asked: Asked) -> None:
        """Take a child; it is evaluated when the next one is waited for."""
        self._new[asked.number] = asked

    def replayed(self) -> tuple[Asked, Evaluation] | None:
        """The child that an earlier start of the run was told of next; None if it got no further.

        Raises:
            LedgerMismatchError: If that child is not in flight, or is another one here.
        """
        found = self._ledger.replay_told({number: (each.action, each.identity) for number, each in self._new.items()})
        return found and (self._new.pop(found[0]), found[1])

    def next_known(self) -> tuple[Asked, Evaluation]:
        """The child that is known next; waits until there is one."""
        self._begin()
        while not self._known:
            self._wait()
        return self._known.popleft()

    def _begin(self) -> None:
        for asked in self._new.values():
            if self.fingerprint and (found := self._ledger.find(asked.identity)):
                self._known.append((asked, found))
            elif same := self._same.get(self._key(asked)):
                same.append(asked)
            else:
                self._same[self._key(asked)] = [asked]
                self._begun[next(self._indices)] = asked
                self._jobs.append(Job(asked.architecture, asked.identity.child_seed))
        self._new.clear()

    def _key(self, asked: Asked) -> Hashable:
        """What equal children share: nothing where results depend on history."""
        return asked.identity if self.fingerprint else asked.number

    def _wait(self) -> None:
        if (result := next(self._results, None)) is None:
            raise ValueError(
                f"the evaluator told less than it was asked for; expected {len(self._begun)} more children"
            )
        index, evaluation = result
        first, *others = self._same.pop(self._key(self._begun.pop(index)))
        self._known.append((first, evaluation))
        self._known.extend((other, evaluation.again()) for other in others)

    def _coming(self) -> Iterator[Job | None]:
        """What the evaluator is to begin next, for ever; None where that is nothing for now."""
        while True:
            yield self._jobs.popleft() if self._jobs else None


def _evaluated(evaluator: Evaluator, jobs: Iterator[Job | None]) -> Iterator[tuple[int, Evaluation]]:
    if isinstance(evaluator, StreamEvaluator):
        yield from evaluator.evaluate_stream(jobs)
        return
    for index, job in enumerate(available(jobs)):
        for _, evaluation in evaluator.evaluate([job.architecture], [job.seed]):
            yield index, evaluation
