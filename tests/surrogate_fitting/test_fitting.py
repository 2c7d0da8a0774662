"""Fitting: linear functions are found, trees find the rest, and the shipped surrogate comes out again."""

from dataclasses import replace

import lightgbm
import numpy as np
import pytest

from nases_env import surrogates
from nases_env.search_spaces import MacroSpace
from nases_env.surrogate_fitting import fitting
from nases_env.surrogates import model


@pytest.fixture(scope="module")
def numbers():
    """Features, and two functions of them: a linear one, and one that is not."""
    features = np.random.default_rng(0).normal(size=(2000, 6)) * [1, 10, 0.1, 1, 1, 5] + 3
    linear = features @ [2.0, -0.3, 1.0, 0.0, 0.0, 0.1] + 4
    return features, np.stack([linear, np.where(features[:, 0] > 3, 1.0, -1.0) * features[:, 4]], axis=1)


def test_linear_functions_are_found(numbers):
    features, values = numbers
    coefficients, intercepts = fitting.fit_linear(features, values)
    predicted = features @ coefficients.T + intercepts
    assert np.corrcoef(predicted[:, 0], values[:, 0])[0, 1] > 0.999
    assert np.abs(predicted[:, 0] - values[:, 0]).mean() < 0.1 * values[:, 0].std()


def test_trees_find_what_a_linear_function_leaves(numbers):
    features, values = numbers
    regressor = fitting.fit_regressor(features[:1500], values[:1500])
    predicted = regressor(features[1500:])
    linear = features[1500:] @ regressor.coefficients.T + regressor.intercepts
    errors, linear_errors = (np.abs(found - values[1500:]).mean(axis=0) for found in (predicted, linear))
    assert (errors < 0.6 * linear_errors).all()


def test_the_same_table_gives_the_same_models(numbers):
    one, other = (fitting.fit_regressor(*numbers).trees.model_to_string() for _ in range(2))
    assert one == other
    assert one != fitting.fit_regressor(*numbers, seed=1).trees.model_to_string()


def test_refitting_reproduces_the_shipped_predictions(shipped, tmp_path):
    name, collected = shipped
    shipped = surrogates.make(name)
    regressor = fitting.fit_regressor(fitting.features(collected), fitting.logits(collected))
    model.save(tmp_path, regressor, fitting.fit_noise(collected), {**shipped.card})
    again = surrogates.make(str(tmp_path))
    assert shipped.card["table"]["sha256"] == collected.sha256
    if shipped.card["lightgbm"] != lightgbm.__version__:
        pytest.skip(f"it was fitted with LightGBM {shipped.card['lightgbm']}, this is {lightgbm.__version__}")
    expected, found = (each.predict(collected.rows, collected.keys, [0] * len(collected)) for each in (shipped, again))
    for one, other in zip(expected, found, strict=True):
        np.testing.assert_allclose(one, other, atol=2e-6)
    np.testing.assert_allclose(again.card["noise_covariance"], shipped.card["noise_covariance"])


def test_noise_is_the_spread_between_seeds_alone(collected):
    """Architectures far apart, seeds with a known covariance: the table is made up."""
    rng = np.random.default_rng(0)
    count, covariance = 400, np.array([[0.04, 0.02], [0.02, 0.09]])
    mean = np.repeat(rng.normal(0, 1, (count, 1)), 3, axis=0)
    logits = mean + rng.multivariate_normal([0, 0], covariance, 3 * count)
    accuracies = 1 / (1 + np.exp(-logits))
    measured = {"train_accuracy": accuracies[:, 0], "validation_accuracy": accuracies[:, 1]}
    protocol = replace(collected.protocol, validation_images=10**9)
    made_up = replace(collected, protocol=protocol, keys=np.repeat(np.arange(count), 3), measured=measured)
    np.testing.assert_allclose(fitting.fit_noise(made_up).covariance, covariance, atol=0.006)


def test_a_table_without_repeats_tells_nothing_of_noise(collected):
    _, first = np.unique(collected.keys, return_index=True)
    with pytest.raises(ValueError, match="repeats no architecture"):
        fitting.fit_noise(collected[first])


def test_a_few_children_are_refused(numbers):
    with pytest.raises(ValueError, match="119 children are too few"):
        fitting.fit_regressor(numbers[0][:119], numbers[1][:119])


def test_perfect_accuracies_have_finite_logits(collected):
    perfect = replace(collected, measured={name: np.array([0.0, 1.0]) for name in model.TARGETS})
    np.testing.assert_allclose(fitting.logits(perfect)[:, 0], [-np.log(901), np.log(901)])


def test_other_rules_are_refused(collected):
    with pytest.raises(ValueError, match="know the macro space under paper rules, .* only, not macro under published"):
        fitting.features(replace(collected, space=MacroSpace("published")))


def test_tables_with_failures_or_limits_are_refused(collected):
    fitting.check(collected)
    with pytest.raises(ValueError, match="3 children of the table failed"):
        fitting.check(replace(collected, failed=3))
    with pytest.raises(ValueError, match="'max_parameters': 10"):
        fitting.check(replace(collected, protocol=replace(collected.protocol, max_parameters=10)))
