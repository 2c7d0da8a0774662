"""Rows of a benchmark: what was timed, and the table of it."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np


@dataclass(frozen=True)
class Row:
    """The time and memory that one thing took."""

    name: str
    seconds: float
    """Median over the repeats."""
    spread: tuple[float, float]
    """Lowest and highest seconds of the repeats."""
    rung: str = ""
    protocol: str = ""
    device: str = ""
    images_per_second: float | None = None
    """Training images × epochs over all seconds of the child."""
    tflops: float | None = None
    """10^12 operations a second: a training image counts as three forward passes, an evaluated one as one."""
    ceiling: float | None = None
    """Share of what a large matrix product reaches, measured in the same run."""
    ratio_b0: float | None = None
    """Seconds of the rung b0 as a multiple of these."""
    ratio_b1: float | None = None
    ratio_one_worker: float | None = None
    ratio_torch: float | None = None
    """Seconds of torch's own way as a multiple of these."""
    steps_per_second: float | None = None
    """Steps of all searches together."""
    phases: dict[str, float] = field(default_factory=dict)
    """Seconds of the median run: train, evaluate, and the rest, which builds."""
    memory: float | None = None
    """Highest MB so far: those of the process on a CPU, those reserved on a GPU."""


def timed(name: str, run: Callable[[], object], repeats: int, calls: int = 1) -> Row:
    """Time a call, as the mean over so many calls in each repeat. A first call is made that is not counted."""
    run()
    seconds = []
    for _ in range(repeats):
        start = time.perf_counter()
        for _ in range(calls):
            run()
        seconds.append((time.perf_counter() - start) / calls)
    return Row(name, float(np.median(seconds)), (min(seconds), max(seconds)))


def table(rows: list[Row]) -> str:
    """The rows as text."""
    lines = [
        f"{'':44}{'median':>12}{'lowest':>12}{'highest':>12}{'images/s':>10}{'GFLOP/s':>9}{'ceiling':>9}"
        f"{'× b0':>7}{'× b1':>7}{'MB':>7}"
    ]
    for row in rows:
        times = "".join(f"{1000 * seconds:9.2f} ms" for seconds in (row.seconds, *row.spread))
        cells = [
            (row.images_per_second, 10, ".0f"),
            (row.tflops and 1000 * row.tflops, 9, ".1f"),
            (row.ceiling, 9, ".0%"),
            (row.ratio_b0, 7, ".2f"),
            (row.ratio_b1, 7, ".2f"),
            (row.memory, 7, ".0f"),
        ]
        line = f"{f'{row.name}, {row.rung}' if row.rung else row.name:44}{times}"
        line += "".join(" " * width if value is None else f"{value:{width}{kind}}" for value, width, kind in cells)
        if row.phases:
            line += "  " + ", ".join(f"{name} {seconds:.2f} s" for name, seconds in row.phases.items())
        if row.steps_per_second:
            line += f"  {row.steps_per_second:,.0f} steps/s"
        if row.ratio_torch:
            line += f"  {row.ratio_torch:.2f} × torch's"
        if row.ratio_one_worker:
            line += f"  {row.ratio_one_worker:.2f} × one worker"
        lines.append(line.rstrip())
    return "\n".join(lines)
