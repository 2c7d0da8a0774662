"""Chooses an agent's settings: many configurations on few seeds, the best of them on more (successive halving).

    python scripts/tune.py --agent evolution --grid population=10,20,40 sample=3,5,10 mutations=1,2,3 --out runs/tuning

Configurations are drawn from the grid, the agent's defaults are the first one. Report what wins on other seeds
(scripts/compare.py). The same command goes on after it was stopped.
"""

from __future__ import annotations

import startup

import itertools
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import gymnasium as gym
import numpy as np
import tables
import tyro
from comparing import statistics
from comparing.runs import BASELINE, Entry, Run, in_processes, score
from tqdm import tqdm

import nases_env  # noqa: F401  (registers the ids)
from nases_env.evaluators import WorkerStartError
from nases_env.threads import cores


@dataclass(frozen=True)
class Options:
    """Runs rounds of searches; each keeps the configurations with the highest mean score."""

    agent: str
    """Agent whose settings are chosen."""
    grid: tuple[str, ...]
    """Values to choose from: setting=value,value,…; also the environment's decoder and calibration."""
    out: Path
    """Folder of the results."""
    rounds: tuple[str, ...] = ("32x2", "8x6", "2x30")
    """Configurations x seeds of each round."""
    first_seed: int = 0
    """The first seed; the others follow it."""
    env_id: str = "NASES-Digits-Surrogate-v0"
    """The environment; a surrogate's has noise."""
    env_keywords: tuple[str, ...] = ()
    """Keywords of the environment, name=value."""
    children: int = 100
    """The budget of a search."""
    score: Literal["best", "chosen"] = "best"
    """What a search is scored by, as in scripts/compare.py."""
    workers: int = cores()
    """Processes, one search each."""

    def sizes(self) -> list[tuple[int, int]]:
        """Configurations and seeds of each round.

        Raises:
            ValueError: If a round is no two numbers, or seeds do not rise while configurations fall.
        """
        parts = [text.split("x") for text in self.rounds]
        if min(self.children, self.workers) < 1 or self.first_seed < 0:
            raise ValueError("--children and --workers have to be at least 1, --first-seed at least 0")
        if not parts or not all(len(part) == 2 and all(number.isdigit() for number in part) for part in parts):
            raise ValueError(f"--rounds {' '.join(self.rounds)}: expected configurations x seeds, such as 32x3 8x10")
        sizes = [(int(count), int(seeds)) for count, seeds in parts]
        falling = all(a[0] >= b[0] >= 1 and 1 <= a[1] <= b[1] for a, b in itertools.pairwise(sizes))
        if not falling or min(sizes[0]) < 1:
            raise ValueError(f"--rounds {' '.join(self.rounds)}: each has to have fewer configurations and more seeds")
        return sizes

    def entries(self, count: int) -> list[Entry]:
        """The agent's defaults, and configurations drawn from the grid, or the whole grid where it has no more.

        Raises:
            ValueError: If a part of the grid has no values, or there is no such agent or setting.
        """
        names, values = [], []
        for part in self.grid:
            name, separator, given = part.partition("=")
            if not separator or not given:
                raise ValueError(f"--grid {part}: expected setting=value,value,…")
            names.append(name)
            values.append(given.split(","))
        whole = list(itertools.product(*values))
        drawn = np.random.default_rng(0).permutation(len(whole))[: count - 1]
        settings = [",".join(map("=".join, zip(names, whole[index], strict=True))) for index in drawn]
        entries = [Entry.parse(self.agent), *(Entry.parse(f"{self.agent}:{text}") for text in settings)]
        # The defaults may be a point of the grid as well.
        return [entry for i, entry in enumerate(entries) if i == 0 or entry.meaning != entries[0].meaning]


def tune(options: Options) -> list[dict[str, object]]:
    """Run all rounds; returns a row for each round of each configuration, the best first."""
    sizes = options.sizes()
    kept = options.entries(sizes[0][0])
    seeds = range(options.first_seed, options.first_seed + sizes[-1][1])
    runs = {
        entry.name: Run.of(entry, options.env_id, options.env_keywords, seeds, options.children, options.out)
        for entry in (*kept, Entry.parse(BASELINE))
    }
    rows: list[dict[str, object]] = []
    for number, (count, searches) in enumerate(sizes):
        kept = kept[:count]
        due = {name: runs[name][:searches] for name in (*(entry.name for entry in kept), BASELINE)}
        missing = [run for of_entry in due.values() for run in of_entry if run.recorded() is None]
        for _ in tqdm(in_processes(missing, options.workers), total=len(missing), desc=f"round {number + 1}"):
            pass
        scores = {name: np.array([score(run.make(), options.score) for run in made]) for name, made in due.items()}
        kept.sort(key=lambda entry: -scores[entry.name].mean())
        rows = [_row(entry, number + 1, scores) for entry in kept] + rows
    return rows


def _row(entry: Entry, number: int, scores: dict[str, np.ndarray]) -> dict[str, object]:
    own = scores[entry.name]
    over_random = statistics.probability_of_improvement(own, scores[BASELINE])
    return {
        "round": number,
        "seeds": len(own),
        "mean": float(own.mean()),
        "iqm": statistics.iqm(own).value,
        "probability_over_random": over_random.value,
        "probability_low": over_random.low,
        "probability_high": over_random.high,
        "agent": entry.name,
    }


def main(options: Options) -> int:
    """Tune, write `tuning.csv`; returns the exit status."""
    try:
        rows = tune(options)
        tables.write(options.out / "tuning.csv", rows)
    except KeyboardInterrupt:
        print(f"interrupted; the same command goes on from {options.out}")
        return 130
    except (ValueError, OSError, ImportError, TypeError, gym.error.Error, WorkerStartError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    for row in rows:
        print(f"{row['round']} {row['seeds']:3} {row['mean']:.3f} {row['probability_over_random']:.2f} {row['agent']}")
    print(f"table: {options.out / 'tuning.csv'}; the first row's agent is scripts/compare.py's --agents")
    return 0


if __name__ == "__main__":
    sys.exit(startup.run(lambda: main(tyro.cli(Options))))
