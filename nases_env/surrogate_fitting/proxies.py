"""How zero-cost proxies go with what training measured, and what they add to a surrogate's features."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from scipy.stats import kendalltau, spearmanr

from nases_env.rewards import signed_log
from nases_env.surrogate_fitting import fitting, report
from nases_env.surrogate_fitting.report import Fit, quantities, r2
from nases_env.surrogate_fitting.table import Table

QUANTITIES = ("validation_accuracy", "reward")
ALL, WITH_TREES = "all", "all, with trees"
"""Rows of all proxies together: in a linear model, and in one with the surrogate's trees."""

Row = dict[str, Any]
Measures = Callable[[np.ndarray], list[float]]
"""Several numbers of some children, which are given by their indices."""


def compare(table: Table, values: dict[str, np.ndarray]) -> list[Row]:
    """What proxies tell of the children of a table: a row for each, and two for all of them together.

    Both models of a gain are fitted and measured on the same children, in the folds of `report`: families are held out
    whole, and 95 % intervals are over resampled families. Children of which a proxy has no value are left out of its
    row.

    Args:
        table: The N evaluations.
        values: Each proxy's numbers of them, (N,); NaN where a proxy has none.
    """
    together = np.stack(list(values.values()), axis=1)
    rows = []
    for name, column in values.items():
        chosen, numbers = _known(table, column[:, None])
        rows.append(_row(name, chosen, correlations(chosen, {each: numbers[:, 0] for each in QUANTITIES}), numbers))
    chosen, numbers = _known(table, together)
    alone = quantities(chosen, report.held_out(chosen, numbers, fitting.logits(chosen), report.fit_linear))
    rows.append(_row(ALL, chosen, correlations(chosen, alone), numbers))
    return [*rows, _row(WITH_TREES, chosen, {}, numbers, report.fit)]


def correlations(table: Table, numbers: dict[str, np.ndarray]) -> Row:
    """Kendall's τ and Spearman's ρ of each of QUANTITIES with the numbers (N,) that are to tell it."""
    found: Row = {}
    for name in QUANTITIES:
        measured, told = table.measured[name], numbers[name]

        def measures(chosen: np.ndarray, measured: np.ndarray = measured, told: np.ndarray = told) -> list[float]:
            pair = measured[chosen], told[chosen]
            return [kendalltau(*pair).statistic, spearmanr(*pair).statistic]

        found |= _with_intervals(table, measures, (f"{name}_tau", f"{name}_rho"))
    return found


def gains(table: Table, numbers: np.ndarray, by: Fit = report.fit_linear) -> Row:
    """How much R² and τ of held-out children rise where numbers (N, k) stand beside the table's features."""
    features, values = fitting.features(table), fitting.logits(table)
    both = np.concatenate([features, numbers], axis=1)
    ours, theirs = (quantities(table, report.held_out(table, each, values, by)) for each in (both, features))
    found: Row = {}
    for name in QUANTITIES:
        triple = table.measured[name], ours[name], theirs[name]

        def measures(chosen: np.ndarray, triple: tuple[np.ndarray, ...] = triple) -> list[float]:
            measured, with_them, without = (each[chosen] for each in triple)
            tau = kendalltau(measured, with_them).statistic - kendalltau(measured, without).statistic
            return [r2(measured, with_them) - r2(measured, without), tau]

        found |= _with_intervals(table, measures, (f"{name}_r2_gain", f"{name}_tau_gain"))
    return found


def _known(table: Table, columns: np.ndarray) -> tuple[Table, np.ndarray]:
    """The children of which all columns (N, k) are known, and the columns as a model reads them."""
    known = np.isfinite(columns).all(axis=1)
    return table[known], signed_log(columns[known])


def _row(name: str, table: Table, correlated: Row, numbers: np.ndarray, by: Fit = report.fit_linear) -> Row:
    return {"proxy": name, "evaluations": len(table), **correlated, **gains(table, numbers, by)}


def _with_intervals(table: Table, measures: Measures, names: tuple[str, ...]) -> Row:
    """Measures of all children of a table, and their 95 % intervals."""
    draws = [measures(chosen) for chosen in report.resampled_families(table)]
    low, high = np.quantile(draws, (0.025, 0.975), axis=0)
    found: Row = {}
    for name, *estimate in zip(names, measures(np.arange(len(table))), low, high, strict=True):
        found |= {
            f"{name}{suffix}": float(value) for suffix, value in zip(("", "_low", "_high"), estimate, strict=True)
        }
    return found
