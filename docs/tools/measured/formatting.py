"""Reads the files in docs/results and writes Markdown."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from pathlib import Path

RESULTS = Path(__file__).parents[2] / "results"
Row = dict[str, str]


def read(name: str) -> list[Row]:
    """The rows of a CSV file of the results."""
    with (RESULTS / name).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def markdown(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table in Markdown."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def interval(value: float | str, low: float | str, high: float | str, digits: int) -> str:
    """`value (low to high)` with so many decimals."""
    return f"{float(value):.{digits}f} ({float(low):.{digits}f} to {float(high):.{digits}f})"


def percent(share: float, digits: int = 0) -> str:
    """A share as `12 %`."""
    return f"{100 * share:.{digits}f} %"
