"""Pictures of what embeddings reach and of where searches lose."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from agents.arena.reach import QUANTILES
from agents.arena.regret import Searched

LOSSES = ("not reachable", "not found", "not chosen")
NARROW = 0.006
"""A part of a bar that is no wider has no room for its number."""
SMOOTHED = 10
"""Rewards of so many children in turn are averaged in a curve."""


def draw_reach(path: Path, rows: list[dict], best: float) -> None:
    """Draw each embedding's quantiles, best of uniform actions and best found; a line at the best of the space."""
    figure = Figure(figsize=(8, 0.35 * len(rows) + 1.6), dpi=150, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    heights = np.arange(len(rows))[::-1]
    for name, marker in zip((*QUANTILES, "best", "reachable"), ("|", ".", "o", "D", "*"), strict=True):
        axes.plot([row[name] for row in rows], heights, marker, markersize=9 if marker == "*" else 6, label=name)
    axes.axvline(best, color="grey", linewidth=1, label="best known in the space")
    axes.set_yticks(heights, [f"{row['decoder']}, {row['calibration']}" for row in rows])
    axes.set(xlabel="reward without noise", title="What uniform actions give, and what a long search finds")
    axes.grid(alpha=0.3)
    figure.legend(loc="outside lower center", ncols=6, fontsize=8)
    figure.savefig(path)


def draw_regret(path: Path, rows: list[dict], searches: dict[str, list[Searched]]) -> None:
    """Draw how each agent's regret splits, and the mean reward without noise of its children in turn."""
    figure = Figure(figsize=(12, 4.5), dpi=150, layout="constrained")
    FigureCanvasAgg(figure)
    split, curves = figure.subplots(1, 2)
    left = np.zeros(len(rows))
    heights = np.arange(len(rows))[::-1]
    for loss in LOSSES:
        widths = np.array([row[loss] for row in rows])
        bars = split.barh(heights, widths, left=left, label=loss)
        labels = [f"{width:.3f}" if width > NARROW else "" for width in widths]
        split.bar_label(bars, labels, label_type="center", fontsize=8)
        left += widths
    split.set_yticks(heights, [row["agent"] for row in rows])
    split.set(xlabel="reward below the best of the space, without noise", title="Where the searches lose")
    split.legend(loc="upper center", bbox_to_anchor=(0.5, -0.12), ncols=3, fontsize=8)
    for name, made in searches.items():
        mean = np.mean([searched.noise_free for searched in made], axis=0)
        window = min(SMOOTHED, len(mean))
        smooth = np.convolve(mean, np.ones(window) / window, "valid")
        curves.plot(np.arange(window, len(mean) + 1), smooth, label=name)
    curves.set(xlabel="child", ylabel="reward without noise", title=f"What is built, mean of {SMOOTHED} in turn")
    curves.grid(alpha=0.3)
    curves.legend(fontsize=8)
    figure.savefig(path)
