"""NWOT by hand: which of two units are on for which image."""

import math

import pytest

from nases_env.proxies import proxy
from tests.proxies.conftest import Tiny, pixels


def test_images_that_share_no_unit_have_a_diagonal_kernel():
    network = Tiny([1.0, -1.0], [[1.0, 1.0]])  # one unit is on for positive pixels, the other for negative ones
    assert proxy("nwot")(network, pixels(0.5, -2.0), None) == pytest.approx(math.log(2 * 2))


def test_units_that_are_both_off_agree_too():
    network = Tiny([1.0, 1.0, -1.0, 0.0], [[1.0] * 4])  # the last one is always off
    # K = [[4, 1], [1, 4]]
    assert proxy("nwot")(network, pixels(0.5, -2.0), None) == pytest.approx(math.log(4 * 4 - 1))


def test_images_of_the_same_code_have_no_volume():
    assert proxy("nwot")(Tiny([1.0], [[1.0]]), pixels(0.5, 2.0), None) == -math.inf
