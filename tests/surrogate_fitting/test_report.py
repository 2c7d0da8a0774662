"""The report: held-out children are never seen, and scores are what their names say."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.special import logit

from nases_env.surrogate_fitting import fitting, report
from nases_env.surrogates.model import Noise


@pytest.fixture(scope="module")
def part(collected):
    """The repeated children, and some more."""
    return collected[np.arange(400)]


def test_no_model_sees_the_families_it_predicts(collected):
    part = collected[np.flatnonzero(collected.sources == "mutation")]
    index = np.unique(part.families, return_inverse=True)[1][:, None].astype(float)
    seen = []

    def fit(features, values):
        known = set(features[:, 0])
        return lambda others: seen.append(known & set(others[:, 0])) or np.zeros((len(others), 2))

    report.held_out(part, index, np.zeros((len(part), 2)), fit)
    assert seen == [set()] * report.FOLDS


def test_a_share_of_the_children_is_fitted_on(part):
    sizes = []

    def fit(features, values):
        sizes.append(len(features))
        return lambda others: np.zeros((len(others), 2))

    report.held_out(part, np.zeros((len(part), 1)), np.zeros((len(part), 2)), fit, 1 / 4)
    assert np.mean(sizes) == pytest.approx(len(part) * 0.8 / 4, rel=0.05)


def test_scores_of_a_perfect_prediction_and_of_a_guess(part):
    logits = np.stack([logit(part.measured[name].clip(0.001, 0.999)) for name in report.TARGETS], axis=1)
    perfect = report.scores(part, logits)
    for name in report.QUANTITIES:
        assert perfect[name]["r2"] == pytest.approx(1, abs=1e-3) and perfect[name]["tau"] > 0.99
    guessed = report.scores(part, np.random.default_rng(0).normal(logits.mean(axis=0), 1e-6, logits.shape))
    assert guessed["validation_accuracy"]["r2"] <= 0 and abs(guessed["validation_accuracy"]["tau"]) < 0.1


def test_a_source_that_is_left_out_leaves_no_relatives(collected, monkeypatch):
    families = np.unique(collected.families, return_inverse=True)[1][:, None].astype(float)
    test, seen = collected.sources == "decoder", []
    monkeypatch.setattr(report, "fit", lambda features, values: seen.extend(features[:, 0]) or (lambda others: others))
    report._source_left_out(collected, families, np.zeros((len(collected), 2)), test)
    assert len(seen) > 500 and not set(seen) & set(families[test, 0])


def test_noise_floor_of_seeds_that_change_nothing_and_of_seeds_that_change_everything(part):
    of = part.architecture_index.astype(float)
    rng = np.random.default_rng(0)
    fixed = replace(part, measured={name: of / of.max() for name in report.QUANTITIES})
    random = replace(part, measured={name: rng.normal(size=len(part)) for name in report.QUANTITIES})
    assert report.noise_floor(fixed)["reward"]["r2"] == pytest.approx(1)
    low, high = report.noise_floor(random)["reward"]["r2_interval"]
    assert -0.6 < low < 0 < high < 0.6


def test_ceiling_is_what_the_noise_leaves(part):
    values = fitting.logits(part)
    nothing, some = (report.ceiling(part, values, Noise(np.eye(2) * variance)) for variance in (0.0, 0.1))
    assert nothing["reward"] == pytest.approx(1)
    assert 0.2 < some["validation_accuracy"] < 0.95
    draws = [
        report.quantities(part, values + Noise(np.eye(2) * 0.1).draw(part.keys, [seed] * len(part))) for seed in (0, 1)
    ]
    one, other = (draw["validation_accuracy"] for draw in draws)
    within = ((one - other) ** 2 / 2).mean()
    expected = 1 - within / part.measured["validation_accuracy"].var(ddof=1)
    assert some["validation_accuracy"] == pytest.approx(expected, abs=0.1)


def test_intervals_hold_their_score(part):
    values = fitting.logits(part)
    noisy = values + np.random.default_rng(0).normal(0, 0.3, values.shape)
    found = report.scores(part, noisy, interval=True)["reward"]
    assert found["r2_interval"][0] < found["r2"] < found["r2_interval"][1]
    assert found["tau_interval"][0] < found["tau"] < found["tau_interval"][1]


def test_the_predicted_best_are_between_all_and_the_truly_best(part):
    values = fitting.logits(part)
    found = report.best(part, values + np.random.default_rng(0).normal(0, 0.3, values.shape), share=0.05)
    assert found["children"] == 20
    assert found["all"] < found["predicted_best"] < found["truly_best"]


def test_families_are_resampled_whole(part):
    families = np.unique(part.families, return_inverse=True)[1]
    sizes = np.bincount(families)
    for chosen in report.resampled_families(part):
        drawn = np.bincount(families[chosen], minlength=len(sizes))
        assert (drawn % sizes == 0).all() and (drawn // sizes).sum() == len(sizes)


def test_trees_gain_over_a_linear_model_only_where_there_is_something_to_gain(collected):
    assert report.gain(collected)["r2_interval"][0] > 0
    features, noise = fitting.features(collected), np.random.default_rng(0).normal(size=(len(collected), 2))
    scrambled = replace(collected, measured={name: noise[:, 0] for name in report.QUANTITIES})
    by = (report.fit, report.fit_linear)
    predicted = (report.held_out(scrambled, features, noise, each) for each in by)
    assert report.gain_over_linear(scrambled, *predicted)["r2_interval"][0] < 0


def test_rewards_are_predicted_by_the_tables_reward_function(part):
    by_validation = replace(part, reward="validation", measured={**part.measured})
    by_validation.measured["reward"] = part.measured["validation_accuracy"]
    logits = fitting.logits(part) + np.random.default_rng(0).normal(0, 0.3, (len(part), 2))
    found = report.scores(by_validation, logits)
    assert found["reward"] == found["validation_accuracy"] != report.scores(part, logits)["reward"]
