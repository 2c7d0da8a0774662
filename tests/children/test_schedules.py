"""Learning rates of every step, by hand."""

import math

import pytest

from nases_env.children.presets import PRESETS, resolve
from nases_env.children.schedules import Cosine


def cosine(steps, **fields):
    return Cosine(resolve({"preset": "v1-search", **fields}), steps)


def test_a_cosine_falls_from_the_highest_rate_to_the_lowest():
    # 3 steps an epoch, 2 epochs: cosine of 0, π/5, … π.
    rates = [cosine(3, epochs=2).learning_rate(step) for step in range(6)]
    shares = [1, 0.9045085, 0.6545085, 0.3454915, 0.0954915, 0]
    assert rates == pytest.approx([0.001 + 0.049 * share for share in shares], rel=1e-6)
    assert rates[0] == 0.05


def test_cosines_begin_anew_each_twice_as_long_as_the_one_before():
    # 2 steps an epoch; cosines of 1, 2 and 4 epochs are cosines of 2, 4 and 8 steps.
    subject = cosine(2, epochs=7, restart_period=1)
    rates = [subject.learning_rate(step) for step in range(14)]
    alone = [[cosine(length, epochs=1).learning_rate(step) for step in range(length)] for length in (2, 4, 8)]
    assert rates == sum(alone, [])


def test_a_training_of_one_step_has_the_highest_rate():
    assert cosine(1, epochs=1).learning_rate(0) == 0.05


def test_progress_is_the_share_of_steps_that_are_over():
    assert [cosine(2, epochs=2).progress(step) for step in range(4)] == [0, 0.25, 0.5, 0.75]


@pytest.mark.parametrize("name", sorted(PRESETS))
def test_rates_of_every_preset_stay_between_its_lowest_and_its_highest(name):
    preset, steps = PRESETS[name], 7
    rates = [Cosine(preset, steps).learning_rate(step) for step in range(steps * preset.epochs)]
    assert max(rates) == rates[0] == preset.learning_rate
    assert min(rates) >= preset.final_learning_rate and math.isclose(rates[-1], preset.final_learning_rate)
