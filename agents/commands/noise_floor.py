"""Measures how much of the reward's variance lies between architectures, under one protocol.

nases noise-floor --protocol digits
nases noise-floor --dataset imagefolder:PATH --protocol cifar10-mini --children 12 --seeds 2
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from agents.arena.noise_floor import RandomChildren, evaluate_all, intraclass_correlation
from agents.commands import startup
from nases_env import files
from nases_env.evaluators import WorkerStartError


@dataclass(frozen=True)
class Options(RandomChildren):
    """Trains random children with several child seeds each; writes a table, prints the variance's shares."""

    out: Path = Path("runs/noise_floor.csv")
    """Table of every child."""


def main(options: Options) -> int:
    """Run the experiment; returns the exit status."""
    try:
        if min(options.children, options.seeds, options.workers) < 1:
            raise ValueError("--children, --seeds and --workers have to be at least 1")
        options.out.parent.mkdir(parents=True, exist_ok=True)
        (rows,) = evaluate_all([options])
        files.write_csv(options.out, rows)
    except (ValueError, OSError, WorkerStartError) as error:
        print(f"error: {error}", file=sys.stderr)
        return startup.WRONG
    for name in ("reward", "validation_accuracy"):
        values = options.column(rows, name)
        low, median, high = np.quantile(values, (0.1, 0.5, 0.9))
        print(f"{name}: ICC {intraclass_correlation(values):.2f}, 10 % {low:.3f}, median {median:.3f}, 90 % {high:.3f}")
    seconds = np.array([row["seconds"] for row in rows], dtype=float)
    print(f"seconds per child: median {np.median(seconds):.2f}, 90 % {np.quantile(seconds, 0.9):.2f}")
    print(f"failures: {sum(bool(row['failure']) for row in rows)} of {len(rows)}; table: {options.out}")
    return 0
