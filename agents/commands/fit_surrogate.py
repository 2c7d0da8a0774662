"""Fits a surrogate on a table of evaluations and tells how good it is.

    nases fit-surrogate --table docs/results/collected-digits.csv.gz --out runs/surrogate
    nases fit-surrogate --table runs/digits.csv.gz --out runs/surrogate --report runs/surrogate-report

Its folder is what `gym.make("NASES-Digits-Surrogate-v0", surrogate=PATH)` takes.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agents.commands import startup
from nases_env import files
from nases_env.surrogate_fitting import fitting, table
from nases_env.surrogate_fitting import report as reports
from nases_env.surrogate_fitting.presentation import describe, draw_learning_curve
from nases_env.surrogate_fitting.provenance import provenance
from nases_env.surrogates import model


@dataclass(frozen=True)
class Options:
    """Fits a surrogate; it is written only if it beats a linear model of the same features."""

    table: Path
    """Compressed table (.csv.gz) that `nases collect` wrote, with its card beside it."""
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
        told = provenance(evaluations, options.table.name, options.dataset)
        noise = fitting.fit_noise(evaluations)
        gain = write_report(options.report, evaluations) if options.report else reports.gain(evaluations)
        if gain["r2_interval"][0] <= 0:
            print(f"not better than a linear model of the same features ({gain}): nothing is written to --out")
            return 1
        regressor = fitting.fit_regressor(fitting.features(evaluations), fitting.logits(evaluations))
        model.save(options.out, regressor, noise, told)
    except (ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return startup.WRONG
    print(f"surrogate: {options.out}, of {len(evaluations)} evaluations")
    return 0


def write_report(path: Path, evaluations: table.Table) -> dict[str, Any]:
    """Print the report, and write it as JSON and as a picture; returns its gain over a linear model."""
    found = reports.report(evaluations)
    print(describe(found))
    path.parent.mkdir(parents=True, exist_ok=True)
    files.write_json(path.with_suffix(".json"), {"table": evaluations.card["command"], **found}, indent=1)
    draw_learning_curve(found).savefig(path.with_suffix(".png"), dpi=150)
    print(f"report: {path.with_suffix('.json')}; picture: {path.with_suffix('.png')}")
    return found["gain_over_linear"]
