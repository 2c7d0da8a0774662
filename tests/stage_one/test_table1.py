"""Table 1: the paper's numbers, PCA's, and where Figure 3's curves cross."""

import math

import pytest

from nases_env.stage_one import table1


def test_predicting_the_mean_costs_the_variance():
    assert table1.VARIANCE == 75


def test_pca_loses_the_share_of_the_numbers_left_out():
    losses = [table1.pca_loss(size) for size in table1.PAPER]
    assert losses == pytest.approx([73.75, 68.75, 62.5, 50, 37.5, 25, 12.5, 0])


def test_a_straight_line_crosses_in_the_middle():
    assert table1.crossing({0: 75.0, 60: 0.0}) == pytest.approx(30)


def test_the_papers_curve_crosses_in_the_range_it_suggests():
    assert 20 < table1.crossing({size: losses.test for size, losses in table1.PAPER.items()}) < 30


def test_a_crossing_between_two_sizes_is_interpolated():
    # Shares lost .6 and .2, kept 1/3 and .5: gaps of .267 and −.3.
    assert table1.crossing({20: 45.0, 30: 15.0}) == pytest.approx(20 + 10 * 0.26667 / 0.56667, abs=1e-3)


def test_a_curve_may_end_on_the_diagonal():
    assert table1.crossing({0: 75.0, 30: 37.5}) == 30


def test_curves_that_do_not_cross_are_refused():
    with pytest.raises(ValueError, match="do not cross.*larger and smaller"):
        table1.crossing({1: 72.0, 5: 60.0})


def test_a_row_sets_a_card_beside_the_papers_numbers():
    card = {"embedding_size": 20, "origin_size": 60, "settings": {"seed": 2}, "steps": 9, "minutes": 8.0}
    card |= {"train_loss": 24.0, "test_loss": 24.1}
    row = table1.row(card)
    assert (row["compression_ratio"], row["seed"], row["pca_loss"]) == (0.33, 2, pytest.approx(50))
    assert (row["paper_train_loss"], row["paper_test_loss"], row["test_loss"]) == (40.79, 46.15, 24.1)
    assert tuple(row) == table1.COLUMNS
    assert math.isnan(table1.row(card | {"embedding_size": 7})["paper_test_loss"])


def test_the_papers_sizes_are_there_and_the_chosen_one_has_three_seeds():
    assert list(table1.PAPER) == [1, 5, 10, 20, 30, 40, 50, 60]
    assert table1.SEEDS == {20: (0, 1, 2)}
