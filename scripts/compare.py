"""Compares agents on the same environment, over many seeds: a table, curves, a page.

    python scripts/compare.py --agents reinforce random evolution --seeds 30 --out runs/arena
    python scripts/compare.py --agents random reinforce:policy=bernoulli,decoder=pca --first-seed 1000 --out runs/two

An agent is a name of scripts/search.py, and after a colon its settings or the environment's decoder, calibration and
reward. The same command goes on after it was stopped, and with more agents or seeds makes only those.
"""

from __future__ import annotations

import startup

import shlex
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import gymnasium as gym
import numpy as np
import tables
import tyro
from comparing import page, statistics
from comparing.runs import BASELINE, Entry, Run, in_processes, score
from tqdm import tqdm

import nases_env  # noqa: F401  (registers the ids)
from agents.trace import COLUMNS
from nases_env.evaluators import WorkerStartError
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
    """What a search is scored by. `best`: its best reward. `chosen`: the mean validation accuracy of the child that had
    it, with fresh child seeds (on a surrogate without noise). Where rewards or decoders differ, compare by `chosen`."""
    workers: int = cores()
    """Processes, one search each."""

    def runs(self) -> dict[str, list[Run]]:
        """All searches, by agent.

        Raises:
            ValueError: If a number is below 1, or there is no such agent, setting or environment.
        """
        if min(self.seeds, self.children, self.workers) < 1 or self.first_seed < 0:
            raise ValueError("--seeds, --children and --workers have to be at least 1, --first-seed at least 0")
        entries = [Entry.parse(name) for name in dict.fromkeys((*self.agents, BASELINE))]
        seeds = range(self.first_seed, self.first_seed + self.seeds)
        return {
            entry.name: Run.of(entry, self.env_id, self.env_keywords, seeds, self.children, self.out)
            for entry in entries
        }


def summarise(name: str, records: list[dict[str, Any]], scores: dict[str, np.ndarray], goal: float) -> dict[str, Any]:
    """One agent's row of summary.csv.

    Args:
        name: The agent.
        records: Its searches.
        scores: The scores of every agent, (seeds,) each.
        goal: Median best reward of random search.
    """
    own, middle = scores[name], statistics.iqm(scores[name])
    over_random = statistics.probability_of_improvement(own, scores[BASELINE])
    rows = [record["children"] for record in records]
    return {
        "agent": name,
        "iqm": middle.value,
        "iqm_low": middle.low,
        "iqm_high": middle.high,
        "median": float(np.median(own)),
        "best": float(own.max()),
        "worst": float(own.min()),
        "seeds": len(own),
        "unique": float(np.mean([len({row["architecture_key"] for row in search}) for search in rows])),
        "failures": sum(bool(row["failure"]) for search in rows for row in search),
        "seconds": float(np.mean([record["seconds"] for record in records])),
        "probability_over_random": over_random.value,
        "probability_low": over_random.low,
        "probability_high": over_random.high,
        "children_to_random_best": statistics.children_to_reach(curves(records), goal),
    }


def curves(records: list[dict[str, Any]]) -> np.ndarray:
    """The best reward so far of each search at each child, (seeds, children)."""
    return statistics.best_so_far(np.array([[row["reward"] for row in record["children"]] for record in records]))


def write(options: Options, records: dict[str, list[dict[str, Any]]]) -> list[dict[str, Any]]:
    """Write tables, pictures and the page; returns the summary."""
    scores = {name: np.array([score(record, options.score) for record in made]) for name, made in records.items()}
    best = {name: curves(made) for name, made in records.items()}
    goal = float(np.median(best[BASELINE][:, -1]))
    rows = [summarise(name, made, scores, goal) for name, made in records.items()]
    rows.sort(key=lambda row: -row["iqm"])
    tables.write(options.out / "summary.csv", rows)
    children = [
        {"agent": name, "seed": record["run"]["seed"]} | {column: row[column] for column in COLUMNS}
        for name, made in records.items()
        for record in made
        for row in record["children"]
    ]
    tables.write(options.out / "children.csv", children)
    searches = [
        {
            "agent": name,
            "seed": record["run"]["seed"],
            "best_reward": score(record, "best"),
            "chosen_accuracy": score(record, "chosen"),
            "seconds": record["seconds"],
        }
        for name, made in records.items()
        for record in made
    ]
    tables.write(options.out / "searches.csv", searches)
    pictures = [options.out / "curves.png", options.out / "probabilities.png"]
    page.draw_curves(pictures[0], {row["agent"]: best[row["agent"]] for row in rows})
    page.draw_probabilities(pictures[1], rows)
    deviation = float(scores[BASELINE].std(ddof=1)) if options.seeds > 1 else float("nan")
    detectable = statistics.smallest_detectable_difference(deviation, options.seeds)
    notes = [
        shlex.join(["python", *sys.argv]),
        f"Score: {options.score}. Between two agents a difference of {detectable:.3f} is found with a probability of "
        f"80 % (random search's standard deviation {deviation:.3f}, {options.seeds} seeds, 5 % level).",
        f"children_to_random_best: to reach {goal:.3f}, the median best reward of random search's {options.children}.",
    ]
    page.write(options.out / "index.html", f"{options.env_id}: {options.children} children", notes, rows, pictures)
    (options.out / "notes.txt").write_text("\n".join(notes) + "\n", encoding="utf-8")
    return rows


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
        with tqdm(total=len(every), initial=len(every) - len(missing), unit="search") as bar:
            for _ in in_processes(missing, options.workers):
                bar.update()
        records = {name: [run.make() for run in of_agent] for name, of_agent in runs.items()}
        rows = write(options, records)
    except KeyboardInterrupt:
        print(f"interrupted; the same command goes on from {options.out}")
        return 130
    except (ValueError, OSError, ImportError, TypeError, gym.error.Error, WorkerStartError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(table(rows))
    print(f"summary: {options.out / 'summary.csv'}; page: {options.out / 'index.html'}")
    return 0


if __name__ == "__main__":
    sys.exit(startup.run(lambda: main(tyro.cli(Options))))
