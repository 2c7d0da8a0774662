"""Measures how good a surrogate is on architectures that it was not fitted on."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from scipy.special import expit
from scipy.stats import kendalltau, spearmanr
from sklearn.model_selection import GroupKFold

from nases_env import rewards
from nases_env.evaluation import Evaluations
from nases_env.surrogate_fitting import fitting
from nases_env.surrogate_fitting.fitting import fit_regressor as fit
from nases_env.surrogate_fitting.table import Table
from nases_env.surrogates.features import make as make_features
from nases_env.surrogates.model import TARGETS, Noise

FOLDS = 5
ENSEMBLE = 10
RESAMPLES = 200
SEEDS = 32
"""The noise is drawn so many times to estimate what a perfect model could reach."""
SHARES = (1 / 16, 1 / 8, 1 / 4, 1 / 2, 1.0)
"""Shares of the training children that models are fitted on for the learning curve."""
QUANTITIES = (*TARGETS, "reward")

Scores = dict[str, dict[str, Any]]
Model = Callable[[np.ndarray], np.ndarray]
Fit = Callable[[np.ndarray, np.ndarray], Model]
"""A function of features (N, F) and logits (N, 2) that gives a model, which predicts the logits of other features."""


def report(table: Table) -> dict[str, Any]:
    """All that is told of a surrogate that is fitted on this table.

    Every figure is measured on held-out children, in 5 folds; a child's family (the child, its repeats, mutations of it
    and theirs) is held out with it. There are R², Kendall's τ and Spearman's ρ of both accuracies and of the reward
    that the table has; 95 % intervals are over resampled families.
    """
    features, values, noise = fitting.features(table), fitting.logits(table), fitting.fit_noise(table)
    predicted, linearly = (held_out(table, features, values, by) for by in (fit, fit_linear))
    curve = []
    for share in SHARES:
        if _training_children(table, share) < fitting.FEWEST:
            continue
        part = predicted if share == 1 else held_out(table, features, values, fit, share)
        curve.append({"children": _training_children(table, share), **scores(table, part)})
    choices = make_features(table.space, table.protocol, table.images).choices(table.rows)
    parameters = np.log(table.measured["parameters"])[:, None]
    return {
        "children": len(np.unique(table.keys)),
        "evaluations": len(table),
        "families": len(np.unique(table.families)),
        "noise": noise_floor(table),
        "ceiling": ceiling(table, predicted, noise),
        "held_out": scores(table, predicted, interval=True),
        "linear": scores(table, linearly),
        "linear_of_choices": scores(table, held_out(table, choices, values, fit_linear)),
        "linear_of_parameters": scores(table, held_out(table, parameters, values, fit_linear)),
        "gain_over_linear": gain_over_linear(table, predicted, linearly),
        "by_source": {
            source: {
                **scores(table[chosen], predicted[chosen]),
                "ceiling": ceiling(table[chosen], predicted[chosen], noise),
            }
            for source, chosen in _sources(table)
        },
        "source_left_out": {
            source: scores(table[chosen], _source_left_out(table, features, values, chosen))
            for source, chosen in _sources(table)
        },
        "with_first_epochs": {
            str(epochs): scores(table, held_out(table, _with_epochs(table, features, epochs), values, fit))
            for epochs in range(1, table.epochs.shape[1])
        },
        "best": best(table, predicted),
        "learning_curve": curve,
        "ensemble": ensemble(table, features, values),
    }


def gain(table: Table) -> dict[str, Any]:
    """The report's `gain_over_linear` alone, which takes seconds."""
    features, values = fitting.features(table), fitting.logits(table)
    return gain_over_linear(table, *(held_out(table, features, values, by) for by in (fit, fit_linear)))


def gain_over_linear(table: Table, predicted: np.ndarray, linearly: np.ndarray) -> dict[str, Any]:
    """How much higher the reward's R² of held-out logits (N, 2) is than that of a linear model's, with its interval."""
    ours, linear = (quantities(table, logits)["reward"] for logits in (predicted, linearly))
    measured = table.measured["reward"]

    def difference(chosen: np.ndarray) -> float:
        return r2(measured[chosen], ours[chosen]) - r2(measured[chosen], linear[chosen])

    draws = [difference(chosen) for chosen in resampled_families(table)]
    return {"r2": difference(np.arange(len(table))), "r2_interval": np.quantile(draws, (0.025, 0.975)).tolist()}


def fit_linear(features: np.ndarray, values: np.ndarray) -> Model:
    """Fit a ridge regression alone, without trees."""
    coefficients, intercepts = fitting.fit_linear(features, values)
    return lambda others: others @ coefficients.T + intercepts


def held_out(table: Table, features: np.ndarray, values: np.ndarray, by: Fit, share: float = 1.0) -> np.ndarray:
    """Predict the logits (N, 2) of every child by a model fitted on a share of the children of the other folds."""
    predicted = np.empty_like(values)
    for training, test in _folds(table):
        chosen = training[: round(share * len(training))]
        predicted[test] = by(features[chosen], values[chosen])(features[test])
    return predicted


def scores(table: Table, predicted: np.ndarray, interval: bool = False) -> Scores:
    """R², τ and ρ of predicted logits (N, 2), for every quantity."""
    found = quantities(table, predicted)
    return {name: _score(table, table.measured[name], found[name], interval) for name in QUANTITIES}


def noise_floor(table: Table) -> dict[str, Any]:
    """The share of all children's variance that lies between architectures, not between child seeds.

    It is estimated from the architectures that were evaluated with several child seeds; its interval is over resampled
    ones of them.
    """
    of = table.architecture_index
    repeated = np.flatnonzero(np.bincount(of) > 1)
    rng = np.random.default_rng(0)
    found: dict[str, Any] = {"architectures": len(repeated)}
    for name in QUANTITIES:
        within = np.array([table.measured[name][of == architecture].var(ddof=1) for architecture in repeated])
        shares = 1 - within / table.measured[name].var(ddof=1)
        draws = rng.choice(shares, (RESAMPLES, len(shares))).mean(axis=1)
        found[name] = {"r2": float(shares.mean()), "r2_interval": np.quantile(draws, (0.025, 0.975)).tolist()}
    return found


def ceiling(table: Table, predicted: np.ndarray, noise: Noise) -> dict[str, float]:
    """The R² that the child seeds' noise allows a perfect model on these children.

    It comes from the noise model at their predicted logits (N, 2), so it is there also where no architecture was
    repeated.
    """
    draws = [quantities(table, predicted + noise.draw(table.keys, [seed] * len(table))) for seed in range(SEEDS)]
    variances = {name: np.var([draw[name] for draw in draws], axis=0, ddof=1).mean() for name in QUANTITIES}
    return {name: float(1 - variances[name] / table.measured[name].var(ddof=1)) for name in QUANTITIES}


def best(table: Table, predicted: np.ndarray, share: float = 0.01) -> dict[str, float]:
    """Mean reward of the children predicted to be the best, of the truly best, and of all."""
    reward, count = table.measured["reward"], max(1, round(share * len(table)))
    chosen = np.argsort(-quantities(table, predicted)["reward"], kind="stable")[:count]
    return {
        "children": count,
        "predicted_best": float(reward[chosen].mean()),
        "truly_best": float(np.sort(reward)[-count:].mean()),
        "all": float(reward.mean()),
    }


def ensemble(table: Table, features: np.ndarray, values: np.ndarray) -> dict[str, float]:
    """Fit an ensemble on resampled children; tells how good its mean is, and what its spread tells of its errors."""
    rng = np.random.default_rng(0)
    column = TARGETS.index("validation_accuracy")
    members = np.empty((ENSEMBLE, len(table)))
    for training, test in _folds(table):
        for member in members:
            chosen = rng.choice(training, len(training))
            member[test] = fit(features[chosen], values[chosen])(features[test])[:, column]
    mean, spread = members.mean(axis=0), members.std(axis=0, ddof=1)
    noise = fitting.fit_noise(table).covariance[column, column]
    error = np.abs(values[:, column] - mean)
    measured = table.measured["validation_accuracy"]
    return {
        "members": ENSEMBLE,
        "r2": r2(measured, expit(mean)),
        "tau": float(kendalltau(measured, expit(mean)).statistic),
        "spread_error_rho": float(spearmanr(spread, error).statistic),
        "median_spread_logit": float(np.median(spread)),
        "model_error_logit": float(np.sqrt(max((error**2).mean() - noise, 0.0))),
        "noise_logit": float(np.sqrt(noise)),
        "within_two_deviations": float((error < 2 * np.sqrt(spread**2 + noise)).mean()),
    }


def _folds(table: Table) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """The folds' training and test children; families stay together. Training children are in random order."""
    folds = GroupKFold(FOLDS, shuffle=True, random_state=0)
    rng = np.random.default_rng(0)
    for training, test in folds.split(table.rows, groups=np.unique(table.families, return_inverse=True)[1]):
        yield rng.permutation(training), test


def _training_children(table: Table, share: float) -> int:
    return int(np.mean([round(share * len(training)) for training, _ in _folds(table)]))


def _sources(table: Table) -> Iterator[tuple[str, np.ndarray]]:
    for source in np.unique(table.sources).tolist():
        yield source, table.sources == source


def _source_left_out(table: Table, features: np.ndarray, values: np.ndarray, test: np.ndarray) -> np.ndarray:
    """Predict the logits of the children of one source by a model that knows none of their families."""
    training = ~np.isin(table.families, table.families[test])
    return fit(features[training], values[training])(features[test])


def _with_epochs(table: Table, features: np.ndarray, epochs: int) -> np.ndarray:
    """The features with what the first epochs measured beside them."""
    return np.concatenate([features, table.epochs[:, :epochs].reshape(len(table), -1)], axis=1)


def quantities(table: Table, logits: np.ndarray) -> dict[str, np.ndarray]:
    """Accuracies of logits (N, 2), and rewards by the table's reward function, (N,) each."""
    train, validation = expit(logits).T
    nothing = np.zeros(len(train), dtype=np.int64)
    reward = rewards.make(table.reward)(Evaluations(train, validation, nothing, nothing))
    return {"train_accuracy": train, "validation_accuracy": validation, "reward": reward}


def _score(table: Table, measured: np.ndarray, predicted: np.ndarray, interval: bool) -> dict[str, Any]:
    found: dict[str, Any] = {
        "r2": r2(measured, predicted),
        "tau": float(kendalltau(measured, predicted).statistic),
        "rho": float(spearmanr(measured, predicted).statistic),
    }
    if interval:
        draws = [
            (r2(measured[chosen], predicted[chosen]), kendalltau(measured[chosen], predicted[chosen]).statistic)
            for chosen in resampled_families(table)
        ]
        low, high = np.quantile(draws, (0.025, 0.975), axis=0).tolist()
        found |= {"r2_interval": [low[0], high[0]], "tau_interval": [low[1], high[1]]}
    return found


def resampled_families(table: Table) -> Iterator[np.ndarray]:
    """Draw as many families as there are, with replacement; yields their children."""
    rng = np.random.default_rng(0)
    _, of = np.unique(table.families, return_inverse=True)
    members = np.split(np.argsort(of, kind="stable"), np.cumsum(np.bincount(of))[:-1])
    for _ in range(RESAMPLES):
        yield np.concatenate([members[family] for family in rng.integers(len(members), size=len(members))])


def r2(measured: np.ndarray, predicted: np.ndarray) -> float:
    """The share of the variance of measured numbers (N,) that predicted ones explain."""
    return float(1 - ((measured - predicted) ** 2).sum() / ((measured - measured.mean()) ** 2).sum())
