"""Rounds and configurations of tuning."""

import pytest

from agents.arena.tuning import configurations, round_sizes


def test_rounds_are_configurations_times_seeds():
    assert round_sizes(("32x2", "8x6", "2x30")) == [(32, 2), (8, 6), (2, 30)]


@pytest.mark.parametrize("rounds", [(), ("four",), ("4x",), ("4x3", "5x4"), ("4x3", "3x2"), ("0x3",), ("3x0",)])
def test_rounds_that_cannot_be_are_refused(rounds):
    with pytest.raises(ValueError, match="--rounds"):
        round_sizes(rounds)


def test_defaults_come_first_and_a_point_of_the_grid_that_means_them_is_left_out():
    grid = ("population=10,20", "sample=3,5")
    names = [entry.name for entry in configurations("evolution", grid, 10)]
    default = configurations("evolution", (), 1)[0]
    assert names[0] == default.name == "evolution" and len(set(names)) == len(names) <= 5
    assert all(name.startswith("evolution:population=") for name in names[1:])


def test_no_more_configurations_are_drawn_than_are_asked_for():
    grid = ("population=5,6,7,8", "sample=2,3,4")
    drawn = [entry.name for entry in configurations("evolution", grid, 4)]
    assert len(drawn) == 4
    assert drawn == [entry.name for entry in configurations("evolution", grid, 4)]
