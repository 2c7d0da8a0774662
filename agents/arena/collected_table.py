"""The table of a collection, and its card: what was evaluated how, where and when."""

from __future__ import annotations

import dataclasses
import os
import platform
from collections import Counter
from pathlib import Path
from typing import Any

from nases_env import files
from nases_env.children import datasets
from nases_env.env import NASESEnv
from nases_env.ledger import read_trials
from nases_env.schemas import SCHEMA
from nases_env.surrogate_fitting.table import card_path


def write(path: Path, rows: list[dict[str, Any]], card: dict[str, Any]) -> None:
    """Write the rows as compressed CSV, and the card beside it."""
    columns = list(dict.fromkeys(name for each in rows for name in each))  # a failed child has no epochs
    files.write_compressed_csv(path, rows, columns)
    sources = Counter(each["source"] for each in rows)
    card = card | {"rows": len(rows), "sources": sources, "columns": columns}
    files.write_json(card_path(path), card)


def describe(
    environment: NASESEnv,
    journal: Path,
    *,
    command: str,
    dataset: str,
    rules: str,
    decoder: str | None,
    seed: int,
    earlier: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """The card.

    Args:
        environment: In which it was evaluated.
        journal: What was evaluated, at least one child.
        command: The command that did it.
        dataset: Name of the data set, without a path.
        rules: Rules of the macro space.
        decoder: The decoder that was one source.
        seed: Seed of what was drawn.
        earlier: The card of the table that this collection went on from.
    """
    trials = read_trials(journal)
    data = datasets.load(environment.dataset, environment.data_dir, environment.protocol, "cpu")
    _, channels, side, _ = data.train.images.shape
    dates = [trial.datetime_complete.date().isoformat() for trial in (trials[0], trials[-1]) if trial.datetime_complete]
    device = trials[-1].user_attrs["evaluation"]["device"]
    hardware = [f"{_processor()}, {os.cpu_count()} cores, device {device}"]
    if earlier is not None:
        dates[:1] = earlier["dates"][:1]
        hardware = list(dict.fromkeys([*earlier["hardware"].split("; "), *hardware]))
    return {
        "schema": SCHEMA["table"],
        "command": command,
        "protocol": dataclasses.asdict(environment.protocol),
        "dataset": dataset,
        "images": {"side": side, "channels": channels, "classes": data.classes},
        "class_names": data.class_names,
        "fingerprint": trials[0].user_attrs["evaluation"]["evaluator"],
        "space": environment.space.name,
        "rules": rules,
        "decoder": decoder,
        "seed": seed,
        "hardware": "; ".join(hardware),
        "dates": dates,
        "versions": trials[0].user_attrs["evaluation"]["versions"],
    }


def _processor() -> str:
    """The processor's name, where the system tells it, else its kind."""
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text(encoding="utf-8").splitlines() if cpuinfo.is_file() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()
