"""Rank tables: monotone, uniform on their sample, and undone by their inverse."""

import numpy as np
import pytest

from nases_env.embeddings import calibration
from nases_env.embeddings.calibration import KNOTS, RankTable


@pytest.fixture(scope="module")
def sample():
    """Three columns far from uniform: a bell, a heap at one end, two heaps."""
    rng = np.random.default_rng(0)
    columns = (
        rng.normal(15, 8, 20_481),
        rng.exponential(2, 20_481),
        rng.choice([-5, 5], 20_481) + rng.normal(size=20_481),
    )
    return np.stack(columns, axis=1)


@pytest.fixture(scope="module")
def table(sample):
    return RankTable.fit(sample, 0.0, 30.0)


def test_a_sample_of_as_many_rows_as_knots_becomes_an_even_grid():
    sample = np.random.default_rng(1).normal(size=(KNOTS, 2)).astype(np.float32)
    mapped = RankTable.fit(sample, 0.0, 30.0)(sample)
    grid = np.linspace(0, 30, KNOTS)
    np.testing.assert_allclose(np.sort(mapped, axis=0), np.stack([grid, grid], axis=1), atol=1e-5)
    # Each value gets its own rank.
    assert np.array_equal(np.argsort(mapped, axis=0), np.argsort(sample, axis=0))


def test_every_fortieth_value_of_a_larger_sample_is_mapped_to_its_rank(sample, table):
    # 20,481 = 512 × 40 + 1: the quantiles are values of the sample.
    ranked = np.sort(sample, axis=0)[::40]
    grid = np.linspace(0, 30, KNOTS)
    np.testing.assert_allclose(table(ranked), np.stack([grid] * 3, axis=1), atol=1e-4)


def test_fitted_sample_becomes_uniform(sample, table):
    mapped = np.sort(table(sample).astype(np.float64), axis=0)
    even = np.linspace(0, 30, len(sample))[:, None]
    assert np.abs(mapped - even).max() <= 30 / (KNOTS - 1)
    np.testing.assert_allclose(mapped.mean(axis=0), 15, atol=0.01)
    np.testing.assert_allclose(mapped.var(axis=0), 75, rtol=0.002)


def test_a_fresh_sample_becomes_nearly_uniform(table):
    fresh = np.random.default_rng(2).normal(15, 8, (20_000, 1)).repeat(3, axis=1)
    mapped = np.sort(table(fresh)[:, 0])
    # Kolmogorov–Smirnov at 20,000 against 20,481: 1 % lies at 0.016.
    assert np.abs(mapped / 30 - np.linspace(0, 1, 20_000)).max() < 0.016


def test_table_is_monotone_also_outside_its_sample(table):
    values = np.linspace(-60, 90, 10_001)[:, None].repeat(3, axis=1)
    mapped = table(values)
    assert mapped.dtype == np.float32
    assert (np.diff(mapped, axis=0) >= 0).all()
    assert (mapped[0], mapped[-1]) == (pytest.approx(0.0), pytest.approx(30.0))
    assert mapped.min() == 0
    assert mapped.max() == 30


def test_inverse_is_monotone_and_stays_in_the_samples_range(sample, table):
    values = np.linspace(0, 30, 5001)[:, None].repeat(3, axis=1)
    back = table.inverse(values)
    assert back.dtype == np.float32
    assert (np.diff(back, axis=0) >= 0).all()
    np.testing.assert_allclose(back[[0, -1]], [sample.min(axis=0), sample.max(axis=0)], rtol=1e-6)


def test_inverse_undoes_the_table(sample, table):
    np.testing.assert_allclose(table.inverse(table(sample)), sample, atol=0.005)


def test_table_undoes_its_inverse(table):
    values = np.random.default_rng(3).uniform(0, 30, (5000, 3))
    np.testing.assert_allclose(table(table.inverse(values)), values, atol=0.005)


@pytest.mark.parametrize("rows", [1, 3, 4, 100])
def test_any_number_of_rows_is_interpolated_as_numpy_does(rows, sample, table):
    values = np.random.default_rng(1).normal(scale=2 * sample.std(), size=(rows, sample.shape[1])).astype(np.float32)
    values[0, :2] = table.quantiles[:2, 7]
    values[-1, -1] = table.quantiles[-1, -1]
    grid = np.linspace(table(np.full_like(values, -1e9))[0, 0], table(np.full_like(values, 1e9))[0, 0], KNOTS)
    expected = [np.interp(values[:, i], known, grid) for i, known in enumerate(table.quantiles)]
    np.testing.assert_allclose(table(values), np.stack(expected, axis=1), rtol=1e-6)


def test_columns_have_their_own_tables(sample, table):
    for column in range(3):
        alone = RankTable.fit(sample[:, [column]], 0.0, 30.0)
        assert np.array_equal(alone(sample[:500, [column]])[:, 0], table(sample[:500])[:, column])
    assert not np.array_equal(table.quantiles[0], table.quantiles[1])


def test_range_of_the_table_is_the_one_it_was_given(sample):
    mapped = RankTable.fit(sample, 0.0, 1.0)(sample)
    assert (mapped.min(), mapped.max()) == (0, 1)
    assert mapped.mean() == pytest.approx(0.5, abs=0.001)


@pytest.mark.parametrize("name", ["output", "none", "both"])
def test_known_calibrations_pass(name):
    assert calibration.check(name) == name


def test_unknown_calibration_is_refused_with_the_known_ones():
    with pytest.raises(ValueError, match="'input'.*output.*none.*both"):
        calibration.check("input")
