"""Measures how much of the reward's variance lies between architectures, under one protocol.

python scripts/noise_floor.py --protocol digits
python scripts/noise_floor.py --dataset imagefolder:PATH --protocol cifar10-mini --children 12 --seeds 2
"""

from __future__ import annotations

import startup

import sys
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass, replace
from multiprocessing import get_context
from pathlib import Path
from typing import Self

import numpy as np
import tables
import tyro
from command_line import parse_overrides
from tqdm import tqdm

from nases_env import rewards, search_spaces
from nases_env.children.presets import resolve
from nases_env.evaluators.training import TrainingEvaluator
from nases_env.processes import end_with_parent


@dataclass(frozen=True)
class Options:
    """Trains random children with several child seeds each; writes a table, prints the variance's shares."""

    dataset: str = "digits"
    """digits, cifar10 or imagefolder:PATH."""
    data_dir: str = "data"
    """Folder of CIFAR-10."""
    protocol: str = "digits"
    """Protocol preset."""
    overrides: tuple[str, ...] = ()
    """Protocol fields to change: --overrides epochs=2 width=0.25."""
    space: str = "macro"
    """Search space: macro or micro."""
    rules: str = "paper"
    """Rules of the macro space."""
    reward: str = "eq1"
    """eq1 or validation."""
    children: int = 30
    """Random architectures, the same for every protocol."""
    seeds: int = 3
    """Child seeds for each."""
    workers: int = 2
    """Processes, one child each."""
    out: Path = Path("runs/noise_floor.csv")
    """Table of every child."""

    def with_overrides(self, *more: str) -> Self:
        """The same options with more fields changed."""
        return replace(self, overrides=(*self.overrides, *more))


def evaluate(options: Options, child: int, seed: int) -> dict[str, float | str]:
    """Train one child with one seed."""
    space = search_spaces.make(options.space, options.rules)
    row = space.discretise(space.sample(np.random.default_rng(0), options.children))[child]
    protocol = resolve({"preset": options.protocol, **parse_overrides(options.overrides)})
    evaluator = TrainingEvaluator(options.dataset, options.data_dir, protocol, "cpu")
    (_, found), *_ = evaluator.evaluate([space.architecture(row)], [seed])
    return {
        "child": child,
        "seed": seed,
        "reward": rewards.make(options.reward)(found),
        "validation_accuracy": found.validation_accuracy,
        "train_accuracy": found.train_accuracy,
        "parameters": found.parameters,
        "failure": found.failure,
        "seconds": round(found.seconds, 3),
    }


def intraclass_correlation(values: np.ndarray) -> float:
    """ICC(1): the share of the variance of values (children, seeds) that lies between children.

    One-way random effects (Shrout and Fleiss 1979); below 0 when children differ less than chance would have it.
    """
    children, seeds = values.shape
    between = seeds * values.mean(axis=1).var(ddof=1)
    within = values.var(axis=1, ddof=1).mean()
    return float((between - within) / (between + (seeds - 1) * within))


def evaluate_all(options: list[Options]) -> list[list[dict[str, float | str]]]:
    """Evaluate the children of several options; returns each one's rows, one seed after the other."""
    spawn = get_context("spawn")
    with ProcessPoolExecutor(options[0].workers, spawn, end_with_parent) as pool:
        futures = [
            [pool.submit(evaluate, one, child, seed) for seed in range(one.seeds) for child in range(one.children)]
            for one in options
        ]
        with tqdm(total=sum(map(len, futures)), desc="children") as bar:
            return [[_counted(future, bar) for future in of_one] for of_one in futures]


def _counted(future: Future, bar: tqdm) -> dict[str, float | str]:
    result = future.result()
    bar.update()
    return result


def by_child(rows: list[dict[str, float | str]], name: str, options: Options) -> np.ndarray:
    """One column of the rows as an array (children, seeds)."""
    return np.array([row[name] for row in rows], dtype=float).reshape(options.seeds, options.children).T


def main(options: Options) -> int:
    """Run the experiment; returns the exit status."""
    try:
        (rows,) = evaluate_all([options])
    except (ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    tables.write(options.out, rows)
    for name in ("reward", "validation_accuracy"):
        values = by_child(rows, name, options)
        low, median, high = np.quantile(values, (0.1, 0.5, 0.9))
        print(f"{name}: ICC {intraclass_correlation(values):.2f}, 10 % {low:.3f}, median {median:.3f}, 90 % {high:.3f}")
    seconds = np.array([row["seconds"] for row in rows], dtype=float)
    print(f"seconds per child: median {np.median(seconds):.2f}, 90 % {np.quantile(seconds, 0.9):.2f}")
    print(f"failures: {sum(bool(row['failure']) for row in rows)} of {len(rows)}; table: {options.out}")
    return 0


if __name__ == "__main__":
    sys.exit(startup.run(lambda: main(tyro.cli(Options))))
