"""Tables of protocols, of what their noise hides, and of the surrogate."""

from __future__ import annotations

import csv
import gzip
import json
from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy.stats import kendalltau, spearmanr

from agents.arena.fidelity import interval as over_children
from agents.arena.noise_floor import RandomChildren, intraclass_correlation
from measured.formatting import RESULTS, Row, interval, markdown, read
from nases_env.children.presets import PRESETS


def presets() -> str:
    """What each preset trains on, how large and how long."""
    header = ["preset", "its final protocol", "images (training / validation)", "size", "width", "cells", "epochs"]
    return markdown(
        header,
        [
            [
                f"`{name}`",
                f"`{preset.final}`" if preset.final else "",
                f"{preset.train_images:,} / {preset.validation_images:,}" if preset.train_images else "all",
                "as they are" if preset.image_size is None else f"{preset.image_size}×{preset.image_size}",
                "" if "micro" in name or "v3" in name else f"{preset.width:g}",
                f"3 × {preset.stage_cells}, {preset.cell_filters} filters" if "micro" in name or "v3" in name else "",
                str(preset.epochs),
            ]
            for name, preset in PRESETS.items()
        ],
    )


def by_child(rows: list[Row], name: str) -> np.ndarray:
    """One number of every row of a table of random children, (children, seeds)."""
    seeds = len({row["seed"] for row in rows})
    return RandomChildren(children=len(rows) // seeds, seeds=seeds).column(rows, name)


def noise_floor() -> str:
    """How much of the reward's variance lies between architectures."""
    header = ["protocol", "children × seeds", "ICC of the reward", "ICC of validation accuracy", "median reward"]
    rows = []
    for protocol in ("digits", "cifar10-mini"):
        found = read(f"noise-floor-{protocol}.csv")
        reward, accuracy = by_child(found, "reward"), by_child(found, "validation_accuracy")
        children, seeds = reward.shape
        floors = [f"{intraclass_correlation(values):.2f}" for values in (reward, accuracy)]
        rows.append([f"`{protocol}`", f"{children} × {seeds}", *floors, f"{np.median(reward):.2f}"])
    return markdown(header, rows)


def collected() -> str:
    """The tables of evaluations that there are."""
    header = ["table", "space", "protocol", "architectures", "evaluations", "uniform vectors, actions, mutations"]
    rows = []
    for name in ("digits", "digits-micro", "cifar10-mini"):
        card = json.loads((RESULTS / f"collected-{name}.json").read_text(encoding="utf-8"))
        with gzip.open(RESULTS / f"collected-{name}.csv.gz", "rt", encoding="utf-8", newline="") as file:
            architectures = {row["architecture"] for row in csv.DictReader(file)}
        sources = ", ".join(f"{card['sources'][source]:,}" for source in ("uniform", "decoder", "mutation"))
        links = f"[table](results/collected-{name}.csv.gz), [card](results/collected-{name}.json)"
        sizes = [f"{len(architectures):,}", f"{card['rows']:,}"]
        rows.append([links, card["space"], f"`{card['protocol']['name']}`", *sizes, sources])
    return markdown(header, rows)


def fidelity() -> str:
    """How a short training's ranking of digits children goes with a long one's."""
    found = read("fidelity-digits.csv")
    short, long = ([row for row in found if (row["factor"] == "1") is is_short] for is_short in (True, False))
    measures = {"validation_accuracy": "accuracy", "reward": "reward"}
    rows = []
    for name in ("reward", "validation_accuracy"):
        cells = []
        for long_name in measures:
            pair = by_child(short, name).mean(axis=1), by_child(long, long_name).mean(axis=1)
            rho, tau = spearmanr(*pair).statistic, kendalltau(*pair).statistic
            cells.append(f"{interval(rho, *over_children(*pair), 2)}, τ {tau:.2f}")
        rows.append([f"{name.replace('_', ' ')} of the search", *cells])
    return markdown(["", *(f"{measure} after 30 epochs" for measure in measures.values())], rows)


def _report(surrogate: str) -> dict[str, Any]:
    return json.loads((RESULTS / f"surrogate-{surrogate}.json").read_text(encoding="utf-8"))


def surrogate_scores(surrogate: str, quantities: Sequence[str]) -> str:
    """How well a surrogate predicts what it was not fitted on."""
    report = _report(surrogate)
    header = ["", "R² (95 % interval)", "Kendall's τ", "Spearman's ρ", "R² that noise allows"]
    rows = []
    for name in quantities:
        scores = report["held_out"][name]
        label = {"train_accuracy": "training accuracy"}.get(name, name.replace("_", " "))
        rows.append(
            [
                label,
                interval(scores["r2"], *scores["r2_interval"], 2),
                interval(scores["tau"], *scores["tau_interval"], 2),
                f"{scores['rho']:.2f}",
                f"{report['ceiling'][name]:.2f}",
            ]
        )
    return markdown(header, rows)


def surrogate_baselines(surrogate: str, choices: str) -> str:
    """The reward's scores of a surrogate beside simpler models and parts of the table.

    Args:
        surrogate: Its name.
        choices: What the numbers are that a linear model of the choices reads.
    """
    report = _report(surrogate)
    by_source, left_out = report["by_source"], report["source_left_out"]
    first = report["with_first_epochs"]
    told_apart = {
        "the surrogate": report["held_out"] | {"ceiling": report["ceiling"]},
        "a linear model of the same features": report["linear"],
        f"a linear model of the choices ({choices})": report["linear_of_choices"],
        "a linear model of the logarithm of the parameters": report["linear_of_parameters"],
        "uniform actions of the decoder only": by_source["decoder"],
        "uniform origin vectors only": by_source["uniform"],
        "mutations of good ones only": by_source["mutation"],
        "actions of the decoder, fitted on the other sources": left_out["decoder"],
        "uniform vectors, fitted on the other sources": left_out["uniform"],
        "mutations, fitted on the other sources": left_out["mutation"],
        "also knowing the first epoch": first["1"],
        "also knowing the first 2 epochs": first["2"],
    }
    return markdown(
        ["reward", "R²", "τ", "ρ", "R² that noise allows"],
        [
            [
                name,
                *(f"{scores['reward'][measure]:.2f}" for measure in ("r2", "tau", "rho")),
                f"{scores['ceiling']['reward']:.2f}" if "ceiling" in scores else "",
            ]
            for name, scores in told_apart.items()
        ],
    )
