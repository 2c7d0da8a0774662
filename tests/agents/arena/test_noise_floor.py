"""Known answers of the share of the variance that lies between children."""

import numpy as np
import pytest

from agents.arena.noise_floor import intraclass_correlation


def test_icc_by_hand():
    # Means 1, 3; between = 2 · var(1, 3) = 4, within = 0.5 and 0.5: (4 − 0.5) / (4 + 0.5).
    values = np.array([[0.5, 1.5], [2.5, 3.5]])
    assert intraclass_correlation(values) == pytest.approx(3.5 / 4.5)


def test_icc_of_noise_is_about_zero_and_of_differences_one():
    rng = np.random.default_rng(0)
    assert abs(intraclass_correlation(rng.standard_normal((2000, 3)))) < 0.05
    assert intraclass_correlation(np.repeat(rng.standard_normal((30, 1)), 3, axis=1)) == pytest.approx(1)
