"""Evaluations of many architectures, for surrogates: what to evaluate, and a row of each evaluation."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from nases_env import embeddings
from nases_env.env import NASESEnv
from nases_env.pipeline import Walk
from nases_env.search_spaces.base import HIGH, LOW

SHARES = {"uniform": 0.4, "decoder": 0.4, "mutation": 0.2}
"""Shares of the architectures by what they are drawn from: uniform origin vectors, uniform actions of a decoder, and
mutations of good architectures."""
GOOD = 0.1
"""Share of the children so far that may be mutated: those with the highest rewards."""
MUTATED = 3
"""A mutation draws at most so many numbers of an origin vector anew."""
ROUND = 20
"""So many architectures are chosen together."""


class Request(NamedTuple):
    """One child to evaluate."""

    source: str
    action: np.ndarray
    """The action for the decoder `identity`, float32 (m,)."""
    child_seed: int
    parent: int | None
    """Index of the request that a mutation changes; None where this is no mutation."""


class Plan:
    """Rounds of requests. The same seed and the same rewards give the same rounds, so a journal can be replayed.

    Args:
        environment: Whose space is drawn from; its decoder is `identity`.
        decoder: Whose uniform actions are a source.
        children: Different architectures in all rounds together; repeats come on top.
        repeated: So many of them, the first ones, are asked for with several child seeds.
        best: So many more, those with the highest rewards of all others, are asked for again in the end.
        seeds: Child seeds for each of those that are asked for again.
        seed: Seed of what is drawn.
    """

    def __init__(
        self,
        environment: NASESEnv,
        decoder: embeddings.Decoder,
        children: int,
        repeated: int,
        best: int,
        seeds: int,
        seed: int,
    ):
        self._space, self._identity, self._decoder = environment.space, environment.decoder, decoder
        self._children, self._repeated, self._best, self._seeds = children, repeated, best, seeds
        self._rng = np.random.default_rng(seed)
        self._done: list[Request] = []
        self._rewards: list[float] = []
        self._keys: set[str] = set()

    @property
    def evaluations(self) -> int:
        """Evaluations in all rounds together."""
        return self._children + (self._repeated + self._best) * (self._seeds - 1)

    def rounds(self) -> Iterator[list[Request]]:
        """Yield rounds until there are enough architectures; `learn` has to be called between two of them."""
        first = self._new(self._repeated)
        if first:
            yield first
            yield from self._again(first)
        while missing := self._children - len(self._keys):
            yield self._new(min(ROUND, missing))
        if self._best:
            once = range(len(first) * self._seeds, len(self._done))
            best = sorted(once, key=lambda index: -self._rewards[index])[: self._best]
            yield from self._again([self._done[index] for index in best])

    def learn(self, requests: Sequence[Request], rewards: Sequence[float]) -> None:
        """Which children were good."""
        self._done += requests
        self._rewards += rewards

    def _again(self, requests: Sequence[Request]) -> Iterator[list[Request]]:
        """The same architectures, each with one other child seed in every round."""
        for _ in range(self._seeds - 1):
            yield [request._replace(child_seed=self._child_seed()) for request in requests]

    def _new(self, count: int) -> list[Request]:
        """Architectures that were not asked for yet."""
        draw = {"uniform": self._uniform, "decoder": self._decoded, "mutation": self._mutated}
        shares = SHARES if self._rewards else {"uniform": 0.5, "decoder": 0.5}
        found: list[Request] = []
        while len(found) < count:
            source = str(self._rng.choice([*shares], p=[*shares.values()]))
            origin, parent = draw[source]()
            action = self._identity.encode(origin[None])[0]
            row = self._space.discretise(self._identity.decode(action[None]))[0]
            key = self._space.architecture(row).key
            if key not in self._keys:
                self._keys.add(key)
                found.append(Request(source, action, self._child_seed(), parent))
        return found

    def _child_seed(self) -> int:
        return int(self._rng.integers(2**31))

    def _uniform(self) -> tuple[np.ndarray, None]:
        return self._space.sample(self._rng, 1)[0], None

    def _decoded(self) -> tuple[np.ndarray, None]:
        action = self._rng.uniform(size=(1, self._decoder.action_size)).astype(np.float32)
        return self._decoder.decode(action)[0], None

    def _mutated(self) -> tuple[np.ndarray, int]:
        """Mutate a good child; returns the origin vector and the index of that child."""
        best = np.argsort(self._rewards, kind="stable")[::-1][: max(1, int(GOOD * len(self._rewards)))]
        parent = int(self._rng.choice(best))
        origin = self._identity.decode(self._done[parent].action[None])[0]
        changed = self._rng.choice(len(origin), self._rng.integers(1, MUTATED + 1), replace=False)
        origin[changed] = self._rng.uniform(LOW, HIGH, len(changed))
        return origin, parent


def collect(environment: NASESEnv, plan: Plan) -> Iterator[list[dict[str, Any]]]:
    """Evaluate what a plan asks for; yields the rows of each round."""
    for requests in plan.rounds():
        actions = np.stack([request.action for request in requests])
        children = environment.pipeline(actions, [request.child_seed for request in requests])
        plan.learn(requests, [child.reward for child in children])
        yield list(map(row, requests, children))


def row(request: Request, child: Walk) -> dict[str, Any]:
    """What the table tells about a child."""
    evaluation = child.evaluation
    measured = {
        "source": request.source,
        "parent": "" if request.parent is None else request.parent,
        "child_seed": request.child_seed,
        "validation_accuracy": evaluation.validation_accuracy,
        "train_accuracy": evaluation.train_accuracy,
        "reward": child.reward,
        "parameters": evaluation.parameters,
        "flops": evaluation.flops,
        "failure": evaluation.failure,
        "seconds": round(evaluation.seconds, 3),
        "architecture": child.architecture.to_json(),
    }
    epochs = enumerate(evaluation.epochs, start=1)
    return measured | {f"{name}_{i}": round(number, 6) for i, epoch in epochs for name, number in epoch.items()}
