"""The fine-tune's distances: known answers, and what the whole penalty is made to find."""

import pytest
import torch

from nases_env.stage_one import distribution_matching as matching


@pytest.fixture
def generator():
    return torch.Generator().manual_seed(0)


def test_a_standard_uniform_sample_has_mean_zero_and_deviation_one(generator):
    sample = matching.standard_uniform((20_000, 3), generator)
    assert sample.mean().item() == pytest.approx(0, abs=0.02)
    assert sample.std().item() == pytest.approx(1, abs=0.01)
    assert sample.abs().max() <= 3**0.5


def test_distance_to_uniform_is_small_for_uniform_samples_and_known_for_others(generator):
    uniform = matching.standard_uniform((4000, 20), generator)
    assert matching.wasserstein_to_uniform(uniform) < 0.002
    # Shifting by d costs d²; shrinking to a point costs the variance, 1.
    assert matching.wasserstein_to_uniform(uniform + 2) == pytest.approx(4, abs=0.1)
    assert matching.wasserstein_to_uniform(0 * uniform) == pytest.approx(1, abs=0.01)


def test_sliced_distance_is_small_for_equal_distributions_and_known_for_scaled_ones(generator):
    uniform, other = (matching.standard_uniform((4000, 20), generator) for _ in range(2))
    assert matching.sliced_wasserstein(uniform, other, generator) < 0.005
    assert matching.sliced_wasserstein(uniform, 3 * other, generator) == pytest.approx(4, rel=0.1)


def test_the_sliced_distance_sees_what_the_columns_do_not(generator):
    column = matching.standard_uniform((4000, 1), generator)
    copied, independent = column.repeat(1, 20), matching.standard_uniform((4000, 20), generator)
    assert matching.wasserstein_to_uniform(copied) < 0.002
    assert matching.sliced_wasserstein(copied, independent, generator) > 0.1


def test_the_penalty_is_low_where_codes_and_decoded_vectors_fill_their_boxes(generator):
    spread = torch.randn((20, 60), generator=generator)
    spread = spread / spread.norm(dim=0)
    uniform = matching.standard_uniform((512, 20), generator)
    good = matching.distribution_penalty(uniform, lambda codes: codes @ spread, generator)
    shrunken_codes = matching.distribution_penalty(0.2 * uniform, lambda codes: codes @ spread, generator)
    shrunken_corners = matching.distribution_penalty(uniform, lambda codes: _inside(codes) @ spread, generator)
    overshooting_decoder = matching.distribution_penalty(uniform, lambda codes: 3 * codes @ spread, generator)
    # Sums of 20 numbers are bell-shaped, not uniform: some distance is left.
    assert good < 0.15
    assert shrunken_corners > good + 0.03
    assert shrunken_codes > 2 * good and overshooting_decoder > 2 * good


def _inside(codes):
    """Uniform codes as they are; a corner, all of whose numbers are at an end, in the middle."""
    corners = (codes.abs() > 3**0.5 - 1e-4).all(dim=1, keepdim=True)
    return torch.where(corners, torch.zeros_like(codes), codes)
