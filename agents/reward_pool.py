"""The reward pool of v1 (section 4.2.2): everything seen, with rewards normalised over the whole pool."""

from __future__ import annotations

from typing import Literal, NamedTuple, get_args

import numpy as np

Baseline = Literal["pool", "moving", "none"]
DECAY = 0.9
"""How much of the moving average each entry leaves."""


class Batch(NamedTuple):
    """Entries of the pool."""

    states: np.ndarray
    """The origin vectors that the controller saw, (B, m)."""
    embeddings: np.ndarray
    """The embeddings that were built, (B, n)."""
    advantages: np.ndarray
    """How much better each was than the baseline, (B,); see RewardPool."""


class RewardPool:
    """Keeps the state, the embedding and the reward of every child.

    An entry's advantage is how much better it was than the baseline:

    * `pool`, the paper's: its reward minus the pool's mean, over the pool's deviation;
    * `moving`: its reward minus a moving average of those before it;
    * `none`: its reward.
    """

    def __init__(self, baseline: Baseline = "pool") -> None:
        if baseline not in get_args(Baseline):
            raise ValueError(f"there is no baseline {baseline!r}; choose one of {get_args(Baseline)}")
        self.baseline = baseline
        self._states: list[np.ndarray] = []
        self._embeddings: list[np.ndarray] = []
        self._rewards: list[float] = []

    def __len__(self) -> int:
        return len(self._rewards)

    def add(self, state: np.ndarray, embedding: np.ndarray, reward: float) -> None:
        """Keep one child's state (m,), embedding (n,) and raw reward."""
        self._states.append(state)
        self._embeddings.append(embedding)
        self._rewards.append(float(reward))

    def embeddings(self) -> np.ndarray:
        """The embeddings of all entries, (N, n)."""
        return np.stack(self._embeddings)

    def advantages(self) -> np.ndarray:
        """The advantages of all entries, (N,). With the baseline `pool` they are 0 while all rewards are equal."""
        rewards = np.array(self._rewards)
        if self.baseline == "none":
            return rewards
        if self.baseline == "moving":
            return rewards - self._moving_averages()
        deviation = rewards.std()
        return (rewards - rewards.mean()) / deviation if deviation > 1e-12 else np.zeros_like(rewards)

    def sample(self, count: int, rng: np.random.Generator) -> Batch:
        """Draw different entries evenly; all of them if the pool has fewer than count."""
        return self._batch(rng.choice(len(self), size=min(count, len(self)), replace=False))

    def last(self, count: int = 1) -> Batch:
        """The last entries."""
        return self._batch(np.arange(len(self) - count, len(self)))

    def _batch(self, chosen: np.ndarray) -> Batch:
        states = np.stack([self._states[i] for i in chosen])
        embeddings = np.stack([self._embeddings[i] for i in chosen])
        return Batch(states, embeddings, self.advantages()[chosen])

    def _moving_averages(self) -> np.ndarray:
        """The moving average before each entry; for the first entry it is the entry's own reward."""
        averages = [self._rewards[0]]
        for reward in self._rewards[:-1]:
            averages.append(DECAY * averages[-1] + (1 - DECAY) * reward)
        return np.array(averages)
