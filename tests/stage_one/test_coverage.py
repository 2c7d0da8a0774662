"""Coverage: known answers on the identity, and the bounds that the shipped decoder has to keep."""

import numpy as np
import pytest

from nases_env import embeddings, search_spaces
from nases_env.search_spaces import MacroSpace
from nases_env.stage_one.coverage import DRAWS, _stepped, coverage, found_again, round_trip

SPACE = MacroSpace()
SHARES = {
    "kernel_type separable": 7 / 30,
    "kernel_type convolution": 8 / 30,
    "kernel_type max_pool": 7 / 30,
    "kernel_type average_pool": 8 / 30,
}


@pytest.fixture(scope="module")
def uniform():
    return coverage(embeddings.make("autoencoder-uniform", SPACE, "output"), SPACE, "uniform")


def test_uniform_origin_vectors_have_the_shares_of_their_bins():
    found = coverage(embeddings.make("identity", SPACE), SPACE, "uniform")
    for name, share in SHARES.items():
        assert found[name] == pytest.approx(share, abs=0.005)
    assert found["filter_size 3x3"] == pytest.approx(1 / 3, abs=0.005)
    # Two uniform numbers differ by at most a tenth of their range with probability 0.19: 105 pairs.
    assert found["links on"] == pytest.approx(0.19 * 105, abs=0.3)
    # 14 kernel types and 15 sizes of two independent vectors.
    same_type = (2 * 7**2 + 2 * 8**2) / 30**2
    assert found["hamming"] == pytest.approx(14 * (1 - same_type) + 15 * 2 / 3, abs=0.1)
    assert (found["outside"], found["distinct"]) == (0.0, 1.0)


def test_identity_gives_back_what_it_encodes():
    found = round_trip(embeddings.make("identity", SPACE), SPACE, samples=500)
    assert found["operation kept"] > 0.999 and found["links kept"] > 0.999
    assert found["error"] < 1e-6
    # 30 times the noise, squared, but for what the box cuts off.
    assert found["error at noise 0.01"] == pytest.approx((30 * 0.01) ** 2, rel=0.05)


def test_a_decoder_without_calibration_shrinks_to_the_middle():
    found = coverage(embeddings.make("pca", SPACE, "none"), SPACE, "uniform", samples=2000)
    assert found["filter_size 5x5"] > 0.6
    assert found["links on"] > 30


def test_the_uniform_decoder_reaches_everything_evenly(uniform):
    assert uniform["distinct"] == 1.0
    assert uniform["links on"] == pytest.approx(20, abs=1)
    for name, share in SHARES.items():
        assert uniform[name] == pytest.approx(share, abs=0.01)


def test_the_uniform_decoder_uses_the_cube_before_calibration():
    found = coverage(embeddings.make("autoencoder-uniform", SPACE, "none"), SPACE, "uniform")
    assert found["outside"] <= 0.07
    assert found["links on"] == pytest.approx(20, abs=1)
    for name, share in SHARES.items():
        assert found[name] == pytest.approx(share, abs=0.06)


def test_codes_are_found_again_by_an_encoder_that_is_the_inverse():
    actions = np.random.default_rng(0).random((500, 20), np.float32)
    assert found_again(embeddings.make("pca", SPACE), actions) == pytest.approx(1, abs=0.01)
    fine_tuned, as_published = (
        round_trip(embeddings.make(name, SPACE), SPACE, samples=500)["found again"]
        for name in ("autoencoder", "autoencoder-paper")
    )
    assert 1 > fine_tuned > as_published > 0.5


def test_a_larger_step_changes_more(uniform):
    for name in ("operation", "filter_size", "links"):
        assert 0 < uniform[f"{name} flips 0.05"] < uniform[f"{name} flips 0.2"]


def test_steps_move_one_number_and_stay_in_the_box():
    actions = np.random.default_rng(0).random((500, 20), np.float32)
    moved = _stepped(actions, 0.2, np.random.default_rng(1))
    changed = moved != actions
    assert (changed.sum(axis=1) == 1).all()
    np.testing.assert_allclose(np.abs(moved - actions)[changed], 0.2, atol=1e-6)
    assert moved.min() >= 0 and moved.max() <= 1


def test_what_is_measured_is_not_what_the_tables_were_fitted_on(monkeypatch):
    fitted = np.random.default_rng(0).uniform(size=(100, 20)).astype(np.float32)
    decoder = embeddings.make("autoencoder-uniform", SPACE, "output")
    seen = []
    decode = decoder.decode_raw
    monkeypatch.setattr(decoder, "decode_raw", lambda actions: seen.append(actions) or decode(actions))
    coverage(decoder, SPACE, "uniform", samples=100, seed=0)
    assert not np.isin(seen[0], fitted).any()


@pytest.mark.parametrize("draw", DRAWS)
def test_every_draw_is_in_the_box_and_follows_the_seed(draw):
    decoder = embeddings.make("autoencoder-uniform", SPACE, "output")
    first, again, other = (DRAWS[draw](decoder, SPACE, np.random.default_rng(seed), 100) for seed in (0, 0, 1))
    assert first.shape == (100, 20) and first.min() >= 0 and first.max() <= 1
    assert np.array_equal(first, again) and not np.array_equal(first, other)


def test_shares_are_counted_in_the_bins_of_each_number():
    space = search_spaces.make("micro")
    found = coverage(embeddings.make("identity", space), space, "uniform")
    # A node reads one of the 2 to 6 that are before it.
    of_a_cell = np.mean([1 / bins for bins in range(2, 7)])
    assert found["first_input cell-2"] == pytest.approx(of_a_cell, abs=0.01)
    assert found["first_input node4"] == pytest.approx(1 / 6 / 5, abs=0.005)
    assert found["second_operation identity"] == pytest.approx(0.2, abs=0.01)
    assert "links on" not in found


def test_decisions_are_the_columns_of_a_row():
    rows = SPACE.discretise(SPACE.sample(np.random.default_rng(0), 3))
    decisions = SPACE.decisions(rows)
    assert {name: values.shape[1] for name, values in decisions.items()} == {
        "operation": 15,
        "filter_size": 15,
        "filters": 15,
        "links": 105,
    }
    assert np.array_equal(np.concatenate(list(decisions.values()), axis=1), rows)
