"""The report: held-out children are never seen, and scores are what their names say."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.special import logit

from nases_env.surrogates import fitting, report


@pytest.fixture(scope="module")
def part(collected):
    """The repeated children, and some more."""
    return collected[np.arange(400)]


def test_no_model_sees_the_architectures_it_predicts(part):
    index = part.architecture_index[:, None].astype(float)
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


def test_ceiling_of_seeds_that_change_nothing_and_of_seeds_that_change_everything(part):
    of = part.architecture_index.astype(float)
    rng = np.random.default_rng(0)
    fixed = replace(part, measured={name: of / of.max() for name in report.QUANTITIES})
    random = replace(part, measured={name: rng.normal(size=len(part)) for name in report.QUANTITIES})
    assert report.ceiling(fixed)["reward"]["r2"] == pytest.approx(1)
    assert report.ceiling(fixed)["reward"]["tau_between_seeds"] == pytest.approx(1)
    assert abs(report.ceiling(random)["reward"]["r2"]) < 0.3


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


@pytest.mark.parametrize(
    ("ours", "linear", "better"), [((0.6, 0.5), (0.5, 0.4), True), ((0.6, 0.4), (0.5, 0.4), False)]
)
def test_a_surrogate_has_to_beat_a_linear_model_by_both_scores(ours, linear, better):
    found = {name: {"reward": {"r2": r2, "tau": tau}} for name, (r2, tau) in (("held_out", ours), ("linear", linear))}
    assert report.beats_linear(found) is better
