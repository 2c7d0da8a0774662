"""Surrogates: what they predict, the noise of a child seed, and damaged files."""

import hashlib
import json
import shutil

import numpy as np
import pytest

from nases_env import rewards, surrogates
from nases_env.surrogates.model import TARGETS, Noise, Surrogate
from tests.surrogate_fitting.conftest import change_card

KEYS = [f"{number:016x}" for number in range(300)]
SEEDS = list(range(300))


@pytest.fixture(scope="module")
def surrogate():
    return surrogates.make("digits")


@pytest.fixture
def copy(tmp_path):
    """The shipped surrogate in another folder."""
    return shutil.copytree(surrogates.FITTED / "digits", tmp_path / "copy")


def test_predictions_are_close_to_what_was_measured(shipped):
    name, collected = shipped
    surrogate, reward = surrogates.make(name), rewards.make(collected.reward)
    found = surrogate.predict(collected.rows, collected.keys, [0] * len(collected))
    for name in ("train_accuracy", "validation_accuracy"):
        assert np.corrcoef(getattr(found, name), collected.measured[name])[0, 1] > 0.85
    assert np.corrcoef(reward(found), collected.measured["reward"])[0, 1] > 0.8
    np.testing.assert_array_equal(found.parameters, collected.measured["parameters"])
    np.testing.assert_array_equal(found.flops, collected.measured["flops"])


@pytest.mark.parametrize("noise", [False, True])
def test_a_childs_numbers_do_not_depend_on_the_others(noise, rows):
    surrogate = surrogates.make("digits", noise)
    together = surrogate.predict(rows, KEYS, SEEDS)
    for piece in (slice(0, 1), slice(5, 9), slice(0, 290)):
        apart = surrogate.predict(rows[piece], KEYS[piece], SEEDS[piece])
        for one, all_of_them in zip(apart, together, strict=True):
            np.testing.assert_array_equal(one, all_of_them[piece])


def test_without_noise_the_seed_changes_nothing(surrogate, rows):
    one, other = (surrogate.predict(rows, KEYS, [seed] * len(rows)) for seed in (0, 1))
    np.testing.assert_array_equal(one.validation_accuracy, other.validation_accuracy)


def test_noise_is_the_seeds_and_the_architectures(rows):
    noisy = surrogates.make("digits", noise=True)
    first, again, other = (noisy.predict(rows, KEYS, [seed] * len(rows)) for seed in (0, 0, 1))
    np.testing.assert_array_equal(first.validation_accuracy, again.validation_accuracy)
    assert (first.validation_accuracy != other.validation_accuracy).mean() > 0.9
    assert ((first.train_accuracy > 0) & (first.train_accuracy < 1)).all()


def test_noise_has_the_covariance_it_was_given():
    covariance = np.array([[0.09, 0.05], [0.05, 0.04]])
    draws = Noise(covariance).draw([f"{number}" for number in range(20_000)], [3] * 20_000)
    np.testing.assert_allclose(draws.mean(axis=0), 0, atol=0.01)
    np.testing.assert_allclose(np.cov(draws.T), covariance, atol=0.004)


@pytest.mark.parametrize("covariance", [[[0, 0], [0, 0]], [[0.04, 0.04], [0.04, 0.04]]])
def test_noise_may_be_none_or_the_same_for_both(covariance):
    first, second = Noise(np.array(covariance, dtype=float)).draw(KEYS, SEEDS).T
    np.testing.assert_allclose(first, second, atol=1e-6)
    assert first.std() == pytest.approx(np.sqrt(covariance[0][0]), rel=0.15)


def test_noise_of_a_shipped_surrogate_is_that_of_the_repeated_children(shipped):
    """Predicted and measured spread between seeds, in accuracies."""
    name, collected = shipped
    noisy = surrogates.make(name, noise=True)
    repeated = np.flatnonzero(np.bincount(collected.architecture_index) > 1)
    predicted, measured = [], []
    for architecture in repeated:
        (chosen,) = np.nonzero(collected.architecture_index == architecture)
        children = collected[chosen[[0] * 50]]
        predicted.append(noisy.predict(children.rows, children.keys, range(50)).validation_accuracy.std())
        measured.append(collected.measured["validation_accuracy"][chosen].std(ddof=1))
    assert np.mean(predicted) == pytest.approx(np.mean(measured), rel=0.25)


def test_fingerprint_is_of_the_files_and_the_noise(surrogate, copy):
    assert Surrogate(copy).fingerprint == surrogate.fingerprint
    assert Surrogate(copy, noise=True).fingerprint != surrogate.fingerprint
    change_card(copy / "card.json", dataset="another")
    assert Surrogate(copy).fingerprint != surrogate.fingerprint


def test_damaged_trees_are_refused(copy, rows):
    text = (copy / "trees.txt").read_text()
    (copy / "trees.txt").write_text(text.replace("leaf_value=", "leaf_value=1", 1))
    with pytest.raises(ValueError, match=r"trees.txt has the hash .* damaged"):
        Surrogate(copy).predict(rows[:1], KEYS[:1], [0])


@pytest.mark.parametrize("name", ["card.json", "trees.txt"])
def test_missing_files_are_named(name, copy, rows):
    (copy / name).unlink()
    with pytest.raises(FileNotFoundError, match=f"{name} is missing; fit the surrogate again"):
        Surrogate(copy).predict(rows[:1], KEYS[:1], [0])


WRONG = [
    {"kind": "mlp"},
    {"features": 0},
    {"linear": {}},
    {"linear": {target: {"coefficients": [1.0], "intercept": 0.0} for target in TARGETS}},
    {"protocol": {"speed": 3}},
    {"rules": "published"},
    {"noise_covariance": [1.0]},
    *({name: None} for name in ("protocol", "space", "rules", "images", "dataset", "trees_sha256", "noise_covariance")),
]


def linear(**changes):
    """The linear models of the shipped card with changes in both."""
    card = json.loads((surrogates.FITTED / "digits" / "card.json").read_text())
    return {"linear": {target: card["linear"][target] | changes for target in TARGETS}}


def shipped(field, **changes):
    """A field of the shipped card with changes in it."""
    return {field: json.loads((surrogates.FITTED / "digits" / "card.json").read_text())[field] | changes}


WRONG += [
    *(linear(intercept=value) for value in (float("nan"), float("inf"), "1", True, None, [1], 1e9)),
    *(linear(coefficients=[value] + [0.0] * 116) for value in (float("nan"), "1", None, [1.0], 1e9, 10**400)),
    *({"noise_covariance": value} for value in (
        [[1.0, 2.0], [2.0, 1.0]], [[-1.0, 0.0], [0.0, 1.0]], [[0.0, 0.1], [0.1, 1.0]], [[1.0, 0.5], [0.0, 1.0]],
        [[float("nan"), 0.0], [0.0, 1.0]], [["1", 0.0], [0.0, 1.0]], [[1.0, 0.0], [0.0]],
    )),
    *(shipped("images", side=value) for value in (0, -1, 10**9, 8.0, "8", None)),
    *(shipped("protocol", **{name: value}) for name, value in (
        ("width", 1e300), ("added_filters", 10**30), ("name", 5), ("final", None), ("reductions", {"a": 1}),
    )),
    *({name: value} for name in ("dataset", "space", "rules", "trees_sha256", "fingerprint", "lightgbm")
      for value in (5, [], {})),
    {"features": True}, {"dates": 5}, {"versions": []}, {"dataset": "\ud800"},
]  # fmt: skip


@pytest.mark.parametrize("change", WRONG)
def test_a_card_of_something_else_is_refused(change, copy):
    change_card(copy / "card.json", **change)
    with pytest.raises(ValueError, match="no card that nases fit-surrogate writes now"):
        Surrogate(copy)


@pytest.mark.parametrize("text", [b"", b"[]", b"null", b"\xff\x00", b"[" * 100_000, b'{"a":' * 100_000])
def test_what_is_no_card_at_all_is_refused(text, copy):
    (copy / "card.json").write_bytes(text)
    with pytest.raises(ValueError, match="no card that nases fit-surrogate writes now"):
        Surrogate(copy)


@pytest.mark.parametrize("change", [("left_child=1 3", "left_child=0 3"), ("tree\n", "böse\n")])
def test_trees_that_lead_nowhere_are_refused_although_their_hash_agrees(change, copy, rows):
    trees = (copy / "trees.txt").read_text().replace(*change, 1).encode()
    (copy / "trees.txt").write_bytes(trees)
    change_card(copy / "card.json", trees_sha256=hashlib.sha256(trees).hexdigest())
    with pytest.raises(ValueError, match=r"trees.txt holds no trees that nases fit-surrogate writes now"):
        Surrogate(copy).predict(rows[:1], KEYS[:1], [0])


def test_a_surrogate_that_does_not_exist_is_refused():
    with pytest.raises(ValueError, match=r"no surrogate 'nowhere'; choose one of \('digits'"):
        surrogates.make("nowhere")
