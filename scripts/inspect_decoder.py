"""What a decoder reaches: a table, a CSV and a picture.

python scripts/inspect_decoder.py
python scripts/inspect_decoder.py --decoder pca --calibration none --out runs/pca
"""

from __future__ import annotations

import csv
import sys
from dataclasses import dataclass
from pathlib import Path

import tyro
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from nases_env import embeddings, search_spaces
from nases_env.embeddings.coverage import DRAWS, coverage, round_trip
from nases_env.search_spaces.base import HIGH


@dataclass(frozen=True)
class Options:
    """Draws actions in four ways, decodes them and counts what comes out."""

    decoder: str = "autoencoder"
    """autoencoder, pca, random, identity or a weights file."""
    calibration: str = "output"
    """output, none or both."""
    rules: str = "paper"
    """Rules of the macro space."""
    samples: int = 10_000
    """Actions a draw."""
    seed: int = 0
    """Seed of the actions."""
    out: Path = Path("runs/decoder")
    """Folder for coverage.csv and coverage.png."""


def draw_shares(axes: Axes, name: str, table: dict[str, dict[str, float]]) -> None:
    """Stacked bars: the shares of one dimension's bins, a bar a draw; dotted: where they end for uniform vectors."""
    bins = [column for column in table["uniform"] if column.startswith(f"{name} ") and "flips" not in column]
    bottom = [0.0] * len(table)
    for column in bins:
        shares = [row[column] for row in table.values()]
        axes.bar(list(table), shares, bottom=bottom, label=f"≤ {column.split()[-1]}")
        bottom = [low + share for low, share in zip(bottom, shares, strict=True)]
        axes.axhline(float(column.split()[-1]) / HIGH, color="black", linestyle=":")
    axes.set(title=f"share of values: {name.replace('_', ' ')} (dotted: uniform)", ylim=(0, 1))
    _legend(axes)


def draw_bars(axes: Axes, title: str, columns: list[str], table: dict[str, dict[str, float]]) -> None:
    """Bars of a few columns side by side, a group a draw."""
    width = 0.8 / len(columns)
    for i, column in enumerate(columns):
        positions = [group + (i - (len(columns) - 1) / 2) * width for group in range(len(table))]
        axes.bar(positions, [row[column] for row in table.values()], width, label=column)
    axes.set_xticks(range(len(table)), list(table))
    axes.set(title=title)
    _legend(axes)


def _legend(axes: Axes) -> None:
    axes.legend(fontsize="small", loc="upper left", bbox_to_anchor=(1.0, 1.0))


def draw_picture(table: dict[str, dict[str, float]], title: str, path: Path) -> None:
    """Four panels: operations, sizes, links and smoothness."""
    figure = Figure(figsize=(14, 8), dpi=110, layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(2, 2)
    figure.suptitle(title)
    draw_shares(panels[0, 0], "kernel_type", table)
    draw_shares(panels[0, 1], "filter_size", table)
    draw_bars(panels[1, 0], "links of a network (uniform origin vectors: 20)", ["links on"], table)
    flips = [column for column in table["uniform"] if "flips" in column]
    draw_bars(panels[1, 1], "decisions changed by a step in one number of the action", flips, table)
    figure.savefig(path)


def main(options: Options) -> int:
    """Measure, print, write; returns the exit status."""
    try:
        space = search_spaces.make(rules=options.rules)
        decoder = embeddings.make(options.decoder, space, options.calibration)
        table = {draw: coverage(decoder, space, draw, options.samples, options.seed) for draw in DRAWS}
        trip = round_trip(decoder, space, options.samples, options.seed)
    except (ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(f"{'':24}" + "".join(f"{draw:>10}" for draw in table))
    for name in table["uniform"]:
        print(f"{name:24}" + "".join(f"{row[name]:10.3f}" for row in table.values()))
    for name, value in trip.items():
        print(f"round trip, {name:30} {value:8.3f}")
    options.out.mkdir(parents=True, exist_ok=True)
    with (options.out / "coverage.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["draw", "measure", "value"])
        for draw, row in [*table.items(), ("round trip", trip)]:
            writer.writerows([draw, name, value] for name, value in row.items())
    title = f"decoder {options.decoder}, calibration {options.calibration}, {options.samples} actions a draw"
    draw_picture(table, title, options.out / "coverage.png")
    print(f"table: {options.out / 'coverage.csv'}, picture: {options.out / 'coverage.png'}")
    return 0


if __name__ == "__main__":
    sys.exit(main(tyro.cli(Options)))
