"""Fits the models of a surrogate to a table of evaluations."""

from __future__ import annotations

from typing import Any

import lightgbm
import numpy as np
from scipy.special import logit
from sklearn.linear_model import Ridge
from sklearn.preprocessing import StandardScaler

from nases_env.surrogate_fitting.table import Table
from nases_env.surrogates.features import make as make_features
from nases_env.surrogates.model import TARGETS, Noise, Regressor

PENALTY = 100.0
"""Weight of the linear model's squared coefficients in its loss; features have deviation 1 there."""
TREES = 100
FEWEST = 120
"""A surrogate is not fitted to fewer children than this."""
TREE_SETTINGS: dict[str, Any] = {
    "learning_rate": 0.07,
    "num_leaves": 8,
    "min_data_in_leaf": 60,
    "feature_fraction": 0.4,
    "bagging_fraction": 0.8,
    "bagging_freq": 1,
    "num_threads": 1,
    "deterministic": True,
    "force_row_wise": True,
    "verbosity": -1,
}


def features(table: Table) -> np.ndarray:
    """The features of every evaluation, (N, F).

    Raises:
        ValueError: If there are none for the table's space and rules.
    """
    return make_features(table.space, table.protocol, table.images)(table.rows)[0]


def logits(table: Table) -> np.ndarray:
    """The logits of both accuracies, (N, 2) in the order of TARGETS; also finite where all images were right."""
    images = table.protocol.validation_images
    accuracies = np.stack([table.measured[target] for target in TARGETS], axis=1)
    return logit((images * accuracies + 0.5) / (images + 1))


def fit_linear(features: np.ndarray, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Coefficients (c, F) and intercepts (c,) of a ridge regression of values (N, c) on features (N, F)."""
    scaler = StandardScaler().fit(features)
    ridge = Ridge(PENALTY).fit(scaler.transform(features), values)
    coefficients = ridge.coef_ / scaler.scale_
    return coefficients, ridge.intercept_ - coefficients @ scaler.mean_


def fit_regressor(features: np.ndarray, values: np.ndarray, seed: int = 0) -> Regressor:
    """The regressor of logits (N, 2) on features (N, F).

    Raises:
        ValueError: If there are too few children.
    """
    if len(features) < FEWEST:
        raise ValueError(f"{len(features)} children are too few to fit trees on; it takes at least {FEWEST}")
    coefficients, intercepts = fit_linear(features, values)
    rest = values - features @ coefficients.T - intercepts

    def squared_error(predicted: np.ndarray, _: lightgbm.Dataset) -> tuple[np.ndarray, np.ndarray]:
        return predicted - rest, np.ones_like(rest)

    settings = TREE_SETTINGS | {"objective": squared_error, "num_class": rest.shape[1], "seed": seed}
    trees = lightgbm.train(settings, lightgbm.Dataset(features, rest[:, 0]), TREES)
    return Regressor(coefficients, intercepts, trees)


def check(table: Table) -> None:
    """Refuse a table with failures: a surrogate predicts accuracies alone.

    Raises:
        ValueError: If children of the table's protocol can fail where a surrogate's do not.
    """
    limits = {name: getattr(table.protocol, name) for name in ("max_parameters", "max_flops")}
    if table.failed or any(limits.values()):
        raise ValueError(
            f"{table.failed} children of the table failed, and its protocol's limits are {limits}; a surrogate knows "
            "no failures: collect without limits"
        )


def fit_noise(table: Table) -> Noise:
    """Estimate how logits vary between child seeds, from the architectures that were evaluated with several.

    Raises:
        ValueError: If no architecture was evaluated with several child seeds.
    """
    of, values = table.architecture_index, logits(table)
    count = np.bincount(of)
    means = np.stack([np.bincount(of, column) / count for column in values.T], axis=1)
    residuals = (values - means[of])[count[of] > 1]
    freedom = (count - 1).sum()
    if not freedom:
        raise ValueError("the table repeats no architecture, so it tells nothing of the noise: see --repeated")
    return Noise(residuals.T @ residuals / freedom)
