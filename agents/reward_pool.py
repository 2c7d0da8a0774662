"""The reward pool of v1 (section 4.2.2): everything seen, with rewards normalised over the whole pool."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np


class Batch(NamedTuple):
    """Entries of the pool."""

    states: np.ndarray
    """Origin vectors (B, m)."""
    embeddings: np.ndarray
    """(B, n)."""
    rewards: np.ndarray
    """Normalised (B,)."""


class RewardPool:
    """Every (state, embedding, reward)."""

    def __init__(self) -> None:
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

    def normalised_rewards(self) -> np.ndarray:
        """Rewards with mean 0 and deviation 1 over the pool, (N,); all 0 while they are equal."""
        rewards = np.array(self._rewards)
        deviation = rewards.std()
        return (rewards - rewards.mean()) / deviation if deviation > 1e-12 else np.zeros_like(rewards)

    def sample(self, count: int, rng: np.random.Generator) -> Batch:
        """Distinct entries drawn evenly; all of them if the pool has fewer than count."""
        chosen = rng.choice(len(self), size=min(count, len(self)), replace=False)
        states = np.stack([self._states[i] for i in chosen])
        embeddings = np.stack([self._embeddings[i] for i in chosen])
        return Batch(states, embeddings, self.normalised_rewards()[chosen])
