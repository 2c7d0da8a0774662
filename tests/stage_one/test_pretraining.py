"""Stage 1 in small: it learns, repeats itself, and writes what `make` reads."""

import dataclasses
import functools
import json

import numpy as np
import pytest
import torch

from nases_env import embeddings, search_spaces
from nases_env.search_spaces import MacroSpace
from nases_env.stage_one import pretraining
from nases_env.stage_one.pretraining import RECENT, Pretraining
from nases_env.stage_one.settings import PretrainingSettings
from nases_env.stage_one.vectors import FreshVectors, Independent

SPACE = MacroSpace()
SHORT = PretrainingSettings(steps=60, finetune_steps=0)
TINY = PretrainingSettings(steps=3, finetune_steps=2, batch_size=32)
UNIFORM = dataclasses.replace(TINY, finetune="uniform")
PROFILES = dataclasses.replace(TINY, vectors="profiles")
PAPER = dataclasses.replace(PretrainingSettings.paper(), steps=12, training_vectors=100)


def trained(settings):
    training = Pretraining(settings)
    training.advance(settings.total_steps)
    return training


@pytest.fixture(scope="module")
def run():
    """60 steps."""
    return trained(SHORT)


@pytest.fixture(scope="module")
def written(run, tmp_path_factory):
    path = tmp_path_factory.mktemp("weights") / "folder" / "short.safetensors"
    return path, pretraining.write(run, path, "ours", 1.5)


def weights(training):
    return [tensor for half in training.halves() for tensor in half.tensors.values()]


def equal(first, second):
    return all(np.array_equal(a, b) for a, b in zip(weights(first), weights(second), strict=True))


def fresh_vectors_of(state):
    generator = torch.Generator()
    generator.set_state(state)
    return FreshVectors(Independent(60), generator)


def test_sixty_steps_beat_predicting_the_mean(run):
    loss = pretraining.test_loss(*run.halves(), samples=10_000)
    assert loss < 70
    assert loss < run.train_loss < 75  # the mean over the whole run, worse than its end


def test_training_loss_is_the_mean_of_the_last_steps_in_raw_units():
    settings = dataclasses.replace(SHORT, steps=RECENT + 5, batch_size=4)
    training = Pretraining(settings)
    losses = []
    for _ in range(settings.steps):
        before = training.halves()
        state = training._generator.get_state()
        training.advance(1)
        if training.step > 5:
            origins = fresh_vectors_of(state).draw(4).numpy()
            losses.append(((before[1].forward(before[0].forward(origins)) - origins) ** 2).mean())
    assert training.train_loss == pytest.approx(np.mean(losses), rel=1e-4)


@pytest.mark.parametrize("recipe", ["ours", "paper"])
def test_untrained_autoencoder_predicts_about_the_mean_or_nothing(recipe):
    # Nothing learned: standardised numbers give 75 in raw units, raw ones stay near 0 and miss by 75 + 15².
    settings = SHORT if recipe == "ours" else PAPER
    loss = pretraining.test_loss(*Pretraining(settings).halves(), samples=5000)
    assert loss == pytest.approx(75 if recipe == "ours" else 300, rel=0.05)


def test_raw_vectors_go_in_and_come_out(run):
    simulator, decoder = run.halves()
    origins = SPACE.sample(np.random.default_rng(0), 2000)
    codes = simulator.forward(origins)
    raw = decoder.forward(codes)
    assert codes.min() >= 0
    assert codes.max() <= 1
    assert raw.mean() == pytest.approx(15, abs=1)
    correlation = np.corrcoef(raw.ravel(), origins.ravel())[0, 1]
    assert correlation > 0.3


def test_test_loss_is_the_mean_squared_error_in_raw_units(run):
    simulator, decoder = run.halves()
    origins = np.random.default_rng(77).uniform(0, 30, (10_000, 60)).astype(np.float32)
    by_hand = ((decoder.forward(simulator.forward(origins)) - origins) ** 2).mean()
    assert pretraining.test_loss(simulator, decoder, samples=10_000) == pytest.approx(by_hand, rel=0.01)


def test_test_loss_counts_every_sample_once(run):
    # A whole chunk of 10,000 and half a one.
    loss = pretraining.test_loss(*run.halves(), samples=15_000)
    assert loss == pytest.approx(pretraining.test_loss(*run.halves(), samples=10_000), rel=0.01)


def test_same_seed_gives_the_same_weights():
    assert equal(trained(TINY), trained(TINY))


@pytest.mark.parametrize(
    "change",
    [
        {"seed": 1},
        {"finetune_steps": 0},
        {"finetune": "uniform"},
        {"vectors": "profiles"},
        {"learning_rate": 1e-3},
        {"beta2": 0.5},
    ],
)
def test_another_seed_or_recipe_gives_other_weights(change):
    assert not equal(trained(TINY), trained(dataclasses.replace(TINY, **change)))


def test_training_leaves_the_global_random_states_alone():
    torch_state, numpy_state = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    trained(TINY)
    assert torch.equal(torch.get_rng_state(), torch_state)
    assert np.array_equal(np.random.get_state()[1], numpy_state)  # noqa: NPY002


@pytest.mark.parametrize("settings", [TINY, UNIFORM, PROFILES, PAPER], ids=["ours", "uniform", "profiles", "paper"])
@pytest.mark.parametrize("pause", [1, 4])
def test_stopped_and_continued_it_ends_at_the_same_bits(settings, pause, monkeypatch):
    monkeypatch.setattr(pretraining, "KEEPING_INTERVAL", 3)
    monkeypatch.setattr(pretraining, "test_loss", functools.partial(pretraining.test_loss, samples=500))
    first, whole = Pretraining(settings), trained(settings)
    first.advance(pause)
    second = Pretraining(settings)
    second.load_state(first.state())
    second.advance(settings.total_steps)
    assert second.finished and second.step == settings.total_steps
    assert equal(second, whole)
    assert second.train_loss == whole.train_loss


def test_it_stops_at_its_last_step():
    training = trained(TINY)
    before = weights(training)
    training.advance(3)
    assert training.step == TINY.total_steps
    assert all(np.array_equal(a, b) for a, b in zip(before, weights(training), strict=True))


def test_the_lowest_test_loss_is_kept(monkeypatch):
    monkeypatch.setattr(pretraining, "KEEPING_INTERVAL", 1)
    losses = iter([50.0, 40.0, 60.0])
    monkeypatch.setattr(pretraining, "test_loss", lambda *halves: next(losses))
    training = Pretraining(dataclasses.replace(PAPER, steps=3, learning_rate=1e-3))
    seen = []
    for _ in range(3):
        training.advance(1)
        seen.append(training._present_halves()[0].tensors["0.weight"])
    assert np.array_equal(training.halves()[0].tensors["0.weight"], seen[1])
    assert not np.array_equal(seen[1], seen[2])
    assert np.array_equal(training._present_halves()[0].tensors["0.weight"], seen[2]), (
        "training goes on from the last weights"
    )


def test_sizes_are_those_of_the_settings():
    training = Pretraining(dataclasses.replace(TINY, embedding_size=5))
    simulator, decoder = training.halves()
    assert (simulator.tensors["0.weight"].shape, simulator.tensors["3.weight"].shape) == ((1000, 60), (5, 100))
    assert (decoder.tensors["0.weight"].shape, decoder.tensors["3.weight"].shape) == ((100, 5), (60, 1000))
    assert all(part.dtype == np.float32 for part in weights(training))


def test_an_lstm_learns_and_goes_on_bit_for_bit(tmp_path):
    settings = dataclasses.replace(TINY, kind="lstm", space="micro", steps=40, finetune_steps=10)
    whole, half = Pretraining(settings), Pretraining(settings)
    before = pretraining.test_loss(*whole.halves(), samples=2000)
    whole.advance(50)
    half.advance(25)
    rest = Pretraining(settings)
    rest.load_state(half.state())
    rest.advance(25)
    assert equal(whole, rest)
    assert pretraining.test_loss(*whole.halves(), samples=2000) < before
    card = pretraining.write(whole, tmp_path / "lstm.safetensors", "ours", 0.1)
    assert (card["kind"], card["origin_size"], card["embedding_size"]) == ("lstm", 40, 20)
    decoder = embeddings.make(str(tmp_path / "lstm.safetensors"), search_spaces.make("micro"))
    assert decoder.decode(np.zeros((3, 20))).shape == (3, 40)
    assert decoder.simulator()(torch.zeros(2, 40)).shape == (2, 20)


def test_an_autoencoder_of_profiles_keeps_profiles_and_no_independent_numbers():
    training = trained(dataclasses.replace(SHORT, steps=200, vectors="profiles"))
    assert training.train_loss < 50
    assert pretraining.test_loss(*training.halves(), samples=5000) > 55


def test_an_unknown_kind_is_told():
    with pytest.raises(ValueError, match="no kind of autoencoder 'gru'.*mlp.*lstm"):
        Pretraining(dataclasses.replace(TINY, kind="gru"))


def test_the_uniform_fine_tune_spreads_the_codes_over_the_cube(run):
    origins = SPACE.sample(np.random.default_rng(0), 2000)
    tuned = trained(dataclasses.replace(SHORT, finetune_steps=60, finetune="uniform"))
    before, after = (t.halves()[0].forward(origins).std(axis=0).mean() for t in (run, tuned))
    uniform = 12**-0.5
    assert abs(after - uniform) < abs(before - uniform)


def test_the_inverse_fine_tune_finds_the_codes_of_what_the_same_decoder_decodes(run):
    tuned = trained(dataclasses.replace(SHORT, finetune_steps=100))
    codes = np.random.default_rng(0).uniform(size=(2000, 20)).astype(np.float32)
    (_, decoder), (_, before) = tuned.halves(), run.halves()
    for name, weight in before.tensors.items():
        np.testing.assert_array_equal(decoder.tensors[name], weight)
    decoded = decoder.forward(codes).clip(0, 30)
    errors = [((t.halves()[0].forward(decoded) - codes) ** 2).mean() for t in (run, tuned)]
    assert errors[1] < 0.7 * errors[0]
    assert pretraining.test_loss(*tuned.halves(), samples=5000) < 1.1 * pretraining.test_loss(
        *run.halves(), samples=5000
    )


def test_written_weights_load_as_a_decoder_that_reconstructs_the_same(run, written):
    decoder = embeddings.make(str(written[0]), SPACE, "none")
    origins = SPACE.sample(np.random.default_rng(1), 200)
    simulator, trained_decoder = run.halves()
    codes = simulator.forward(origins)
    raw = trained_decoder.forward(codes)
    assert np.array_equal(decoder.encode(origins), codes)
    assert np.array_equal(decoder.decode(codes), np.clip(raw, 0, 30))


def test_card_tells_the_recipe_the_losses_and_what_is_reached(run, written):
    path, returned = written
    card = json.loads(path.with_suffix(".json").read_text())
    assert card == json.loads(json.dumps(returned))
    assert card["settings"] == json.loads(json.dumps(dataclasses.asdict(SHORT)))
    assert (card["kind"], card["origin_size"], card["embedding_size"]) == ("mlp", 60, 20)
    assert (card["recipe"], card["steps"], card["minutes"]) == ("ours", 60, 1.5)
    assert card["train_loss"] == pytest.approx(run.train_loss, abs=1e-3)
    assert card["test_loss"] == pytest.approx(pretraining.test_loss(*run.halves(), samples=20_000), rel=0.01)
    assert card["device"] == "cpu"
    assert {"torch", "numpy"} <= card["versions"].keys()
    assert card["coverage"]["output"]["kernel_type separable"] == pytest.approx(7 / 30, abs=0.02)
    assert card["coverage"]["none"]["links on"] > card["coverage"]["output"]["links on"]


@pytest.mark.parametrize("calibration", ["output", "both"])
def test_written_tables_make_even_a_poor_decoder_uniform(written, calibration):
    actions = np.random.default_rng(2).uniform(size=(5000, 20)).astype(np.float32)
    decoded = embeddings.make(str(written[0]), SPACE, calibration).decode(actions)
    quantiles = np.quantile(decoded, [0.1, 0.5, 0.9], axis=0)
    np.testing.assert_allclose(quantiles, np.array([[3.0], [15], [27]]).repeat(60, axis=1), atol=1.2)


@pytest.mark.slow
def test_a_minute_of_training_beats_pca():
    training = trained(PretrainingSettings(steps=1800, finetune_steps=0))
    assert pretraining.test_loss(*training.halves(), samples=20_000) < 75 * (1 - 20 / 60) - 1
