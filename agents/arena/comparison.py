"""What the searches of several agents found: tables, pictures and a page."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from agents.arena import page, statistics
from agents.arena.runs import BASELINE, score
from agents.trace import COLUMNS
from nases_env import files


@dataclass(frozen=True)
class Comparison:
    """The searches of several agents in one environment, each with the same seeds and the same budget.

    Args:
        records: What `Run.make` recorded for each seed, by agent; random search is one of the agents.
        kind: What a search is scored by, `best` or `chosen`.
    """

    records: dict[str, list[dict[str, Any]]]
    kind: str

    @cached_property
    def scores(self) -> dict[str, np.ndarray]:
        """The scores of every agent, (seeds,) each."""
        return {name: np.array([score(record, self.kind) for record in made]) for name, made in self.records.items()}

    @cached_property
    def curves(self) -> dict[str, np.ndarray]:
        """The best reward so far of each agent's searches at each child, (seeds, children)."""
        return {
            name: statistics.best_so_far(np.array([[row["reward"] for row in record["children"]] for record in made]))
            for name, made in self.records.items()
        }

    @property
    def goal(self) -> float:
        """Median best reward of random search."""
        return float(np.median(self.curves[BASELINE][:, -1]))

    @cached_property
    def summary(self) -> list[dict[str, Any]]:
        """A row for each agent, the highest score first."""
        return sorted(map(self._row, self.records), key=lambda row: -row["iqm"])

    def searches(self) -> list[dict[str, Any]]:
        """A row for each search."""
        return [
            {
                "agent": name,
                "seed": record["run"]["seed"],
                "best_reward": score(record, "best"),
                "chosen_accuracy": score(record, "chosen"),
                "seconds": record["seconds"],
            }
            for name, made in self.records.items()
            for record in made
        ]

    def children(self) -> list[dict[str, Any]]:
        """A row for each child of each search."""
        return [
            {"agent": name, "seed": record["run"]["seed"]} | {column: row[column] for column in COLUMNS}
            for name, made in self.records.items()
            for record in made
            for row in record["children"]
        ]

    def notes(self) -> list[str]:
        """What one has to know to read the summary."""
        random = self.scores[BASELINE]
        deviation = float(random.std(ddof=1)) if len(random) > 1 else float("nan")
        detectable = statistics.smallest_detectable_difference(deviation, len(random))
        return [
            f"Score: {self.kind}. Between two agents a difference of {detectable:.3f} is found with a probability of "
            f"80 % (random search's standard deviation {deviation:.3f}, {len(random)} seeds, 5 % level).",
            f"children_to_random_best: to reach {self.goal:.3f}, the median best reward of random search's "
            f"{self._run['children']}.",
            *(
                f"{name} built the same children as {BASELINE}: its budget of {self._run['children']} is over before "
                "it chooses by itself. Compare with more children."
                for name in self.records
                if name != BASELINE and self._built(name) == self._built(BASELINE)
            ),
        ]

    def write(self, out: Path, command: str) -> None:
        """Write tables, pictures, notes and the page.

        Args:
            out: The folder.
            command: What the comparison was made with, for the notes.
        """
        rows = self.summary
        for name, table in (("summary", rows), ("children", self.children()), ("searches", self.searches())):
            files.write_csv(out / f"{name}.csv", table)
        pictures = [out / "curves.png", out / "probabilities.png"]
        page.draw_curves(pictures[0], {row["agent"]: self.curves[row["agent"]] for row in rows})
        page.draw_probabilities(pictures[1], rows)
        notes = [command, *self.notes()]
        title = f"{self._run['env_id']}: {self._run['children']} children"
        page.write(out / "index.html", title, notes, rows, pictures)
        files.write(out / "notes.txt", ("\n".join(notes) + "\n").encode())

    def _built(self, name: str) -> list[list[str]]:
        """The keys of what an agent's searches built."""
        return [[row["architecture_key"] for row in record["children"]] for record in self.records[name]]

    @property
    def _run(self) -> dict[str, Any]:
        """What all searches have in common, and more."""
        return self.records[BASELINE][0]["run"]

    def _row(self, name: str) -> dict[str, Any]:
        """One agent's row of the summary."""
        own, middle = self.scores[name], statistics.iqm(self.scores[name])
        over_random = statistics.probability_of_improvement(own, self.scores[BASELINE])
        records = self.records[name]
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
            "children_to_random_best": statistics.children_to_reach(self.curves[name], self.goal),
        }
