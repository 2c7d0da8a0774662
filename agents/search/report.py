"""One search as a page: curves, the best network, all children, settings, and how to go on."""

from __future__ import annotations

import csv
import json
import shlex
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from agents.search import web_page
from agents.search.progress import Progress
from agents.search.run_directory import FoundChild
from nases_env import files, rendering
from nases_env.env import NASESEnv
from nases_env.search_spaces import SearchSpace

BEST = 10
"""So many children stand in the first table."""
COLUMNS = {
    "step": int, "source": str, "reward": float, "validation_accuracy": float, "train_accuracy": float,
    "parameters": int, "flops": int, "failure": str, "seconds": float, "architecture_key": str,
}  # fmt: skip
"""What the page shows of a child."""


def write(progress: Progress, path: Path) -> None:
    """Write the page of a search, whole or not at all.

    Args:
        progress: The search.
        path: The HTML file; its folder exists.

    Raises:
        FileNotFoundError: If the search has recorded no child yet.
        ValueError: If its table of children is damaged.
    """
    files.write(path, page(progress).encode())


def page(progress: Progress) -> str:
    """The page as text; see `write`."""
    if "agent" not in progress.options:
        raise ValueError(
            f"{progress.run.path} is a collection, which has no page; nases collect --table writes its table"
        )
    rows = _children(progress.run.path / "children.csv")
    environment = progress.run.make_nases_environment()
    title = f"{progress.options['agent']} on {progress.options['env_id']}"
    return web_page.page(
        title,
        [
            web_page.code(str(progress)),
            web_page.heading("Curves"),
            web_page.drawing(_curves(rows), "Reward of every child, and the best reward so far"),
            web_page.drawing(_sizes(rows), "Validation accuracy of every child against its parameters"),
            *_best_network(progress.best, environment.space),
            *_believed_network(progress, environment.space),
            web_page.heading("Children"),
            *_tables(rows),
            web_page.heading("Settings"),
            *_protocol(environment),
            web_page.folded("Options of the command line", web_page.table(_settings(progress.options))),
            web_page.heading("How to go on"),
            web_page.paragraph("Search on, retrain the best child and test it once, or look at all curves:"),
            web_page.code("\n".join(_commands(progress))),
        ],
    )


def _children(file: Path) -> list[dict[str, Any]]:
    """A row of COLUMNS for each child."""
    if not file.is_file():
        raise FileNotFoundError(f"there is no {file}: the search has recorded no child yet; resume it")
    with file.open(encoding="utf-8", newline="") as lines:
        try:
            rows = [{name: kind(row[name]) for name, kind in COLUMNS.items()} for row in csv.DictReader(lines)]
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(f"{file} is damaged ({error}); resume the search: it writes the file anew") from error
    if not rows:
        raise FileNotFoundError(f"{file} holds no child yet; resume the search")
    return rows


def _curves(rows: list[dict[str, Any]]) -> Figure:
    figure = Figure(figsize=(9, 4), layout="constrained")
    axes = figure.add_subplot()
    for source in dict.fromkeys(row["source"] for row in rows):
        chosen = [row for row in rows if row["source"] == source]
        axes.plot([row["step"] for row in chosen], [row["reward"] for row in chosen], ".", label=source or "children")
    best = np.maximum.accumulate([row["reward"] for row in rows])
    axes.plot(
        [row["step"] for row in rows], best, color="black", linewidth=1.5, drawstyle="steps-post", label="best so far"
    )
    axes.set(xlabel="child", ylabel="reward")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.grid(alpha=0.3)
    axes.legend(fontsize=8)
    return figure


def _sizes(rows: list[dict[str, Any]]) -> Figure:
    figure = Figure(figsize=(9, 4), layout="constrained")
    axes = figure.add_subplot()
    succeeded = [row for row in rows if not row["failure"]]
    axes.plot([row["parameters"] for row in succeeded], [row["validation_accuracy"] for row in succeeded], ".")
    axes.set(xlabel="parameters", ylabel="validation accuracy", xscale="log" if succeeded else "linear")
    axes.grid(alpha=0.3)
    return figure


def _best_network(best: FoundChild | None, space: SearchSpace) -> list[str]:
    if best is None:
        return [web_page.heading("The best network"), web_page.paragraph("No child has succeeded so far.")]
    return _network(f"The best network: child {best.number}", best, space)


def _believed_network(progress: Progress, space: SearchSpace) -> list[str]:
    """The child that the search believes in, where that is another one than the best."""
    best, believed = progress.best, progress.believed
    if best is None or believed is None or believed.number == best.number:
        return []
    return [
        *_network(f"The network that the search believes in: child {believed.number}", believed, space),
        web_page.paragraph(
            f"Child {best.number} had the highest reward, {best.reward:.4f}, luck included. By everything that was "
            f"measured, child {believed.number} (reward {believed.reward:.4f}) is expected to be the better one."
        ),
    ]


def _network(heading: str, child: FoundChild, space: SearchSpace) -> list[str]:
    architecture = child.architecture(space)
    return [
        web_page.heading(heading),
        web_page.pixels(rendering.picture(architecture), f"Child {child.number}, layer by layer"),
        web_page.folded("As a table", web_page.code(rendering.table(architecture))),
        web_page.folded("As JSON, for --start-from", web_page.code(architecture.to_json())),
    ]


def _tables(rows: list[dict[str, Any]]) -> list[str]:
    ranked = sorted(rows, key=lambda row: (bool(row["failure"]), -row["reward"]))
    return [
        web_page.paragraph(f"The {min(BEST, len(rows))} with the highest rewards:"),
        web_page.table([_named(row) for row in ranked[:BEST]]),
        web_page.folded(f"All {len(rows)} children in their order", web_page.table([_named(row) for row in rows])),
    ]


def _named(row: dict[str, Any]) -> dict[str, Any]:
    """A row under the words of the page."""
    return {"child" if name == "step" else name.replace("_", " "): value for name, value in row.items()}


def _protocol(environment: NASESEnv) -> list[str]:
    fields = [{"field": name, "value": json.dumps(value)} for name, value in asdict(environment.protocol).items()]
    named = f"Data: {environment.dataset}; protocol: {environment.protocol.name}"
    return [web_page.paragraph(named), web_page.folded("All fields of the protocol", web_page.table(fields))]


def _settings(options: dict[str, Any]) -> list[dict[str, str]]:
    flat = {
        name if inner is None else f"{name}.{inner}": value
        for name, given in options.items()
        for inner, value in (given.items() if isinstance(given, dict) else [(None, given)])
    }
    return [{"option": name, "value": json.dumps(value)} for name, value in flat.items()]


def _commands(progress: Progress) -> list[str]:
    folder = shlex.quote(str(progress.run.path))
    return [
        f"nases search --run-dir {folder} --resume --children {2 * progress.budget}",
        f"nases train-final --run {folder}",
        f"tensorboard --logdir {folder}/tensorboard",
    ]
