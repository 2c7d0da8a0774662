"""Stage 1 in small: it learns, repeats itself, and writes what `make` reads."""

import dataclasses
import json

import numpy as np
import pytest
import torch

from nases_env import embeddings
from nases_env.embeddings import mlp, pretraining
from nases_env.embeddings.pretraining import PretrainingSettings, pretrain
from nases_env.search_spaces import MacroSpace

SPACE = MacroSpace()
SHORT = PretrainingSettings(steps=60, cycles=1, finetune_steps=0)
TINY = PretrainingSettings(steps=3, cycles=1, finetune_steps=2, batch_size=32)


@pytest.fixture(scope="module")
def run():
    """60 steps, and what was reported meanwhile."""
    reports = []
    return pretrain(SHORT, report=lambda step, loss: reports.append((step, loss))), reports


@pytest.fixture(scope="module")
def written(run, tmp_path_factory):
    path = tmp_path_factory.mktemp("weights") / "folder" / "short.safetensors"
    return path, pretraining.write(run[0], SHORT, path)


def weights(pretrained):
    return [part for layer in (*pretrained.simulator, *pretrained.decoder) for part in layer[:2]]


def equal(first, second):
    return all(np.array_equal(a, b) for a, b in zip(weights(first), weights(second), strict=True))


def test_sixty_steps_beat_predicting_the_mean(run):
    loss = pretraining.test_loss(run[0].simulator, run[0].decoder, samples=10_000)
    assert loss < 70
    assert loss < run[0].train_loss < 75  # the mean over the run's first 50 steps, worse than its end


def test_training_loss_is_reported_every_fifty_steps(run):
    pretrained, reports = run
    assert reports == [(50, pretrained.train_loss)]


def test_untrained_autoencoder_predicts_no_better_than_the_mean():
    # Nothing learned, so folding the standardisation in must give about 75 in raw units, not more.
    pretrained = pretrain(dataclasses.replace(SHORT, steps=1))
    assert pretraining.test_loss(pretrained.simulator, pretrained.decoder, samples=5000) == pytest.approx(75, rel=0.05)


def test_raw_vectors_go_in_and_come_out(run):
    origins = SPACE.sample(np.random.default_rng(0), 2000)
    codes = mlp.forward(run[0].simulator, origins)
    raw = mlp.forward(run[0].decoder, codes)
    assert codes.min() >= 0
    assert codes.max() <= 1
    assert raw.mean() == pytest.approx(15, abs=1)
    correlation = np.corrcoef(raw.ravel(), origins.ravel())[0, 1]
    assert correlation > 0.3


def test_test_loss_is_the_mean_squared_error_in_raw_units(run):
    simulator, decoder = run[0].simulator, run[0].decoder
    origins = np.random.default_rng(77).uniform(0, 30, (10_000, 60)).astype(np.float32)
    by_hand = ((mlp.forward(decoder, mlp.forward(simulator, origins)) - origins) ** 2).mean()
    assert pretraining.test_loss(simulator, decoder, samples=10_000) == pytest.approx(by_hand, rel=0.01)


def test_test_loss_counts_every_sample_once(run):
    simulator, decoder = run[0].simulator, run[0].decoder
    # A whole chunk of 10,000 and half a one.
    loss = pretraining.test_loss(simulator, decoder, samples=15_000)
    assert loss == pytest.approx(pretraining.test_loss(simulator, decoder, samples=10_000), rel=0.01)


def test_same_seed_gives_the_same_weights():
    assert equal(pretrain(TINY), pretrain(TINY))


@pytest.mark.parametrize("change", [{"seed": 1}, {"finetune_steps": 0}, {"learning_rate": 1e-3}])
def test_another_seed_or_recipe_gives_other_weights(change):
    assert not equal(pretrain(TINY), pretrain(dataclasses.replace(TINY, **change)))


def test_training_leaves_the_global_random_states_alone():
    torch_state, numpy_state = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    pretrain(TINY)
    assert torch.equal(torch.get_rng_state(), torch_state)
    assert np.array_equal(np.random.get_state()[1], numpy_state)  # noqa: NPY002


def test_sizes_are_those_of_the_settings():
    pretrained = pretrain(dataclasses.replace(TINY, embedding_size=5, origin_size=12))
    assert pretrained.simulator[0].weight.shape == (1000, 12)
    assert pretrained.simulator[-1].weight.shape == (5, 100)
    assert pretrained.decoder[0].weight.shape == (100, 5)
    assert pretrained.decoder[-1].weight.shape == (12, 1000)
    assert all(part.dtype == np.float32 for part in weights(pretrained))


def test_fine_tuning_spreads_the_codes_over_the_cube(run):
    origins = SPACE.sample(np.random.default_rng(0), 2000)
    tuned = pretrain(dataclasses.replace(SHORT, finetune_steps=60))
    before, after = (mlp.forward(p.simulator, origins).std(axis=0).mean() for p in (run[0], tuned))
    uniform = 12**-0.5
    assert abs(after - uniform) < abs(before - uniform)


def test_penalty_is_small_for_the_distribution_it_asks_for_and_large_otherwise():
    generator = torch.Generator().manual_seed(0)
    uniform = pretraining._uniform((4000, 20), generator)
    assert pretraining._wasserstein_to_uniform(uniform) < 0.002
    # Shifting by d costs d²; shrinking to a point costs the variance, 1.
    assert pretraining._wasserstein_to_uniform(uniform + 2) == pytest.approx(4, abs=0.1)
    assert pretraining._wasserstein_to_uniform(0 * uniform) == pytest.approx(1, abs=0.01)
    other = pretraining._uniform((4000, 20), generator)
    assert pretraining._sliced_wasserstein(uniform, other, generator) < 0.005
    assert pretraining._sliced_wasserstein(uniform, 3 * other, generator) == pytest.approx(4, rel=0.1)


def test_learning_rate_warms_up_falls_and_starts_again_in_every_cycle():
    settings = PretrainingSettings(steps=100, cycles=2, finetune_steps=50, warmup=0.1)
    rates = [pretraining._learning_rate(settings, step) for step in range(250)]
    assert rates[0] == rates[100] == rates[200] == 0
    assert rates[10] == rates[110] == pytest.approx(2e-3)
    assert rates[205] == pytest.approx(1e-3)
    assert max(rates[200:]) == pytest.approx(1e-3)
    assert rates[5] == pytest.approx(1e-3)
    assert rates[55] == pytest.approx(1e-3)  # half of the cosine
    assert rates[99] < 2e-6
    assert rates[10:100] == sorted(rates[10:100], reverse=True)


def test_written_weights_load_as_a_decoder_that_reconstructs_the_same(run, written):
    decoder = embeddings.make(str(written[0]), SPACE, "none")
    origins = SPACE.sample(np.random.default_rng(1), 200)
    codes = mlp.forward(run[0].simulator, origins)
    raw = mlp.forward(run[0].decoder, codes)
    assert np.array_equal(decoder.encode(origins), codes)
    assert np.array_equal(decoder.decode(codes), np.clip(raw, 0, 30))


def test_card_tells_the_recipe_and_the_loss(run, written):
    path, returned = written
    card = json.loads(path.with_suffix(".json").read_text())
    assert card.items() >= returned.items()
    assert card["recipe"] == dataclasses.asdict(SHORT)
    assert (card["kind"], card["origin_size"], card["embedding_size"]) == ("mlp", 60, 20)
    assert card["train_loss"] == pytest.approx(run[0].train_loss, abs=1e-3)
    loss = pretraining.test_loss(run[0].simulator, run[0].decoder, samples=20_000)
    assert card["test_loss"] == pytest.approx(loss, rel=0.01)


@pytest.mark.parametrize("calibration", ["output", "both"])
def test_written_tables_make_even_a_poor_decoder_uniform(written, calibration):
    actions = np.random.default_rng(2).uniform(size=(5000, 20)).astype(np.float32)
    decoded = embeddings.make(str(written[0]), SPACE, calibration).decode(actions)
    quantiles = np.quantile(decoded, [0.1, 0.5, 0.9], axis=0)
    np.testing.assert_allclose(quantiles, np.array([[3.0], [15], [27]]).repeat(60, axis=1), atol=1.2)


@pytest.mark.slow
def test_a_minute_of_training_beats_pca():
    settings = PretrainingSettings(steps=1800, cycles=1, finetune_steps=0)
    trained = pretraining.pretrain(settings)
    assert pretraining.test_loss(trained.simulator, trained.decoder, samples=20_000) < 75 * (1 - 20 / 60) - 1
