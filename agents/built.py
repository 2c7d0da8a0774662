"""Numbers that tell what was built: the decisions of every layer, and how each kind of them runs along the depth."""

from __future__ import annotations

import numpy as np

from nases_env.search_spaces import SearchSpace

FEW = 8
"""A decision with at most so many values has a number for each of them; one with more is a single number."""
DEGREE = 2
"""Profiles along the depth are Legendre polynomials up to this degree: the mean, the trend and the bend."""
SAMPLE = 2048
"""Uniform origin vectors whose variances scale the numbers."""


class Built:
    """Features of what rows of a search space mean, for any space.

    There are two groups for each name of `SearchSpace.decisions`: its decisions in every layer, and their *profile*,
    the projections on low polynomials of the depth, so that many layers share a number ("more convolutions", "wider
    towards the end"). Over uniform origin vectors every group has the mean 0 and the same total variance, and all of
    them together have the total variance 1.

    Args:
        space: The space that the rows are from.
    """

    distance = 2.0
    """Mean squared distance of the features of two random networks."""

    def __init__(self, space: SearchSpace):
        self._space = space
        decided = space.decisions(space.discretise(space.sample(np.random.default_rng(0), SAMPLE)))
        self._values = {name: np.unique(integers) for name, integers in decided.items()}
        groups = self._groups(decided)
        self._means = [group.mean(axis=0) for group in groups]
        variances = [group.var(axis=0).sum() for group in groups]
        self._scales = [1 / np.sqrt(len(groups) * variance) if variance > 0 else 0.0 for variance in variances]

    def __call__(self, origins: np.ndarray) -> np.ndarray:
        """The features, float64 (K, F), of what origin vectors (K, m) mean."""
        groups = self._groups(self._space.decisions(self._space.discretise(origins)))
        scaled = zip(groups, self._means, self._scales, strict=True)
        return np.concatenate([(group - mean) * scale for group, mean, scale in scaled], axis=1)

    def _groups(self, decided: dict[str, np.ndarray]) -> list[np.ndarray]:
        """The groups of features, float64 (K, n) each, of decisions by name, (K, decisions of that name) each."""
        numbers = [self._numbers(name, integers) for name, integers in decided.items()]
        profiles = [_polynomials(number.shape[1]) @ number for number in numbers]
        return [group.reshape(len(group), -1) for group in (*numbers, *profiles)]

    def _numbers(self, name: str, integers: np.ndarray) -> np.ndarray:
        """Decisions (K, L) of one name as numbers (K, L, V)."""
        values = self._values[name]
        one_hot = 2 < len(values) <= FEW
        return (integers[:, :, None] == values if one_hot else integers[:, :, None]).astype(np.float64)


def _polynomials(depth: int) -> np.ndarray:
    """Legendre polynomials of the depth, of mean square about 1 and divided by it, (DEGREE + 1, depth)."""
    polynomials = np.polynomial.legendre.legvander(np.linspace(-1, 1, depth), DEGREE)
    return (polynomials * np.sqrt(2 * np.arange(DEGREE + 1) + 1)).T / depth
