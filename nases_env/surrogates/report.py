"""How good a surrogate is on architectures that it was not fitted on."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from scipy.special import expit
from scipy.stats import kendalltau, spearmanr
from sklearn.model_selection import GroupKFold

from nases_env import rewards
from nases_env.evaluators.base import Evaluations
from nases_env.search_spaces import MacroSpace
from nases_env.surrogates import fitting
from nases_env.surrogates.fitting import fit_regressor as fit
from nases_env.surrogates.model import TARGETS
from nases_env.surrogates.table import Table

FOLDS = 5
ENSEMBLE = 10
RESAMPLES = 200
SHARES = (1 / 16, 1 / 8, 1 / 4, 1 / 2, 1.0)
"""Of the training children, for the learning curve."""
QUANTITIES = (*TARGETS, "reward")

Scores = dict[str, dict[str, Any]]
Model = Callable[[np.ndarray], np.ndarray]
Fit = Callable[[np.ndarray, np.ndarray], Model]
"""Features (N, F), logits (N, 2) → what predicts logits of other features."""


def report(table: Table) -> dict[str, Any]:
    """All that is told of a surrogate fitted on this table.

    Every figure is of children whose architectures were held out, in 5 folds; R², Kendall's τ and Spearman's ρ of
    both accuracies and of the reward (Eq. 1), with 95 % intervals over resampled architectures where they say so.
    """
    features, values = fitting.features(table), fitting.logits(table)
    predicted = held_out(table, features, values, fit)
    curve = []
    for share in SHARES:
        if _training_children(table, share) < fitting.FEWEST:
            continue
        part = predicted if share == 1 else held_out(table, features, values, fit, share)
        curve.append({"children": _training_children(table, share), **scores(table, part)})
    choices = _choices(table)
    return {
        "children": int(table.architecture_index.max() + 1),
        "evaluations": len(table),
        "ceiling": ceiling(table),
        "held_out": scores(table, predicted, interval=True),
        "linear": scores(table, held_out(table, features, values, fit_linear)),
        "linear_of_choices": scores(table, held_out(table, choices, values, fit_linear)),
        "linear_of_parameters": scores(
            table, held_out(table, np.log(table.measured["parameters"])[:, None], values, fit_linear)
        ),
        "by_source": {str(source): scores(table[chosen], predicted[chosen]) for source, chosen in _sources(table)},
        "source_left_out": {
            str(source): scores(table[chosen], fit(features[~chosen], values[~chosen])(features[chosen]))
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


def beats_linear(found: dict[str, Any]) -> bool:
    """Whether the surrogate is better than a linear model of the same features, by R² and τ of the reward."""
    ours, linear = found["held_out"]["reward"], found["linear"]["reward"]
    return ours["r2"] > linear["r2"] and ours["tau"] > linear["tau"]


def fit_linear(features: np.ndarray, values: np.ndarray) -> Model:
    """A ridge regression alone."""
    coefficients, intercepts = fitting.fit_linear(features, values)
    return lambda others: others @ coefficients.T + intercepts


def held_out(table: Table, features: np.ndarray, values: np.ndarray, fit: Fit, share: float = 1.0) -> np.ndarray:
    """Logits (N, 2) of every child, by models fitted on a share of the children of the other folds."""
    predicted = np.empty_like(values)
    for training, test in _folds(table):
        chosen = training[: round(share * len(training))]
        predicted[test] = fit(features[chosen], values[chosen])(features[test])
    return predicted


def scores(table: Table, predicted: np.ndarray, interval: bool = False) -> Scores:
    """R², τ and ρ of predicted logits (N, 2), for every quantity."""
    found = _quantities(predicted)
    return {name: _score(table, table.measured[name], found[name], interval) for name in QUANTITIES}


def ceiling(table: Table) -> dict[str, dict[str, float]]:
    """What a perfect model would reach: the share of variance between architectures (ICC), and τ between two seeds."""
    of = table.architecture_index
    repeated = np.flatnonzero(np.bincount(of) > 1)
    found = {}
    for name in QUANTITIES:
        groups = [table.measured[name][of == architecture] for architecture in repeated]
        within = np.mean([group.var(ddof=1) for group in groups])
        total = table.measured[name].var(ddof=1)  # of all children, not of the few repeated ones
        pairs = np.array([group[:2] for group in groups])
        found[name] = {
            "r2": float(1 - within / total),
            "tau_between_seeds": float(kendalltau(*pairs.T).statistic),
            "architectures": len(repeated),
        }
    return found


def best(table: Table, predicted: np.ndarray, share: float = 0.01) -> dict[str, float]:
    """Mean reward of the children predicted to be the best, of the truly best, and of all."""
    reward, count = table.measured["reward"], max(1, round(share * len(table)))
    chosen = np.argsort(-_quantities(predicted)["reward"], kind="stable")[:count]
    return {
        "children": count,
        "predicted_best": float(reward[chosen].mean()),
        "truly_best": float(np.sort(reward)[-count:].mean()),
        "all": float(reward.mean()),
    }


def ensemble(table: Table, features: np.ndarray, values: np.ndarray) -> dict[str, float]:
    """An ensemble fitted on resampled children: its mean's score, and what its spread tells of its errors."""
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
        "r2": _r2(measured, expit(mean)),
        "tau": float(kendalltau(measured, expit(mean)).statistic),
        "spread_error_rho": float(spearmanr(spread, error).statistic),
        "median_spread_logit": float(np.median(spread)),
        "noise_logit": float(np.sqrt(noise)),
        "within_two_deviations": float((error < 2 * np.sqrt(spread**2 + noise)).mean()),
    }


def _folds(table: Table) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Training and test children; an architecture's repeats are together. Training children in random order."""
    folds = GroupKFold(FOLDS, shuffle=True, random_state=0)
    rng = np.random.default_rng(0)
    for training, test in folds.split(table.rows, groups=table.architecture_index):
        yield rng.permutation(training), test


def _training_children(table: Table, share: float) -> int:
    return int(np.mean([round(share * len(training)) for training, _ in _folds(table)]))


def _sources(table: Table) -> Iterator[tuple[str, np.ndarray]]:
    for source in np.unique(table.sources):
        yield source, table.sources == source


def _choices(table: Table) -> np.ndarray:
    """What the space decides, as it is: operations and sizes one-hot, filters, links."""
    decided = MacroSpace(table.card["rules"]).decisions(table.rows)
    hot = [decided[name] == value for name in ("operation", "filter_size") for value in np.unique(decided[name])]
    return np.concatenate([*hot, decided["filters"], decided["links"]], axis=1).astype(float)


def _with_epochs(table: Table, features: np.ndarray, epochs: int) -> np.ndarray:
    """Features, and what the first epochs measured."""
    return np.concatenate([features, table.epochs[:, :epochs].reshape(len(table), -1)], axis=1)


def _quantities(logits: np.ndarray) -> dict[str, np.ndarray]:
    train, validation = expit(logits).T
    nothing = np.zeros(len(train), dtype=np.int64)
    reward = rewards.eq1(Evaluations(train, validation, nothing, nothing))
    return {"train_accuracy": train, "validation_accuracy": validation, "reward": reward}


def _score(table: Table, measured: np.ndarray, predicted: np.ndarray, interval: bool) -> dict[str, Any]:
    found: dict[str, Any] = {
        "r2": _r2(measured, predicted),
        "tau": float(kendalltau(measured, predicted).statistic),
        "rho": float(spearmanr(measured, predicted).statistic),
    }
    if interval:
        found |= _interval(table, measured, predicted)
    return found


def _interval(table: Table, measured: np.ndarray, predicted: np.ndarray) -> dict[str, list[float]]:
    rng = np.random.default_rng(0)
    _, first = np.unique(table.architecture_index, return_index=True)  # one child of each architecture
    draws = []
    for _ in range(RESAMPLES):
        chosen = rng.choice(first, len(first))
        pair = measured[chosen], predicted[chosen]
        draws.append((_r2(*pair), kendalltau(*pair).statistic))
    low, high = np.quantile(draws, (0.025, 0.975), axis=0)
    return {"r2_interval": [float(low[0]), float(high[0])], "tau_interval": [float(low[1]), float(high[1])]}


def _r2(measured: np.ndarray, predicted: np.ndarray) -> float:
    return float(1 - ((measured - predicted) ** 2).sum() / ((measured - measured.mean()) ** 2).sum())
