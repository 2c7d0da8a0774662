"""Draws the reward curves of searches: every child, and the best so far, one colour per agent.

nases plot-curves --runs runs/A runs/B --out curves.png
"""

from __future__ import annotations

import csv
import sys
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from agents.commands import startup
from agents.search.run_directory import RunDirectory


@dataclass(frozen=True)
class Options:
    """Draws curves and prints a line per search."""

    runs: tuple[Path, ...]
    """Folders of searches."""
    out: Path | None = None
    """The picture; None: curves.png in the first search's folder."""


def read_rewards(run: Path) -> np.ndarray:
    """Rewards of a search's children, in order."""
    with (run / "children.csv").open(encoding="utf-8") as file:
        return np.array([float(row["reward"]) for row in csv.DictReader(file)])


def draw(axes: Axes, agent: str, colour: str, searches: list[np.ndarray]) -> None:
    """Draw children as dots, the best so far as thin lines, and its mean over searches as a thick one."""
    for rewards in searches:
        axes.plot(rewards, ".", color=colour, alpha=0.3, markersize=4)
        axes.plot(np.maximum.accumulate(rewards), color=colour, alpha=0.4, linewidth=1)
    shortest = min(len(rewards) for rewards in searches)
    mean = np.mean([np.maximum.accumulate(rewards)[:shortest] for rewards in searches], axis=0)
    axes.plot(mean, color=colour, linewidth=2.5, label=f"{agent}, {len(searches)} seeds, best so far")


def main(options: Options) -> int:
    """Read, draw, print; returns the exit status."""
    searches: dict[str, list[np.ndarray]] = defaultdict(list)
    try:
        if not options.runs:
            raise ValueError("--runs names no search; give the folders of some")
        for run in options.runs:
            recorded = RunDirectory(run, trust=True).options()  # nothing of it is run or written
            rewards = read_rewards(run)
            searches[recorded["agent"]].append(rewards)
            print(
                f"{recorded['agent']:>10} seed {recorded['seed']}: {len(rewards)} children, best {rewards.max():.3f} "
                f"at {rewards.argmax()}, median {np.median(rewards):.3f}"
            )
    except (OSError, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)
        return startup.WRONG
    figure = Figure(figsize=(9, 5), dpi=120, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    for index, agent in enumerate(sorted(searches)):
        draw(axes, agent, f"C{index}", searches[agent])
    axes.set(xlabel="children", ylabel="reward")
    axes.grid(alpha=0.3)
    axes.legend(loc="lower right")
    path = options.out or options.runs[0] / "curves.png"
    try:
        figure.savefig(path)
    except OSError as error:
        print(f"error: {path} cannot be written ({error}); choose another --out", file=sys.stderr)
        return startup.WRONG
    print(f"picture: {path}")
    return 0
