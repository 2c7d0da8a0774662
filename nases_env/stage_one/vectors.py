"""The origin vectors that stage 1 trains on: fresh ones in every step, or a fixed set in epochs."""

from __future__ import annotations

import numpy as np
import torch

from nases_env.search_spaces.base import HIGH, LOW


class FreshVectors:
    """Uniform origin vectors, never the same twice."""

    def __init__(self, size: int, generator: torch.Generator):
        self._size, self._generator = size, generator
        self.seen = 0
        """Vectors drawn so far."""

    def draw(self, count: int) -> torch.Tensor:
        """The next vectors, (count, size) in [0, 30]."""
        self.seen += count
        sample = torch.rand((count, self._size), generator=self._generator, device=self._generator.device)
        return LOW + (HIGH - LOW) * sample


class FixedVectors:
    """A training set of uniform origin vectors, shuffled in every epoch; the last batch of an epoch is what is left.

    Which vectors come next depends on nothing but the seed and how many were seen.
    """

    def __init__(self, count: int, size: int, seed: int, device: str):
        self._seed = seed
        self._vectors = FreshVectors(size, self._generator(0, device)).draw(count)
        self._epoch = -1
        self.seen = 0
        """Vectors drawn so far."""

    def draw(self, count: int) -> torch.Tensor:
        """The next vectors of the epoch, at most count."""
        epoch, start = divmod(self.seen, len(self._vectors))
        if epoch != self._epoch:
            device = self._vectors.device
            self._order = torch.randperm(
                len(self._vectors), generator=self._generator(epoch + 1, device), device=device
            )
            self._epoch = epoch
        chosen = self._order[start : start + count]
        self.seen += len(chosen)
        return self._vectors[chosen]

    def _generator(self, stream: int, device: str | torch.device) -> torch.Generator:
        seed = np.random.SeedSequence(self._seed, spawn_key=(stream,)).generate_state(1, np.uint64)[0]
        return torch.Generator(device).manual_seed(int(seed >> np.uint64(1)))
