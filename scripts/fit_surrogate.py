"""Fits a surrogate on a table of evaluations and tells how good it is.

    python scripts/fit_surrogate.py --table docs/results/collected-digits.csv.gz --out runs/surrogate
    python scripts/fit_surrogate.py --table runs/digits.csv.gz --out runs/surrogate --report runs/surrogate-report

Its folder is what `gym.make("NASES-Digits-Surrogate-v0", surrogate=PATH)` takes.
"""

from __future__ import annotations

import startup

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lightgbm
import matplotlib
import numpy as np
import tyro

from nases_env import files
from nases_env.children.dataset_names import absolute, check_dataset
from nases_env.surrogates import fitting, model, table
from nases_env.surrogates import report as reports


@dataclass(frozen=True)
class Options:
    """Fits a surrogate; it is written only if it beats a linear model of the same features."""

    table: Path
    """Compressed table (.csv.gz) that scripts/collect.py wrote, with its card beside it."""
    out: Path
    """Folder of the surrogate."""
    report: Path | None = None
    """Path without suffix for a report on how good it is, a .json and a .png; it takes a minute."""
    dataset: str | None = None
    """Data set for the final training of a network that was found with it; None: the one of the table's card."""


def main(options: Options) -> int:
    """Fit; returns the exit status: 1 if it is not better than a linear model."""
    try:
        evaluations = table.read(options.table)
        fitting.check(evaluations)
        told = card(options, evaluations)
        features, values, noise = (
            fitting.features(evaluations),
            fitting.logits(evaluations),
            fitting.fit_noise(evaluations),
        )
        if options.report:
            found = reports.report(evaluations)
            write_report(options.report, found, evaluations.card)
            gain = found["gain_over_linear"]
        else:
            by = (reports.fit, reports.fit_linear)
            gain = reports.gain_over_linear(
                evaluations, *(reports.held_out(evaluations, features, values, each) for each in by)
            )
        if gain["r2_interval"][0] <= 0:
            print(f"not better than a linear model of the same features ({gain}): nothing is written to --out")
            return 1
        model.save(options.out, fitting.fit_regressor(features, values), noise, told)
    except (ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(f"surrogate: {options.out}, of {len(evaluations)} evaluations")
    return 0


def card(options: Options, evaluations: table.Table) -> dict[str, Any]:
    """The card of the surrogate."""
    dataset = options.dataset or evaluations.card["dataset"]
    try:
        check_dataset(absolute(dataset))
    except ValueError as error:
        raise ValueError(f"{error}; name what a final training reads with --dataset") from error
    kept = ("space", "rules", "protocol", "images", *table.CARD_FIELDS[2:])
    return {
        "dataset": absolute(dataset),
        "table": {"name": options.table.name, "sha256": evaluations.sha256, "rows": len(evaluations)},
        **{name: evaluations.card[name] for name in (*kept, "class_names") if name in evaluations.card},
        "lightgbm": lightgbm.__version__,
    }


def describe(found: dict[str, Any]) -> str:
    """The report as text."""
    lines = [f"{'held out':>34}{'R²':>8}{'τ':>8}{'ρ':>8}"]

    def add(name: str, scores: dict[str, Any]) -> None:
        lines.append(f"{name:>34}{scores['r2']:8.3f}{scores['tau']:8.3f}{scores.get('rho', np.nan):8.3f}")

    for quantity, scores in found["held_out"].items():
        add(quantity, scores)
        lines.append(f"{'the noise allows an R² of':>34}{found['ceiling'][quantity]:8.3f}")
    for name in ("linear", "linear_of_choices", "linear_of_parameters"):
        add(f"reward, {name.replace('_', ' ')}", found[name]["reward"])
    for kind in ("by_source", "source_left_out", "with_first_epochs"):
        for name, scores in found[kind].items():
            add(f"reward, {kind.replace('_', ' ')}: {name}", scores["reward"])
    for point in found["learning_curve"]:
        add(f"reward, {point['children']} children", point["reward"])
    lines += [f"{name}: {found[name]}" for name in ("gain_over_linear", "best", "ensemble")]
    return "\n".join(lines)


def write_report(path: Path, found: dict[str, Any], table_card: dict[str, Any]) -> None:
    """Print the report, and write it as JSON and as a picture."""
    print(describe(found))
    path.parent.mkdir(parents=True, exist_ok=True)
    told = {"table": table_card["command"], **found}
    files.write_json(path.with_suffix(".json"), told, indent=1)
    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(6, 4), layout="constrained")
    children = [point["children"] for point in found["learning_curve"]]
    for quantity, colour in (("validation_accuracy", "C0"), ("reward", "C1")):
        for score, style in (("r2", "o-"), ("tau", "s--")):
            values = [point[quantity][score] for point in found["learning_curve"]]
            label = f"{quantity.replace('_', ' ')}, {'R²' if score == 'r2' else 'τ'}"
            axes.plot(children, values, style, color=colour, label=label)
        axes.axhline(found["ceiling"][quantity], color=colour, linestyle=":", linewidth=1)
    axes.set(xscale="log", xlabel="children fitted on", title="held-out architectures (dotted: R² that noise allows)")
    axes.set_xticks(children, [str(count) for count in children])
    axes.minorticks_off()
    axes.grid(alpha=0.3)
    axes.legend()
    figure.savefig(path.with_suffix(".png"), dpi=150)
    pyplot.close(figure)
    print(f"report: {path.with_suffix('.json')}; picture: {path.with_suffix('.png')}")


if __name__ == "__main__":
    sys.exit(startup.run(lambda: main(tyro.cli(Options))))
