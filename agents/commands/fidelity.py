"""Measures whether children that are good after a search's short training are good after a long one.

nases fidelity --protocol digits --children 30 --factor 10
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

from scipy.stats import kendalltau, spearmanr

from agents.arena.fidelity import interval, longer
from agents.arena.noise_floor import RandomChildren, evaluate_all
from agents.commands import startup
from nases_env import files
from nases_env.evaluators import WorkerStartError


@dataclass(frozen=True)
class Options(RandomChildren):
    """Trains random children twice, with the protocol's epochs and with more; writes a table of both."""

    factor: int = 10
    """The long training has so many times the epochs."""
    seeds: int = 2
    """Child seeds for each; correlations are of their means."""
    out: Path = Path("runs/fidelity.csv")
    """Table of every child."""


def main(options: Options) -> int:
    """Run the experiment; returns the exit status."""
    try:
        if min(options.children, options.seeds, options.factor, options.workers) < 1:
            raise ValueError("--children, --seeds, --factor and --workers have to be at least 1")
        both = [options, longer(options, options.factor)]
        options.out.parent.mkdir(parents=True, exist_ok=True)
        found = evaluate_all(both)
        factors = (1, options.factor)
        table = [{"factor": factor} | row for factor, rows in zip(factors, found, strict=True) for row in rows]
        files.write_csv(options.out, table)
    except (ValueError, OSError, WorkerStartError) as error:
        print(f"error: {error}", file=sys.stderr)
        return startup.WRONG
    for name in ("reward", "validation_accuracy"):
        for long_name in ("validation_accuracy", "reward"):
            short, long = (
                one.column(rows, column).mean(axis=1)
                for rows, column, one in zip(found, (name, long_name), both, strict=True)
            )
            low, high = interval(short, long)
            print(
                f"{name} of the search, {long_name} of {options.factor} x the epochs: Spearman "
                f"{spearmanr(short, long).statistic:.2f} ({low:.2f} to {high:.2f}), "
                f"Kendall {kendalltau(short, long).statistic:.2f}"
            )
    print(f"table: {options.out}")
    return 0
