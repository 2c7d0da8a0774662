"""Pictures of a comparison, and the page that shows them with its table."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib
import numpy as np

from agents.arena import statistics
from agents.search import web_page
from nases_env import files

matplotlib.use("Agg")
matplotlib.rcParams["text.parse_math"] = False  # an agent's name is not mathematics, whatever is in it
from matplotlib import pyplot  # noqa: E402


def draw_curves(path: Path, curves: dict[str, np.ndarray]) -> None:
    """Draw IQM and band of the best reward so far; curves are (N, children) for each agent."""
    figure, axes = pyplot.subplots(figsize=(8, 5 + 0.1 * len(curves)), layout="constrained")
    for index, (name, rewards) in enumerate(curves.items()):
        middle, low, high = statistics.band(rewards)
        children = np.arange(1, len(middle) + 1)
        style = "-" if index < 10 else "--"
        axes.plot(children, middle, style, label=name)
        axes.fill_between(children, low, high, alpha=0.15)
    axes.set(xlabel="children", ylabel="best reward so far", title="IQM over seeds, 95 % intervals")
    axes.set_ylim(bottom=min(np.quantile(rewards[:, min(4, rewards.shape[1] - 1)], 0.1) for rewards in curves.values()))
    axes.grid(alpha=0.3)
    figure.legend(loc="outside lower center", fontsize=8, ncols=2)
    figure.savefig(path, dpi=150)
    pyplot.close(figure)


def draw_probabilities(path: Path, rows: list[dict[str, Any]]) -> None:
    """Draw each agent's probability of improvement over random search."""
    rows = sorted(rows, key=lambda row: row["probability_over_random"])
    figure, axes = pyplot.subplots(figsize=(7, 0.35 * len(rows) + 1.2), layout="constrained")
    values = np.array([row["probability_over_random"] for row in rows])
    errors = [
        values - [row["probability_low"] for row in rows],
        np.array([row["probability_high"] for row in rows]) - values,
    ]
    axes.errorbar(values, range(len(rows)), xerr=np.maximum(errors, 0), fmt="o", capsize=3)
    axes.axvline(0.5, color="grey", linewidth=1)
    axes.set_yticks(range(len(rows)), [row["agent"] for row in rows])
    axes.set(xlim=(0, 1))
    figure.supxlabel("probability of a higher score than random search's, 95 % interval", fontsize="medium")
    axes.grid(alpha=0.3)
    figure.savefig(path, dpi=150)
    pyplot.close(figure)


def write(path: Path, title: str, notes: list[str], rows: list[dict[str, Any]], pictures: list[Path]) -> None:
    """Write one HTML file with everything in it."""
    parts = [
        *map(web_page.paragraph, notes),
        web_page.table([_ordered(row) for row in rows]),
        *(web_page.png(picture.read_bytes(), picture.stem) for picture in pictures),
    ]
    files.write(path, web_page.page(title, parts).encode())


def _ordered(row: dict[str, Any]) -> dict[str, Any]:
    """A row with what is looked at first at its beginning, under words of the page."""
    first = ("agent", "iqm", "iqm_low", "iqm_high", "probability_over_random", "probability_low", "probability_high",
             "children_to_random_best")  # fmt: skip
    names = [*(name for name in first if name in row), *(name for name in row if name not in first)]
    return {name.replace("_", " "): row[name] for name in names}
