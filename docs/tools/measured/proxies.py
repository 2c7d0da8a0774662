"""Tables of zero-cost proxies: how they go with accuracies, and what they add to a surrogate's features."""

from __future__ import annotations

from measured.formatting import RESULTS, Row, interval, markdown, read

PROTOCOLS = [name for name in ("digits", "digits-micro", "cifar10-mini") if (RESULTS / f"proxies-{name}.csv").is_file()]
"""Protocols whose tables of evaluations were measured."""


def correlations() -> str:
    """Kendall's τ of each proxy with the validation accuracy, on each table."""
    found = _by_proxy()
    rows = [
        [_label(name), *(_estimate(of, "validation_accuracy_tau") for of in by_protocol)]
        for name, by_protocol in found.items()
        if by_protocol[0]["validation_accuracy_tau"]
    ]
    return markdown(["Kendall's τ with the validation accuracy", *_headings()], rows)


def reward_correlations() -> str:
    """Kendall's τ of each proxy with Eq. 1, on the tables whose reward is that."""
    found = _by_proxy()
    chosen = [index for index, name in enumerate(PROTOCOLS) if "micro" not in name]
    rows = [
        [_label(name), *(_estimate(by_protocol[index], "reward_tau") for index in chosen)]
        for name, by_protocol in found.items()
        if by_protocol[0]["reward_tau"]
    ]
    return markdown(["Kendall's τ with the reward (Eq. 1)", *(_headings()[index] for index in chosen)], rows)


def gains(measure: str) -> str:
    """How much R² or τ of held-out validation accuracies rises where proxies stand beside the features.

    Args:
        measure: `r2` or `tau`.
    """
    rows = [
        [_label(name), *(_estimate(of, f"validation_accuracy_{measure}_gain") for of in by_protocol)]
        for name, by_protocol in _by_proxy().items()
    ]
    label = {"r2": "R²", "tau": "τ"}[measure]
    return markdown([f"held-out {label} of the validation accuracy rises by", *_headings()], rows)


def _by_proxy() -> dict[str, list[Row]]:
    """The rows of each proxy, in the order of PROTOCOLS."""
    tables = [read(f"proxies-{protocol}.csv") for protocol in PROTOCOLS]
    return {rows[0]["proxy"]: list(rows) for rows in zip(*tables, strict=True)}


def _headings() -> list[str]:
    """Each protocol, with how many evaluations were measured."""
    return [f"`{name}`, {max(int(row['evaluations']) for row in read(f'proxies-{name}.csv')):,}" for name in PROTOCOLS]


def _label(name: str) -> str:
    return name if " " in name or name == "all" else f"`{name}`"


def _estimate(row: Row, name: str) -> str:
    """A number with its interval; bold where the interval is above 0."""
    told = interval(row[name], row[f"{name}_low"], row[f"{name}_high"], 3 if name.endswith("gain") else 2)
    return f"**{told}**" if name.endswith("gain") and float(row[f"{name}_low"]) > 0 else told
