"""A picture of what a decoder reaches: what `coverage.measures` found, in six panels."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from nases_env.search_spaces import SearchSpace
from nases_env.stage_one.coverage import DRAWS, NOISES, STEPS, Measures

SPACE = "space itself"
"""Name of the reference, uniform origin vectors without a decoder."""


def draw(table: Measures, space: SearchSpace, reference: dict[str, float], title: str, path: Path) -> None:
    """Draw six panels; the last bar of each of the first three is the space without a decoder.

    Args:
        table: What the decoder reaches.
        space: The search space that it decodes into.
        reference: `coverage` of uniform actions of the identity, which is the space itself.
        title: Text above the panels.
        path: The PNG file to write; its folder is there.
    """
    figure = Figure(figsize=(17, 9), dpi=100, layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(2, 3)
    figure.suptitle(title, fontsize="x-large")
    draws = {draw: table[draw] for draw in DRAWS}
    beside = draws | {SPACE: reference}
    names = {"macro": ("kernel_type", "filter_size"), "micro": ("first_input", "first_operation")}[space.name]
    for axes, name in zip(panels[0, :2], names, strict=True):
        _shares(axes, name, f"How often each {name.replace('_', ' ')} is chosen", beside)
    if "links on" in reference:
        _bars(panels[0, 2], "Links between the layers of a network", "links on", "{:.1f}", beside)
    else:
        _bars(panels[0, 2], "Decisions in which two networks differ", "hamming", "{:.1f}", beside)
    outside = "Share of decoded numbers outside [0, 30],\nbefore calibration and clipping"
    _bars(panels[1, 0], outside, "outside", "{:.1%}", draws)
    decisions = space.decisions(space.discretise(np.zeros((1, space.origin_size))))
    sizes = {name: values.size for name, values in decisions.items() if f"{name} flips {STEPS[0]}" in reference}
    _smoothness(panels[1, 1], table["uniform"], sizes)
    _round_trip(panels[1, 2], table["round trip"])
    figure.savefig(path)


def _shares(axes: Axes, name: str, title: str, table: Measures) -> None:
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


def _bars(axes: Axes, title: str, measure: str, style: str, table: Measures) -> None:
    """Draw one measure as bars with their numbers, one for each draw."""
    bars = axes.bar(list(table), [row[measure] for row in table.values()], color="C4")
    axes.bar_label(bars, fmt=style)
    axes.set(title=title)
    axes.margins(y=0.15)


def _smoothness(axes: Axes, uniform: dict[str, float], sizes: dict[str, int]) -> None:
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


def _round_trip(axes: Axes, trip: dict[str, float]) -> None:
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
