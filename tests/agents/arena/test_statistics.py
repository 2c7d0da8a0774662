"""Known answers of the statistics of a comparison."""

import numpy as np
import pytest

from agents.arena import statistics


def test_iqm_is_the_mean_of_the_middle_half():
    found = statistics.iqm(np.array([100.0, 1, 2, 3, 4, 5, 6, -50]))
    assert found.value == pytest.approx((2 + 3 + 4 + 5) / 4)
    assert found.low <= found.value <= found.high


def test_equal_scores_have_no_interval():
    assert statistics.iqm(np.full(5, 0.3)) == pytest.approx((0.3, 0.3, 0.3))


def test_intervals_cover_the_truth_about_as_often_as_they_say():
    rng = np.random.default_rng(0)
    found = [statistics.iqm(rng.normal(size=30)) for _ in range(100)]
    assert 85 <= sum(interval.low < 0 < interval.high for interval in found) <= 100


def test_probability_of_improvement_counts_pairs_and_half_of_the_ties():
    found = statistics.probability_of_improvement(np.array([1.0, 2.0]), np.array([0.0, 2.0]))
    assert found.value == pytest.approx((1 + 0 + 1 + 0.5) / 4)
    always = statistics.probability_of_improvement(np.arange(5.0) + 10, np.arange(5.0))
    assert always == (1, 1, 1)


def test_the_same_scores_give_the_same_intervals():
    scores = np.random.default_rng(0).normal(size=10)
    assert statistics.iqm(scores) == statistics.iqm(scores)


def test_curves_never_fall():
    curves = statistics.best_so_far(np.array([[0.1, 0.5, 0.3, 0.7], [0.2, 0.1, 0.0, -1.0]]))
    np.testing.assert_array_equal(curves, [[0.1, 0.5, 0.5, 0.7], [0.2] * 4])
    with pytest.raises(ValueError, match="no numbers"):
        statistics.best_so_far(np.array([[0.1, np.nan, 0.3]]))


def test_children_to_reach_is_the_median_seeds_first_child():
    curves = np.array([[0.1, 0.5, 0.5], [0.5, 0.5, 0.9], [0.1, 0.2, 0.3]])
    assert statistics.children_to_reach(curves, 0.5) == 2
    assert statistics.children_to_reach(curves, 0.9) == np.inf


def test_smallest_detectable_difference_is_the_two_sample_formula():
    assert statistics.smallest_detectable_difference(1.0, 16) == pytest.approx(
        (1.95996 + 0.84162) * np.sqrt(2 / 16), 1e-4
    )


def test_the_band_is_around_the_middle():
    curves = np.random.default_rng(0).normal(size=(20, 7)).cumsum(axis=1)
    middle, low, high = statistics.band(curves)
    assert middle.shape == low.shape == high.shape == (7,)
    assert (low <= middle).all() and (middle <= high).all()
