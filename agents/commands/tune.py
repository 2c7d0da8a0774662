"""Chooses an agent's settings: many configurations on few seeds, the best of them on more (successive halving).

    nases tune --agent evolution --grid population=10,20,40 sample=3,5,10 mutations=1,2,3 --out runs/tuning

Configurations are drawn from the grid, the agent's defaults are the first one. Report what wins on other seeds
(`nases compare`). The same command goes on after it was stopped.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from agents.arena.runs import FAILURES, Entry, Run
from agents.arena.tuning import configurations, round_sizes, tune
from agents.commands import startup
from nases_env import files
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
    """What a search is scored by, as in `nases compare`."""
    workers: int = cores()
    """Processes, one search each."""

    def rows(self) -> list[dict[str, object]]:
        """Run all rounds; returns a row for each round of each configuration, see `tune`.

        Raises:
            ValueError: If a number is below 1, or there is no such round, grid, agent, setting or environment.
        """
        if min(self.children, self.workers) < 1 or self.first_seed < 0:
            raise ValueError("--children and --workers have to be at least 1, --first-seed at least 0")
        sizes = round_sizes(self.rounds)
        seeds = range(self.first_seed, self.first_seed + sizes[-1][1])

        def searches(entry: Entry) -> list[Run]:
            return Run.of(entry, self.env_id, self.env_keywords, seeds, self.children, self.out)

        return tune(configurations(self.agent, self.grid, sizes[0][0]), sizes, searches, self.score, self.workers)


def main(options: Options) -> int:
    """Tune, write `tuning.csv`; returns the exit status."""
    try:
        rows = options.rows()
        files.write_csv(options.out / "tuning.csv", rows)
    except KeyboardInterrupt:
        print(f"interrupted; the same command goes on from {options.out}")
        return startup.INTERRUPTED
    except FAILURES as error:
        print(f"error: {error}", file=sys.stderr)
        return startup.WRONG
    for row in rows:
        print(f"{row['round']} {row['seeds']:3} {row['mean']:.3f} {row['probability_over_random']:.2f} {row['agent']}")
    print(f"table: {options.out / 'tuning.csv'}; the first row's agent is one for nases compare --agents")
    return 0
