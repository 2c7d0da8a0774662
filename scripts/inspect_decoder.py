"""Measures what decoders reach: a table and a picture of each, and one CSV.

python scripts/inspect_decoder.py
python scripts/inspect_decoder.py --decoders autoencoder pca random identity --calibration none --out runs/controls
"""

from __future__ import annotations

import startup

import csv
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tyro
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from nases_env import embeddings, search_spaces
from nases_env.embeddings import Decoder
from nases_env.embeddings.coverage import DRAWS, NOISES, STEPS, coverage, round_trip
from nases_env.search_spaces import SearchSpace

Table = dict[str, dict[str, float]]
"""The value of each measure for each draw."""
SPACE = "space itself"
"""Name of the reference, uniform origin vectors without a decoder."""


@dataclass(frozen=True)
class Options:
    """Draws actions in four ways, decodes them and counts what comes out."""

    decoders: tuple[str, ...] = ("autoencoder",)
    """autoencoder, pca, random, identity or weights files; of the macro space also autoencoder-uniform and
    autoencoder-paper."""
    space: str = "macro"
    """Search space: macro or micro."""
    calibration: str = "none"
    """output, none or both."""
    rules: str = "paper"
    """Rules of the macro space."""
    samples: int = 10_000
    """Actions of each draw."""
    seed: int = 0
    """Seed of the actions."""
    out: Path = Path("runs/decoders")
    """Folder for coverage.csv and a picture of each decoder."""


def measure(decoder: Decoder, space: SearchSpace, options: Options) -> Table:
    """Measure what every draw reaches, by the draw's name, and the round trip, as `round trip`."""
    table = {draw: coverage(decoder, space, draw, options.samples, options.seed) for draw in DRAWS}
    return {**table, "round trip": round_trip(decoder, space, options.samples, options.seed)}


def print_table(name: str, calibration: str, table: Table) -> None:
    """Print a line for each measure, with a column for each draw."""
    print(f"\n{f'{name}, calibration {calibration}':36}" + "".join(f"{draw:>10}" for draw in DRAWS))
    for measure in table["uniform"]:
        print(f"{measure:36}" + "".join(f"{table[draw][measure]:10.3f}" for draw in DRAWS))
    for measure, value in table["round trip"].items():
        print(f"{f'round trip, {measure}':36}{value:10.3f}")


def draw_shares(axes: Axes, name: str, title: str, table: Table) -> None:
    """Draw the shares of one dimension's labels as stacked bars, one for each draw."""
    prefix = f"{name} "
    labels = [column for column in table[SPACE] if column.startswith(prefix) and "flips" not in column]
    bottom = [0.0] * len(table)
    for column in labels:
        shares = [row[column] for row in table.values()]
        axes.bar(list(table), shares, bottom=bottom, label=column.removeprefix(prefix).replace("_", " "))
        bottom = [low + share for low, share in zip(bottom, shares, strict=True)]
    axes.set(title=title, ylim=(0, 1.25))
    axes.legend(fontsize="small", loc="upper center", ncols=min(3, len(labels)))


def draw_bars(axes: Axes, title: str, measure: str, style: str, table: Table) -> None:
    """Draw one measure as bars with their numbers, one for each draw."""
    bars = axes.bar(list(table), [row[measure] for row in table.values()], color="C4")
    axes.bar_label(bars, fmt=style)
    axes.set(title=title)
    axes.margins(y=0.15)


def draw_smoothness(axes: Axes, uniform: dict[str, float], sizes: dict[str, int]) -> None:
    """Draw the shares of decisions that a step changes, a group of bars for each length of the step."""
    width = 0.8 / len(sizes)
    for i, (name, size) in enumerate(sizes.items()):
        shares = [uniform[f"{name} flips {step}"] / size for step in STEPS]
        bars = axes.bar([group + i * width for group in range(len(STEPS))], shares, width, label=name.replace("_", " "))
        axes.bar_label(bars, fmt="{:.1%}", fontsize="small")
    middle = (len(sizes) - 1) / 2 * width
    axes.set_xticks([group + middle for group in range(len(STEPS))], [f"a step of {step}" for step in STEPS])
    axes.set(title="How much of a network changes with\na step in one of the action's numbers")
    axes.margins(y=0.15)
    axes.legend(fontsize="small")


def draw_round_trip(axes: Axes, trip: dict[str, float]) -> None:
    """Draw the error of encoding and decoding a random network, with noise on the action."""
    names = {"none": "error"} | {f"{noise:g}": f"error at noise {noise:g}" for noise in NOISES}
    bars = axes.bar(list(names), [trip[column] for column in names.values()], color="C5")
    axes.bar_label(bars, fmt="%.1f")
    axes.axhline(75, color="black", linestyle="--", label="predicting the mean")
    axes.axhline(150, color="black", linestyle=":", label="another random network")
    kept = [f"{name.removesuffix(' kept')} {share:.0%}" for name, share in trip.items() if name.endswith("kept")]
    axes.set(title=f"Encode and decode a random network: squared error\n(kept: {', '.join(kept).replace('_', ' ')})")
    axes.set_xlabel("deviation of noise added to the action")
    axes.legend(fontsize="small")


def draw_picture(table: Table, space: SearchSpace, reference: dict[str, float], title: str, path: Path) -> None:
    """Draw six panels; the last bar of each of the first three is the space without a decoder."""
    figure = Figure(figsize=(17, 9), dpi=100, layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(2, 3)
    figure.suptitle(title, fontsize="x-large")
    draws = {draw: table[draw] for draw in DRAWS}
    beside = draws | {SPACE: reference}
    names = {"macro": ("kernel_type", "filter_size"), "micro": ("first_input", "first_operation")}[space.name]
    for axes, name in zip(panels[0, :2], names, strict=True):
        draw_shares(axes, name, f"How often each {name.replace('_', ' ')} is chosen", beside)
    if "links on" in reference:
        draw_bars(panels[0, 2], "Links between the layers of a network", "links on", "{:.1f}", beside)
    else:
        draw_bars(panels[0, 2], "Decisions in which two networks differ", "hamming", "{:.1f}", beside)
    outside = "Share of decoded numbers outside [0, 30],\nbefore calibration and clipping"
    draw_bars(panels[1, 0], outside, "outside", "{:.1%}", draws)
    decisions = space.decisions(space.discretise(np.zeros((1, space.origin_size))))
    sizes = {name: values.size for name, values in decisions.items() if f"{name} flips {STEPS[0]}" in reference}
    draw_smoothness(panels[1, 1], table["uniform"], sizes)
    draw_round_trip(panels[1, 2], table["round trip"])
    figure.savefig(path)


def _title(name: str, options: Options, uniform: dict[str, float]) -> str:
    return (
        f"What the decoder {Path(name).stem} reaches (calibration {options.calibration}, {options.samples:,} actions)\n"
        f"uniform actions: {uniform['distinct']:.1%} distinct networks; two of them differ in {uniform['hamming']:.1f} "
        "decisions"
    )


def main(options: Options) -> int:
    """Measure, print, write; returns the exit status."""
    try:
        space = search_spaces.make(options.space, options.rules)
        decoders = {name: embeddings.make(name, space, options.calibration) for name in options.decoders}
        reference = coverage(embeddings.make("identity", space), space, "uniform", options.samples, options.seed)
        tables = {name: measure(decoder, space, options) for name, decoder in decoders.items()}
    except (ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    options.out.mkdir(parents=True, exist_ok=True)
    with (options.out / "coverage.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["decoder", "calibration", "draw", "measure", "value"])
        for name, table in tables.items():
            for draw, row in table.items():
                writer.writerows([name, options.calibration, draw, measure, value] for measure, value in row.items())
    for name, table in tables.items():
        print_table(name, options.calibration, table)
        path = options.out / f"{name.removesuffix('.safetensors').strip('./').replace('/', '-')}.png"
        draw_picture(table, space, reference, _title(name, options, table["uniform"]), path)
        print(f"picture: {path}")
    print(f"\ntable: {options.out / 'coverage.csv'}")
    return 0


if __name__ == "__main__":
    sys.exit(startup.run(lambda: main(tyro.cli(Options))))
