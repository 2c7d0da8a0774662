"""How much a reward depends on the child seed: random architectures, each trained with several."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context

import numpy as np
from tqdm import tqdm

from agents.search.overrides import parse_overrides
from nases_env import rewards, search_spaces
from nases_env.children.presets import resolve
from nases_env.children.protocol import Protocol
from nases_env.evaluators.training import TrainingEvaluator
from nases_env.processes import end_with_parent

Row = dict[str, float | str]
"""What was found out about one child with one seed."""


@dataclass(frozen=True)
class RandomChildren:
    """Random architectures with several child seeds each."""

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

    def resolved(self) -> Protocol:
        """The protocol that children are trained by."""
        return resolve({"preset": self.protocol, **parse_overrides(self.overrides)})

    def evaluate(self, child: int, seed: int) -> Row:
        """Train one child with one seed, in this process."""
        space = search_spaces.make(self.space, self.rules)
        row = space.discretise(space.sample(np.random.default_rng(0), self.children))[child]
        evaluator = TrainingEvaluator(self.dataset, self.data_dir, self.resolved(), "cpu")
        (_, found), *_ = evaluator.evaluate([space.architecture(row)], [seed])
        return {
            "child": child,
            "seed": seed,
            "reward": rewards.make(self.reward)(found),
            "validation_accuracy": found.validation_accuracy,
            "train_accuracy": found.train_accuracy,
            "parameters": found.parameters,
            "failure": found.failure,
            "seconds": round(found.seconds, 3),
        }

    def column(self, rows: Sequence[Row], name: str) -> np.ndarray:
        """One number of every row of `evaluate_all`, (children, seeds)."""
        return np.array([row[name] for row in rows], dtype=float).reshape(self.seeds, self.children).T


def evaluate_all(samples: Sequence[RandomChildren]) -> list[list[Row]]:
    """Train the children of several samples in processes; returns each one's rows, one seed after the other."""
    spawn = get_context("spawn")
    with ProcessPoolExecutor(samples[0].workers, spawn, end_with_parent) as pool:
        futures = [
            [pool.submit(one.evaluate, child, seed) for seed in range(one.seeds) for child in range(one.children)]
            for one in samples
        ]
        with tqdm(total=sum(map(len, futures)), desc="children") as bar:
            return [[_counted(future, bar) for future in of_one] for of_one in futures]


def intraclass_correlation(values: np.ndarray) -> float:
    """ICC(1): the share of the variance of values (children, seeds) that lies between children.

    One-way random effects (Shrout and Fleiss 1979); below 0 when children differ less than chance would have it.
    """
    children, seeds = values.shape
    between = seeds * values.mean(axis=1).var(ddof=1)
    within = values.var(axis=1, ddof=1).mean()
    return float((between - within) / (between + (seeds - 1) * within))


def _counted(future: Future[Row], bar: tqdm) -> Row:
    result = future.result()
    bar.update()
    return result
