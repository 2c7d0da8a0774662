"""Statistics of untrained cells, against sums worked out by hand and against numbers that are drawn."""

import numpy as np
import pytest

from nases_env.search_spaces.micro import OPERATIONS
from nases_env.surrogates.cell_statistics import MIXED, RAISED, untrained

IDENTITY, SEPARABLE, _, AVERAGE, MAX = range(len(OPERATIONS))
BOTH = [[0, 1]] * 5


def cell(inputs, operations):
    """The statistics of one cell, without the axis of cells."""
    found = untrained(np.array([inputs]), np.array([operations]))
    return type(found)(*(part[0] for part in found))


def test_independent_numbers_add_their_variances():
    for operation in (IDENTITY, SEPARABLE):
        found = cell(BOTH, [[operation] * 2] * 5)
        np.testing.assert_allclose(found.common, 1)
        np.testing.assert_allclose(found.own, 1)
        np.testing.assert_allclose(found.shares, 0.5)
        assert not found.means.any()


def test_twice_the_same_number_has_four_times_its_variance():
    found = cell([[node + 1] * 2 for node in range(5)], [[IDENTITY] * 2] * 5)
    np.testing.assert_allclose(found.common, 0.5 * 4.0 ** np.arange(1, 6))


def test_nodes_that_read_the_same_go_up_and_down_together():
    """Node 3 = node 1 + node 2 = 2 × (a + b)."""
    found = cell([*BOTH[:2], [2, 3], *BOTH[:2]], [[IDENTITY] * 2] * 5)
    assert found.common[2] == pytest.approx(0.5 * 8)


def test_a_separable_convolution_starts_anew():
    found = cell(
        [[1, 1], [2, 2], [3, 3], *BOTH[:2]], [[MAX] * 2, [IDENTITY] * 2, [SEPARABLE] * 2, *[[SEPARABLE] * 2] * 2]
    )
    assert found.means[1] == 2 * found.means[0] > 0 == found.means[2]
    assert found.common[1] == pytest.approx(4 * found.common[0]) and found.common[2] == pytest.approx(1)


def test_pools_leave_no_pixel_to_itself_and_max_pools_raise_the_mean():
    found = cell(BOTH, [[AVERAGE] * 2, [MAX] * 2, *[[AVERAGE, MAX]] * 3])
    assert not found.own.any()
    average, largest = (0.5 * (1 + MIXED[name]) for name in ("average_pool_3x3", "max_pool_3x3"))
    np.testing.assert_allclose(found.common[:3], [2 * average, 2 * largest, average + largest])
    np.testing.assert_allclose(found.means[:3], np.array([0, 2, 1]) * RAISED["max_pool_3x3"] * 0.5**0.5)
    np.testing.assert_allclose(found.shares[2], np.array([average, largest]) / (average + largest))


def test_its_constants_are_near_what_small_images_of_normal_numbers_do():
    """Images of 2×2 pixels, which every window of 3×3 sees whole."""
    rng = np.random.default_rng(0)
    pixels = 0.5**0.5 * (rng.normal(size=(100_000, 1)) + rng.normal(size=(100_000, 4)))
    average, largest = pixels.mean(axis=1), pixels.max(axis=1)
    found = cell(BOTH, [[AVERAGE] * 2, [MAX] * 2, *[[SEPARABLE] * 2] * 3])
    assert average.var() == pytest.approx(found.common[0] / 2, rel=0.02)
    assert largest.var() == pytest.approx(found.common[1] / 2, rel=0.1)
    assert largest.mean() == pytest.approx(found.means[1] / 2, rel=0.1)
