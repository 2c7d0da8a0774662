import numpy as np
import pytest

from agents.arena import fidelity
from agents.arena.noise_floor import RandomChildren


def test_the_interval_of_equal_orders_is_one_and_of_chance_holds_nothing():
    values = np.arange(30.0)
    assert fidelity.interval(values, values**3) == pytest.approx((1, 1))
    low, high = fidelity.interval(values, np.random.default_rng(0).normal(size=30))
    assert low < 0 < high


def test_the_long_training_has_more_epochs_and_restarts_as_much_later():
    sample = RandomChildren(overrides=("epochs=6", "restart_period=2"))
    long = fidelity.longer(sample, 3).resolved()
    assert (long.epochs, long.restart_period) == (18, 6)
