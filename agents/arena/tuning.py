"""Successive halving: many configurations of an agent on few seeds, the best of them on more."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence

import numpy as np
from tqdm import tqdm

from agents.arena import statistics
from agents.arena.runs import BASELINE, Entry, Run, in_processes, prepare, score


def round_sizes(rounds: Sequence[str]) -> list[tuple[int, int]]:
    """Configurations and seeds of each round, from texts such as `32x2`.

    Raises:
        ValueError: If a round is no two numbers, or seeds do not rise while configurations fall.
    """
    parts = [text.split("x") for text in rounds]
    if not parts or not all(len(part) == 2 and all(number.isdigit() for number in part) for part in parts):
        raise ValueError(f"--rounds {' '.join(rounds)}: expected configurations x seeds, such as 32x3 8x10")
    sizes = [(int(count), int(seeds)) for count, seeds in parts]
    falling = all(a[0] >= b[0] >= 1 and 1 <= a[1] <= b[1] for a, b in itertools.pairwise(sizes))
    if not falling or min(sizes[0]) < 1:
        raise ValueError(f"--rounds {' '.join(rounds)}: each has to have fewer configurations and more seeds")
    return sizes


def configurations(agent: str, grid: Sequence[str], count: int) -> list[Entry]:
    """The agent's defaults, and configurations drawn from the grid, or the whole grid where it has no more.

    Args:
        agent: Its name.
        grid: The values of each setting, as texts `setting=value,value,…`.
        count: How many configurations there are at most.

    Raises:
        ValueError: If a part of the grid has no values, or there is no such agent or setting.
    """
    names, values = [], []
    for part in grid:
        name, separator, given = part.partition("=")
        if not separator or not given:
            raise ValueError(f"--grid {part}: expected setting=value,value,…")
        names.append(name)
        values.append(given.split(","))
    whole = list(itertools.product(*values))
    drawn = np.random.default_rng(0).permutation(len(whole))[: count - 1]
    settings = [",".join(map("=".join, zip(names, whole[index], strict=True))) for index in drawn]
    entries = [Entry.parse(agent), *(Entry.parse(f"{agent}:{text}") for text in settings)]
    # The defaults may be a point of the grid as well.
    return [entry for i, entry in enumerate(entries) if i == 0 or entry.meaning != entries[0].meaning]


def tune(
    entries: Sequence[Entry],
    sizes: Sequence[tuple[int, int]],
    searches: Callable[[Entry], list[Run]],
    kind: str,
    workers: int,
) -> list[dict[str, object]]:
    """Run all rounds, each with the configurations whose mean score was highest in the one before.

    Args:
        entries: Configurations to choose from, the first round's.
        sizes: Configurations and seeds of each round, see `round_sizes`.
        searches: Makes the searches of an entry, with as many seeds as the last round has.
        kind: What a search is scored by, `best` or `chosen`.
        workers: Processes, one search each.

    Returns:
        A row for each round of each configuration, the last round's best first.
    """
    kept = list(entries)
    runs = {entry.name: searches(entry) for entry in (*kept, Entry.parse(BASELINE))}
    prepare(searches[0] for searches in runs.values())
    rows: list[dict[str, object]] = []
    for number, (count, seeds) in enumerate(sizes):
        kept = kept[:count]
        due = {name: runs[name][:seeds] for name in (*(entry.name for entry in kept), BASELINE)}
        missing = [run for of_entry in due.values() for run in of_entry if run.recorded() is None]
        for _ in tqdm(in_processes(missing, workers), total=len(missing), desc=f"round {number + 1}"):
            pass
        scores = {name: np.array([score(run.make(), kind) for run in made]) for name, made in due.items()}
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
