"""Draws Figure 3 of v1 from Table 1: what an embedding loses against its size, and where the two cross.

nases plot-table1 --table docs/results/table1.csv --out docs/table1.png
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from statistics import mean

from agents.commands import startup
from nases_env.stage_one import figure3
from nases_env.stage_one.table1 import ORIGIN_SIZE, PAPER, crossing, pca_loss


@dataclass(frozen=True)
class Options:
    """Draws the figure and prints the table for README."""

    table: Path
    """The CSV that `nases pretrain --table1` wrote."""
    out: Path = Path("table1.png")
    """The picture."""


def print_table(rows: figure3.Rows) -> None:
    """Print the table in Markdown; several seeds are shown as mean and range."""
    print("| k | compression ratio | training loss | test loss | paper: training | paper: test | PCA | minutes |")
    print("|---|---|---|---|---|---|---|---|")
    for size, runs in rows.items():
        train, test = (_spread([run[name] for run in runs]) for name in ("train_loss", "test_loss"))
        paper = [f"{loss:.2f}" for loss in PAPER[size]] if size in PAPER else ["", ""]
        minutes = f"{mean(run['minutes'] for run in runs):.0f}"
        cells = [str(size), f"{size / ORIGIN_SIZE:.2f}", train, test, *paper, f"{pca_loss(size):.2f}", minutes]
        print("|", " | ".join(cells), "|")


def _spread(values: list[float]) -> str:
    text = f"{mean(values):.2f}" if mean(values) > 0.01 else f"{mean(values):.3f}"
    return text if len(values) == 1 else f"{text} ({min(values):.2f} to {max(values):.2f}, {len(values)} seeds)"


def main(options: Options) -> int:
    """Read, draw, print; returns the exit status."""
    try:
        rows = figure3.read(options.table)
        figure = figure3.draw(rows)
        print_table(rows)
        options.out.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(options.out)
    except (OSError, ValueError, KeyError) as error:
        print(f"error: {options.table}: {error}", file=sys.stderr)
        return startup.WRONG
    print(f"the curves cross at k = {crossing(figure3.test_losses(rows)):.1f}, the size that Figure 3 suggests")
    print(f"picture: {options.out}")
    return 0
