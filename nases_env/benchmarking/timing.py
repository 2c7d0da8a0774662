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
    step_milliseconds: float | None = None
    """Of a training step, by the clock; on b0 and b1 with what its DataLoader takes."""
    launches: float | None = None
    """Calls a training step that give a GPU something to do; a recording is one."""
    busy: float | None = None
    """Share of a training step's time in which the GPU works."""
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
    """The rows as text: a line each, and below it one more of a child's steps and phases. Times are in milliseconds."""
    head = f"{'':44}{'median, ms':>10}{'lowest':>10}{'highest':>10}"
    lines = [head + f"{'images/s':>10}{'GFLOP/s':>9}{'ceiling':>8}{'× b0':>6}{'× b1':>6}{'MB':>7}"]
    for row in rows:
        lines.append(_line(row))
        if row.phases:
            lines.append(f"    {_of_a_step(row)}")
    return "\n".join(lines)


def _line(row: Row) -> str:
    cells = [
        (row.images_per_second, 10, ".0f"),
        (row.tflops and 1000 * row.tflops, 9, ".1f"),
        (row.ceiling, 8, ".0%"),
        (row.ratio_b0, 6, ".2f"),
        (row.ratio_b1, 6, ".2f"),
        (row.memory, 7, ".0f"),
    ]
    line = f"{f'{row.name}, {row.rung}' if row.rung else row.name:44}"
    line += "".join(f"{1000 * seconds:10.2f}" for seconds in (row.seconds, *row.spread))
    line += "".join(" " * width if value is None else f"{value:{width}{kind}}" for value, width, kind in cells)
    if row.steps_per_second:
        line = f"{line.rstrip()}  {row.steps_per_second:,.0f} steps/s"
    if row.ratio_torch:
        line = f"{line.rstrip()}  {row.ratio_torch:.2f} × torch's"
    if row.ratio_one_worker:
        line = f"{line.rstrip()}  {row.ratio_one_worker:.2f} × one worker"
    return line.rstrip()


def _of_a_step(row: Row) -> str:
    told = [] if row.step_milliseconds is None else [f"a step {row.step_milliseconds:.2f} ms"]
    if row.launches is not None and row.busy is not None:
        told += [f"{row.launches:.0f} launches", f"GPU busy {row.busy:.0%}"]
    return ", ".join(told + [f"{name} {seconds:.2f} s" for name, seconds in row.phases.items()])
