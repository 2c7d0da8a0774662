"""How much a reward depends on the child seed: random architectures, each trained with several."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from tqdm import tqdm

from agents.search.child_options import ChildOptions
from nases_env import executors, rewards, search_spaces
from nases_env.children.presets import resolve
from nases_env.children.protocol import Protocol
from nases_env.evaluators.training import TrainingEvaluator

Row = dict[str, float | str]
"""What was found out about one child with one seed."""


@dataclass(frozen=True)
class RandomChildren(ChildOptions):
    """Random architectures with several child seeds each."""

    children: int = 30
    """Random architectures, the same for every protocol."""
    seeds: int = 3
    """Child seeds for each."""
    workers: int = 2
    """Processes, one child each."""

    def resolved(self) -> Protocol:
        """The protocol that children are trained by."""
        return resolve(self.named_protocol())

    def evaluate(self) -> Iterator[tuple[int, Row]]:
        """Train all children in worker processes; yields (index, row) in order of completion, seed after seed."""
        space = search_spaces.make(self.space, self.rules)
        rows = space.discretise(space.sample(np.random.default_rng(0), self.children))
        executor = executors.make(executors.check_executor(None, self.workers))
        evaluator = TrainingEvaluator(self.dataset, self.data_dir, self.resolved(), "cpu", executor)
        reward = rewards.make(self.reward)
        architectures = [space.architecture(row) for row in rows] * self.seeds
        seeds = np.repeat(range(self.seeds), self.children).tolist()
        try:
            for index, found in evaluator.evaluate(architectures, seeds):
                yield (
                    index,
                    {
                        "child": index % self.children,
                        "seed": seeds[index],
                        "reward": reward(found),
                        "validation_accuracy": found.validation_accuracy,
                        "train_accuracy": found.train_accuracy,
                        "parameters": found.parameters,
                        "failure": found.failure,
                        "seconds": round(found.seconds, 3),
                    },
                )
        finally:
            evaluator.close()

    def column(self, rows: Sequence[Row], name: str) -> np.ndarray:
        """One number of every row of `evaluate_all`, (children, seeds)."""
        return np.array([row[name] for row in rows], dtype=float).reshape(self.seeds, self.children).T


def evaluate_all(samples: Sequence[RandomChildren]) -> list[list[Row]]:
    """Train the children of one sample after the other; returns each one's rows, one seed after the other.

    Raises:
        ValueError, OSError: As `TrainingEvaluator` and its `evaluate`.
        WorkerStartError: If worker processes cannot be started.
    """
    found: list[list[Row]] = []
    with tqdm(total=sum(one.children * one.seeds for one in samples), desc="children") as bar:
        for one in samples:
            rows = {}
            for index, row in one.evaluate():
                rows[index] = row
                bar.update()
            found.append([rows[index] for index in range(len(rows))])
    return found


def intraclass_correlation(values: np.ndarray) -> float:
    """ICC(1): the share of the variance of values (children, seeds) that lies between children.

    One-way random effects (Shrout and Fleiss 1979); below 0 when children differ less than chance would have it.
    """
    children, seeds = values.shape
    between = seeds * values.mean(axis=1).var(ddof=1)
    within = values.var(axis=1, ddof=1).mean()
    return float((between - within) / (between + (seeds - 1) * within))
