"""Draws Figure 3 of v1 from Table 1: what an embedding loses against its size, and where the two cross.

python scripts/plot_table1.py --table docs/results/table1.csv --out docs/table1.png
"""

from __future__ import annotations

import startup

import csv
import sys
from dataclasses import dataclass
from pathlib import Path
from statistics import mean

import tyro
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from nases_env.embeddings.table1 import ORIGIN_SIZE, PAPER, VARIANCE, crossing, pca_loss


@dataclass(frozen=True)
class Options:
    """Draws the figure and prints the table for README."""

    table: Path
    """The CSV that `scripts/pretrain.py --table1` wrote."""
    out: Path = Path("table1.png")
    """The picture."""


def read_losses(table: Path) -> dict[int, list[dict[str, float]]]:
    """Rows by embedding size, ascending."""
    with table.open(encoding="utf-8") as file:
        rows = [{name: float(value) for name, value in row.items()} for row in csv.DictReader(file)]
    sizes = sorted({int(row["embedding_size"]) for row in rows})
    return {size: [row for row in rows if row["embedding_size"] == size] for size in sizes}


def print_table(rows: dict[int, list[dict[str, float]]]) -> None:
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


def test_losses(rows: dict[int, list[dict[str, float]]]) -> dict[int, float]:
    """The mean test loss of the seeds, by embedding size."""
    return {size: mean(run["test_loss"] for run in runs) for size, runs in rows.items()}


def draw(axes: Axes, rows: dict[int, list[dict[str, float]]]) -> None:
    """Draw embedding size (left axis) and test loss (right axis) over the compression ratio, with their crossings."""
    curves = {
        "test loss, ours": (test_losses(rows), "C0", "o-"),
        "test loss, the paper's": ({size: losses.test for size, losses in PAPER.items()}, "C1", "s--"),
        "PCA": ({size: pca_loss(size) for size in (0, ORIGIN_SIZE)}, "C7", ":"),
    }
    axes.plot([0, 1], [0, ORIGIN_SIZE], "k-", linewidth=1, label="embedding size")
    axes.set(xlabel="compression ratio (embedding size / 60)", ylabel="embedding size")
    axes.set(xlim=(0, 1), ylim=(0, ORIGIN_SIZE))
    right = axes.twinx()
    right.set(ylabel="test loss (mean squared error; predicting the mean: 75)", ylim=(0, VARIANCE))
    for name, (losses, colour, style) in curves.items():
        at = crossing(losses)
        ratios = [size / ORIGIN_SIZE for size in losses]
        right.plot(ratios, list(losses.values()), style, color=colour, label=f"{name}; crosses at k = {at:.0f}")
        right.plot(at / ORIGIN_SIZE, VARIANCE * at / ORIGIN_SIZE, "o", color=colour, markersize=14, fillstyle="none")
    handles = [*axes.get_legend_handles_labels()[0], *right.get_legend_handles_labels()[0]]
    right.legend(handles=handles, loc="upper center")
    axes.set_title("What an embedding of k numbers loses (v1, Table 1 and Figure 3)")


def main(options: Options) -> int:
    """Read, draw, print; returns the exit status."""
    try:
        rows = read_losses(options.table)
        figure = Figure(figsize=(9, 6), dpi=120, layout="constrained")
        FigureCanvasAgg(figure)
        draw(figure.add_subplot(), rows)
        print_table(rows)
        options.out.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(options.out)
    except (OSError, ValueError, KeyError) as error:
        print(f"error: {options.table}: {error}", file=sys.stderr)
        return 2
    print(f"the curves cross at k = {crossing(test_losses(rows)):.1f}, the size that Figure 3 suggests")
    print(f"picture: {options.out}")
    return 0


if __name__ == "__main__":
    sys.exit(startup.run(lambda: main(tyro.cli(Options))))
