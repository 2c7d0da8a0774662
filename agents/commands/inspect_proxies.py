"""Measures zero-cost proxies of a table's children, how they go with what training measured, and what they add.

    nases inspect-proxies --table docs/results/collected-digits.csv.gz --out runs/proxies-digits
    nases inspect-proxies --table docs/results/collected-cifar10-mini.csv.gz --dataset imagefolder:PATH

It can be stopped, and goes on when it is given again, also with a larger --sample.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from tqdm import tqdm

from agents.arena import proxy_values
from agents.commands import startup
from nases_env import executors, files
from nases_env.evaluators import WorkerStartError
from nases_env.evaluators.proxy import ProxyEvaluator
from nases_env.evaluators.training import TrainingEvaluator
from nases_env.proxies import PROXIES, proxy
from nases_env.surrogate_fitting import fitting, table
from nases_env.surrogate_fitting.proxies import Row, compare

FEWEST = 200
"""A sample holds at least so many evaluations: four fifths of them are enough to fit trees on."""


@dataclass(frozen=True)
class Options:
    """Writes two tables: the values of all proxies, and a row about each proxy."""

    table: Path
    """Compressed table (.csv.gz) that `nases collect` wrote, with its card beside it."""
    out: Path = Path("runs/proxies")
    """Path without suffix: the values are a .csv.gz, a line each, and what is told of the proxies a .csv."""
    proxies: tuple[str, ...] = tuple(PROXIES)
    """Names of the proxies. What the table has already, parameters and flops, is not measured again."""
    sample: int | None = None
    """So many evaluations of the table, drawn at random; None: all."""
    dataset: str | None = None
    """The table's images: digits, cifar10 or imagefolder:PATH; None: what its card says."""
    data_dir: str = "data"
    """Folder of CIFAR-10."""
    device: str = "cpu"
    """auto, cpu or cuda."""
    workers: int = 2
    """Processes that measure children; 0: this process."""

    def __post_init__(self) -> None:
        if self.sample is not None and self.sample < FEWEST:
            raise ValueError(f"--sample {self.sample} has to be at least {FEWEST}, or there is too little to hold out")
        for name in self.proxies:
            proxy(name)

    @property
    def values(self) -> Path:
        """The file of the values."""
        return self.out.with_name(f"{self.out.name}.csv.gz")

    @property
    def told(self) -> Path:
        """The file of what is told of each proxy."""
        return self.out.with_name(f"{self.out.name}.csv")


def main(options: Options) -> int:
    """Measure and compare; returns the exit status: 0, or 130 after Ctrl-C."""
    try:
        children = table.read(options.table)
        fitting.check(children)
        _check_images(options, children)
        evaluations = proxy_values.sample(len(children), options.sample)
        _measure(options, children, evaluations)
        rows = _compare(options, children, evaluations)
        files.write_csv(options.told, rows, columns=list(rows[0]))
    except KeyboardInterrupt:
        print(f"interrupted; the same command goes on from {options.values}")
        return startup.INTERRUPTED
    except (ValueError, OSError, WorkerStartError) as error:
        print(f"error: {error}", file=sys.stderr)
        return startup.WRONG
    for row in rows:
        print(describe(row))
    print(f"values: {options.values}; table: {options.told}")
    return 0


def describe(row: Row) -> str:
    """What is told of a proxy, in a line."""
    told = [f"{row['proxy']:16} {row['evaluations']} evaluations"]
    for name, label in (("tau", "τ"), ("r2_gain", "R² gain"), ("tau_gain", "τ gain")):
        value, low, high = (row[f"validation_accuracy_{name}{suffix}"] for suffix in ("", "_low", "_high"))
        if value != "":
            told.append(f"{label} {value:.3f} ({low:.3f} to {high:.3f})")
    return ", ".join(told)


def _check_images(options: Options, children: table.Table) -> None:
    """Whether the images are those that the table's children were trained on.

    Raises:
        FileNotFoundError: If there are none.
        ValueError: If they are others.
    """
    dataset = options.dataset or children.card["dataset"]
    evaluator = TrainingEvaluator(dataset, options.data_dir, children.protocol, options.device)
    if evaluator.fingerprint != children.card["fingerprint"]:
        raise ValueError(
            f"{options.table} was evaluated as {children.card['fingerprint']}, with these images it would be "
            f"{evaluator.fingerprint}: name the table's images with --dataset"
        )


def _measure(options: Options, children: table.Table, evaluations: list[int]) -> None:
    """Write the values of all proxies."""
    dataset = options.dataset or children.card["dataset"]

    def make(name: str) -> ProxyEvaluator:
        executor = executors.make(executors.check_executor(None, options.workers))
        return ProxyEvaluator(name, dataset, options.data_dir, children.protocol, options.device, executor)

    evaluators = {name: partial(make, name) for name in options.proxies if name not in children.measured}
    lines = table.lines(options.table)
    with tqdm(total=len(evaluations) * len(evaluators), unit="value") as bar:
        for measured in proxy_values.measure(options.values, evaluations, lines, children.space, evaluators):
            bar.update(measured)


def _compare(options: Options, children: table.Table, evaluations: list[int]) -> list[Row]:
    """A row of each proxy, with how long it takes and how often it has no value."""
    known = {(int(each["evaluation"]), each["proxy"]): each for each in proxy_values.read(options.values)}
    chosen = children[np.array(evaluations)]
    values = {name: chosen.measured[name] for name in options.proxies if name in chosen.measured}
    milliseconds = {}
    for name in options.proxies:
        if name not in values:
            found = [known[number, name] for number in evaluations]
            values[name] = np.array([_number(each["value"]) for each in found])
            milliseconds[name] = f"{np.median([float(each['milliseconds']) for each in found]):.1f}"
    rows = compare(chosen, values)
    columns = max((list(row) for row in rows), key=len)
    return [
        {"proxy": row["proxy"], "milliseconds": milliseconds.get(row["proxy"], "")}
        | {name: row.get(name, "") for name in columns if name != "proxy"}
        for row in rows
    ]


def _number(text: str) -> float:
    """A value of a proxy; NaN where it failed."""
    try:
        return float(text)
    except ValueError:
        return np.nan
