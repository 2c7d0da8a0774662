"""Figure 3 of v1, drawn from Table 1: what an embedding loses against its size, and where the two cross."""

from __future__ import annotations

import csv
from pathlib import Path
from statistics import mean

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from nases_env.stage_one.table1 import ORIGIN_SIZE, PAPER, VARIANCE, crossing, pca_loss

Rows = dict[int, list[dict[str, float]]]
"""The table's rows, see `table1.COLUMNS`, by embedding size in ascending order; a size has a row for each seed."""


def read(table: Path) -> Rows:
    """The rows of a CSV file that has the columns of `table1.COLUMNS`.

    Raises:
        ValueError, KeyError: If it is no such file.
    """
    with table.open(encoding="utf-8") as file:
        rows = [{name: float(value) for name, value in row.items()} for row in csv.DictReader(file)]
    sizes = sorted({int(row["embedding_size"]) for row in rows})
    return {size: [row for row in rows if row["embedding_size"] == size] for size in sizes}


def test_losses(rows: Rows) -> dict[int, float]:
    """The mean test loss of the seeds, by embedding size."""
    return {size: mean(run["test_loss"] for run in runs) for size, runs in rows.items()}


def draw(rows: Rows) -> Figure:
    """Draw embedding size (left axis) and test loss (right axis) over the compression ratio, with their crossings.

    Raises:
        ValueError: If the curves do not cross.
    """
    figure = Figure(figsize=(9, 6), dpi=120, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
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
    return figure
