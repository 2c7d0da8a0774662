"""The origin vectors that stage 1 trains on: how they are drawn, and whether fresh in every step or once for all."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch

from nases_env.search_spaces.base import HIGH, LOW, Dimension

Draw = Callable[[int, torch.Generator], torch.Tensor]
"""Draws so many origin vectors, (count, m) in [0, 30]."""
SHORTEST, LONGEST = 3.0, 100.0
"""Lengths of profiles in layers: with the shortest, neighbours correlate by 0.72 and the ends of 15 layers hardly; with
the longest, all layers are nearly alike."""


class Independent:
    """Draws every number by itself, uniformly, as the papers do.

    Args:
        size: Numbers in an origin vector, m.
    """

    def __init__(self, size: int):
        self._size = size

    def __call__(self, count: int, generator: torch.Generator) -> torch.Tensor:
        """Vectors (count, m) in [0, 30]."""
        return LOW + (HIGH - LOW) * torch.rand((count, self._size), generator=generator, device=generator.device)


class Profiles:
    """Draws numbers of one name together, as a profile along the depth; each number by itself is uniform.

    A profile is a Gaussian process (autoregressive, of first order), which the normal distribution function makes
    uniform. How many layers it takes to change is drawn for each vector and name, evenly in logarithms between SHORTEST
    and LONGEST: some are the same in all layers, some rise or fall, some do so more than once. The papers draw every
    number by itself; twenty numbers cannot hold sixty such, but they can hold four profiles.

    Args:
        dimensions: The numbers of an origin vector.
    """

    def __init__(self, dimensions: Sequence[Dimension]):
        self._size = len(dimensions)
        names = dict.fromkeys(dimension.name for dimension in dimensions)
        self._columns = [[i for i, dimension in enumerate(dimensions) if dimension.name == name] for name in names]

    def __call__(self, count: int, generator: torch.Generator) -> torch.Tensor:
        """Vectors (count, m) in [0, 30]."""
        vectors = torch.empty((count, self._size), device=generator.device)
        for columns in self._columns:
            vectors[:, columns] = LOW + (HIGH - LOW) * _uniform_profiles(count, len(columns), generator)
        return vectors


def _uniform_profiles(count: int, layers: int, generator: torch.Generator) -> torch.Tensor:
    """Profiles (count, layers) whose numbers are uniform in [0, 1] each."""
    device = generator.device
    lengths = SHORTEST * (LONGEST / SHORTEST) ** torch.rand(count, generator=generator, device=device)
    kept = torch.exp(-1 / lengths)
    steps = torch.randn((layers, count), generator=generator, device=device)
    values = [steps[0]]
    for step in steps[1:]:
        values.append(kept * values[-1] + torch.sqrt(1 - kept**2) * step)
    return torch.special.ndtr(torch.stack(values, dim=1))


class FreshVectors:
    """Origin vectors that are never the same twice.

    Args:
        draw: How they are drawn.
        generator: Draws them.
    """

    def __init__(self, draw: Draw, generator: torch.Generator):
        self._draw, self._generator = draw, generator
        self.seen = 0
        """Vectors drawn so far."""

    def draw(self, count: int) -> torch.Tensor:
        """The next vectors, (count, m) in [0, 30]."""
        self.seen += count
        return self._draw(count, self._generator)


class FixedVectors:
    """A training set of origin vectors, shuffled in every epoch; the last batch of an epoch is what is left.

    Which vectors come next depends on nothing but the seed and how many were seen.

    Args:
        count: Vectors in the set.
        draw: How they are drawn.
        seed: Seed of the vectors and of their orders.
        device: Where they are, a torch device.
    """

    def __init__(self, count: int, draw: Draw, seed: int, device: str):
        self._seed = seed
        self._vectors = draw(count, self._generator(0, device))
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
