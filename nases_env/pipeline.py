"""The one walk every shell makes: action → origin vector → architecture → evaluation → reward."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, cast

import numpy as np

from nases_env.embeddings import Decoder
from nases_env.evaluation import Evaluation, Evaluations
from nases_env.evaluators.base import Evaluator, RowsEvaluator
from nases_env.evaluators.choice import check_fingerprint
from nases_env.flight import Asked, Flight
from nases_env.ledger import EvaluationId, Ledger
from nases_env.rewards import Reward
from nases_env.search_spaces import Architecture, SearchSpace


@dataclass(frozen=True)
class Walk:
    """What one action led to, from its origin vector to its reward."""

    origin: np.ndarray
    """The origin vector that the action was decoded to, float32 (m,) in [0, 30]."""
    row: np.ndarray
    """The integers that `SearchSpace.discretise` made of it."""
    architecture: Architecture
    """The network that the row means."""
    evaluation: Evaluation
    """What was found out about it, trained now or answered by the ledger."""
    reward: float
    """What the reward function makes of the evaluation."""


class Rows(NamedTuple):
    """What K actions led to where no architecture was built, only rows."""

    origins: np.ndarray
    """The origin vectors that the actions were decoded to, float32 (K, m) in [0, 30]."""
    rows: np.ndarray
    """The integers that `SearchSpace.discretise` made of them, a row for each action."""
    texts: list[str]
    """What `str` of the K architectures is."""
    keys: list[str]
    """The keys of the K architectures."""
    evaluations: Evaluations
    """What the evaluator tells of the K children."""
    rewards: np.ndarray
    """The rewards of the K children, float64 (K,)."""


class Pipeline:
    """Walks from actions to rewards; whatever the ledger knows is not trained again.

    Args:
        space: It turns origin vectors into architectures.
        decoder: It turns actions into origin vectors.
        make_evaluator: Makes the evaluator; it is called when one is first needed.
        reward: It turns an evaluation into a reward.
        open_ledger: Opens the ledger, which keeps evaluations; it is called when the first action comes.
    """

    def __init__(
        self,
        space: SearchSpace,
        decoder: Decoder,
        make_evaluator: Callable[[], Evaluator],
        reward: Reward,
        open_ledger: Callable[[], Ledger],
    ):
        self.space, self.decoder = space, decoder
        self._make_evaluator, self._reward, self._open_ledger = make_evaluator, reward, open_ledger
        self._evaluator: Evaluator | None = None
        self.opened: Ledger | None = None
        """The ledger while it is open."""

    @property
    def ledger(self) -> Ledger:
        """Where evaluations are kept; it is opened when it is first asked for."""
        if self.opened is None:
            self.opened = self._open_ledger()
        return self.opened

    @property
    def evaluator(self) -> Evaluator:
        """Who evaluates architectures; it is made when it is first asked for."""
        if self._evaluator is None:
            self._evaluator = self._make_evaluator()
        return self._evaluator

    def prepare(self) -> None:
        """Read what the evaluator needs, so that errors in it come now; the ledger stays as it is."""
        if prepare := getattr(self.evaluator, "prepare", None):
            prepare()
        check_fingerprint(self.evaluator.fingerprint)

    @property
    def by_rows(self) -> bool:
        """Whether children can be told without their architectures: nothing is kept, and the evaluator takes rows."""
        return not self.ledger.remembers and isinstance(self.evaluator, RowsEvaluator)

    def rows(self, actions: np.ndarray, child_seeds: Sequence[int]) -> Rows:
        """Walk from actions (K, n) in [0, 1], each with its child seed, all at once; only where `by_rows`."""
        origins = self.decoder.decode(actions)
        rows = self.space.discretise(origins)
        texts, keys = self.space.describe(rows)
        found = cast(RowsEvaluator, self.evaluator).evaluate_rows(rows, keys, child_seeds)
        return Rows(origins, rows, texts, keys, found, self._reward(found))

    def __call__(self, actions: np.ndarray, child_seeds: Sequence[int]) -> list[Walk]:
        """Walk from actions (K, n) in [0, 1], each with its child seed; see `walk`."""
        return list(self.walk(actions, child_seeds))

    def walk(self, actions: np.ndarray, child_seeds: Sequence[int]) -> Iterator[Walk]:
        """Walk from actions (K, n) in [0, 1], each with its child seed.

        Yields:
            Children in order, each when it is recorded: as soon as it and those before it are known.

        Raises:
            LedgerMismatchError: If the ledger's journal belongs to another run.
        """
        ledger, evaluator = self.ledger, self.evaluator  # before anything is computed
        origins = self.decoder.decode(actions)
        rows = self.space.discretise(origins)
        architectures = [self.space.architecture(row) for row in rows]
        found = self._evaluations(ledger, evaluator, actions, architectures, child_seeds)
        for origin, row, architecture, rewarded in zip(origins, rows, architectures, found, strict=True):
            yield Walk(origin, row, architecture, *rewarded)

    def walk_as_completed(
        self, actions: Iterable[np.ndarray], child_seed: int, ahead: int
    ) -> Iterator[tuple[int, np.ndarray, Walk]]:
        """Walk from actions (n,) in [0, 1], several at a time, in order of completion.

        The ledger keeps that order: where it holds children of an earlier start, they are told in the order of that
        one, and what was not told of yet is evaluated again.

        Args:
            actions: An action is taken whenever fewer than `ahead` children are waited for; what was told of others may
                decide it.
            child_seed: Seed of every child.
            ahead: How many children are evaluated side by side.

        Yields:
            The action's index in `actions`, the action, and its child, as soon as that is known and recorded.

        Raises:
            LedgerMismatchError: If the ledger's journal belongs to another run.
        """
        ledger = self.ledger
        flight = Flight(ledger, self.evaluator)
        first, coming = ledger.children, enumerate(actions)
        while True:
            for index, action in itertools.islice(coming, ahead - len(flight)):
                flight.add(self._ask(first + index, action, flight.fingerprint, child_seed))
            if not len(flight):
                return
            replayed = flight.replayed()
            asked, evaluation = replayed or flight.next_known()
            reward = self._reward(evaluation)
            if replayed is None:
                ledger.record(asked.action, asked.identity, asked.architecture, evaluation, reward, asked.number)
            walk = Walk(asked.origin, asked.row, asked.architecture, evaluation, reward)
            yield asked.number - first, asked.action, walk

    def _ask(self, number: int, action: np.ndarray, fingerprint: str | None, child_seed: int) -> Asked:
        (origin,) = self.decoder.decode(action[None])
        (row,) = self.space.discretise(origin[None])
        architecture = self.space.architecture(row)
        identity = EvaluationId(fingerprint or "", architecture.key, child_seed)
        return Asked(number, action, origin, row, architecture, identity)

    @staticmethod
    def _repeated(known: Mapping[int, Evaluation | None], first: int) -> Evaluation | None:
        """The evaluation of an equal child of this batch, with 0 seconds, if it is known."""
        found = known.get(first)
        return found and found.again()

    def close(self) -> None:
        """Free the evaluator and the ledger's file. It may be called twice; the next action makes and opens others."""
        if close := getattr(self._evaluator, "close", None):
            close()
        if self.opened is not None:
            self.opened.close()
        self._evaluator = self.opened = None

    def _evaluations(
        self,
        ledger: Ledger,
        evaluator: Evaluator,
        actions: np.ndarray,
        architectures: Sequence[Architecture],
        child_seeds: Sequence[int],
    ) -> Iterator[tuple[Evaluation, float]]:
        """Yield evaluations with their rewards in order; each is recorded once it and those before it are known."""
        fingerprint = check_fingerprint(evaluator.fingerprint)
        identities = [
            EvaluationId(fingerprint or "", architecture.key, seed)
            for architecture, seed in zip(architectures, child_seeds, strict=True)
        ]
        replayed = 0
        for action, identity in zip(actions, identities, strict=True):
            if (evaluation := ledger.replay(action, identity)) is None:
                break
            replayed += 1
            yield evaluation, self._reward(evaluation)
        fresh = range(replayed, len(actions))
        known = {i: ledger.find(identities[i]) if fingerprint else None for i in fresh}
        # Two equal children of one batch are trained once.
        first = {identities[i]: i for i in reversed(fresh)} if fingerprint else {}
        indices = [i for i in fresh if known[i] is None and first.get(identities[i], i) == i]
        results = iter(evaluator.evaluate([architectures[i] for i in indices], [child_seeds[i] for i in indices]))
        for i in fresh:
            while (evaluation := known[i] or self._repeated(known, first.get(identities[i], i))) is None:
                if (result := next(results, None)) is None:
                    raise ValueError(f"the evaluator told less than it was asked for; expected {len(indices)} children")
                finished, known_now = result
                known[indices[finished]] = known_now
            reward = self._reward(evaluation)
            ledger.record(actions[i], identities[i], architectures[i], evaluation, reward)
            yield evaluation, reward
