"""Compares agents on the same environment, over many seeds: a table, curves, a page.

    nases compare --agents reinforce random evolution --seeds 30 --out runs/arena
    nases compare --agents random reinforce:policy=bernoulli,decoder=pca --first-seed 1000 --out runs/two

An agent is a name of `nases search`, and after a colon its settings or the environment's decoder, calibration and
reward. The same command goes on after it was stopped, and with more agents or seeds makes only those.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from tqdm import tqdm

from agents.arena.comparison import Comparison
from agents.arena.on_cluster import check_cluster, on_cluster
from agents.arena.runs import BASELINE, FAILURES, Entry, Run, in_processes, prepare
from agents.commands import startup
from nases_env.threads import cores


@dataclass(frozen=True)
class Options:
    """Runs every agent with every seed; `random` always takes part."""

    agents: tuple[str, ...]
    """Agents that search: names, or name:setting=value,…"""
    out: Path
    """Folder of the results."""
    env_id: str = "NASES-Digits-Surrogate-v0"
    """The environment; a surrogate's has noise."""
    env_keywords: tuple[str, ...] = ()
    """Keywords of the environment: --env-keywords dataset=imagefolder:PATH protocol=cifar10-mini."""
    seeds: int = 10
    """Searches of each agent."""
    first_seed: int = 1000
    """The first seed; the others follow it."""
    children: int = 100
    """The budget of a search."""
    score: Literal["best", "chosen"] = "best"
    """What a search is scored by. `best`: its best reward. `chosen`: the mean validation accuracy of the child that its
    agent recommends, with fresh child seeds (on a surrogate without noise). Where rewards or decoders differ, compare
    by `chosen`."""
    workers: int = cores()
    """Processes, one search each."""
    executor: str | None = None
    """Searches on a Ray cluster instead, so many at once: ray:cpu*16, ray:cuda*8 (a GPU each), or
    ray://HOST:PORT/cuda*8."""

    def runs(self) -> dict[str, list[Run]]:
        """All searches, by agent.

        Raises:
            ValueError: If a number is below 1, or there is no such cluster, agent, setting or environment.
        """
        if min(self.seeds, self.children, self.workers) < 1 or self.first_seed < 0:
            raise ValueError("--seeds, --children and --workers have to be at least 1, --first-seed at least 0")
        if self.executor is not None:
            check_cluster(self.executor)
        if not self.agents:
            raise ValueError("--agents names no agent to compare with random search; give some")
        entries = [Entry.parse(name) for name in dict.fromkeys((*self.agents, BASELINE))]
        seeds = range(self.first_seed, self.first_seed + self.seeds)
        return {
            entry.name: Run.of(entry, self.env_id, self.env_keywords, seeds, self.children, self.out)
            for entry in entries
        }

    def made(self, runs: list[Run]) -> Iterator[None]:
        """Make searches; yields when one is recorded."""
        if self.executor is None:
            return in_processes(runs, self.workers)
        return on_cluster(runs, check_cluster(self.executor))


def table(rows: list[dict[str, Any]]) -> str:
    """The summary as text."""
    lines = [
        f"{'agent':48}{'iqm':>8}{'(95 %':>9}{'interval)':>10}{'over random':>14}{'(interval)':>16}{'children':>10}"
    ]
    for row in rows:
        interval = f"({row['probability_low']:.2f} to {row['probability_high']:.2f})"
        lines.append(
            f"{row['agent']:48}{row['iqm']:8.3f}{row['iqm_low']:9.3f}{row['iqm_high']:10.3f}"
            f"{row['probability_over_random']:14.2f}{interval:>16}{row['children_to_random_best']:10.0f}"
        )
    return "\n".join(lines)


def main(options: Options) -> int:
    """Search, write; returns the exit status."""
    try:
        runs = options.runs()
        every = [run for of_agent in runs.values() for run in of_agent]
        missing = [run for run in every if run.recorded() is None]
        prepare(missing)
        with tqdm(total=len(every), initial=len(every) - len(missing), unit="search") as bar:
            for _ in options.made(missing):
                bar.update()
        records = {name: [run.make() for run in of_agent] for name, of_agent in runs.items()}
        comparison = Comparison(records, options.score)
        comparison.write(options.out, startup.called())
    except KeyboardInterrupt:
        print(f"interrupted; the same command goes on from {options.out}")
        return startup.INTERRUPTED
    except FAILURES as error:
        print(f"error: {error}", file=sys.stderr)
        return startup.WRONG
    print(table(comparison.summary))
    print(*comparison.notes(), sep="\n")
    print(f"summary: {options.out / 'summary.csv'}; page: {options.out / 'index.html'}")
    return 0
