"""Simulates searches on a cluster with a virtual clock: how long workers wait, and what that does to what is found.

    nases simulate-cluster
    nases simulate-cluster --agents reinforce evolution --seeds 30

Nothing is trained: how long children take is drawn from a table of evaluations, what they are worth a surrogate tells.
"""

from __future__ import annotations

import csv
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import torch
from matplotlib.figure import Figure
from tqdm import tqdm

import agents
from agents.arena.noise_free import NoiseFree
from agents.commands import startup
from agents.trace import Trace
from nases_env import files
from nases_env.benchmarking.cluster import Cluster, Workers, simulate
from nases_env.env import NASESEnv
from nases_env.evaluation import Evaluation
from nases_env.evaluators.surrogate import SurrogateEvaluator
from nases_env.surrogate_fitting import table

SURROGATE = "NASES-Digits-Surrogate-v0"
PAUSES = 0.99
"""Longer than this quantile of a table's seconds a machine paused: they count as so long."""
V1_STEPS = np.array([25.4, 31.8, 22.1, 73.1]) / 1000
"""Seconds that a training step of four children of `v1-search` took, see docs/performance.md."""
V1_STEPS_A_CHILD = 3_520
"""Steps of a child of `v1-search`: 10 epochs of 45,000 images in batches of 128."""


@dataclass(frozen=True)
class Options:
    """Prints and writes tables: of the time that workers wait, and of searches where agents are named."""

    times: Path = Path("docs/results/collected-digits.csv.gz")
    """Table of `nases collect` whose seconds children take."""
    workers: tuple[int, ...] = (8, 64, 512)
    """How many workers train children."""
    rounds: int = 25
    """Children for each of them."""
    driver_ms: tuple[float, ...] = (0.0, 5.0, 50.0)
    """Milliseconds that the driver takes for a child: it chooses, records and learns of one after the other."""
    agents: tuple[str, ...] = ()
    """Agents whose searches on the digits surrogate are simulated: one child at a time, in batches, asynchronously."""
    flight: int = 8
    """Children in a batch, and workers."""
    seeds: int = 30
    """Searches of each agent and way, from seed 0 on."""
    children: int = 100
    """The budget of a search."""
    out: Path = Path("runs/scaling")
    """Folder for waiting.csv, scaling.png and searches.csv; searches that the last one holds are not made again."""

    def __post_init__(self) -> None:
        if min(*self.workers, self.rounds, self.flight, self.seeds, self.children) < 1 or min(self.driver_ms) < 0:
            raise ValueError(
                "--workers, --rounds, --flight, --seeds and --children have to be at least 1, --driver-ms at least 0"
            )


def waiting(options: Options, recorded: np.ndarray) -> Iterator[dict[str, Any]]:
    """A row for each kind of children, number of workers and driver: how long workers wait, and what is trained."""
    rng = np.random.default_rng(0)
    logs = np.log(V1_STEPS)
    kinds: dict[str, Callable[[int], np.ndarray]] = {
        "digits": lambda count: rng.choice(recorded, count),
        "v1-search": lambda count: V1_STEPS_A_CHILD * rng.lognormal(logs.mean(), logs.std(ddof=1), count),
    }
    for kind, draw in kinds.items():
        for count in options.workers:
            seconds = draw(options.rounds * count)
            for milliseconds in options.driver_ms:
                row: dict[str, Any] = {"children": kind, "workers": count, "driver_ms": milliseconds}
                for name, asynchronous in (("batch", False), ("asynchronous", True)):
                    workers = simulate(seconds, Workers(count), milliseconds / 1000, asynchronous)
                    row |= {f"{name} idle": workers.idle, f"{name} children a second": len(seconds) / workers.now}
                yield row


class Searches:
    """Searches on the digits surrogate whose children seem to take time: as long as recorded ones of their FLOPs.

    Args:
        recorded: Seconds of recorded children.
        flops: Their FLOPs.
    """

    def __init__(self, recorded: np.ndarray, flops: np.ndarray):
        order = np.argsort(flops, kind="stable")
        self._flops, self._recorded = flops[order], recorded[order]
        environment = gym.make(SURROGATE, noise=True).unwrapped
        assert isinstance(environment, NASESEnv) and environment.surrogate is not None
        self._decided = {name: environment.surrogate.decides[name] for name in ("space", "rules")}
        self._evaluator = SurrogateEvaluator(environment.surrogate, environment.space)
        self._noise_free = NoiseFree(SURROGATE)

    def __call__(self, name: str, seed: int, children: int, flight: int, asynchronous: bool) -> dict[str, Any]:
        """One search: what it found, without noise; how long it would have taken; and the driver's own time."""
        spent: dict[str, float] = defaultdict(float)
        with tempfile.TemporaryDirectory() as folder:
            cluster = Cluster(_Timed(self._evaluator, spent), Workers(flight), self._seconds)
            keywords = agents.find(name).env_kwargs | self._decided
            env = gym.make("NASES-v0", evaluator=cluster, ledger=str(Path(folder) / "journal.log"), **keywords)
            trace = Trace(env, children)
            agent = agents.find(name)(trace, seed)
            for method in ("ask", "tell"):
                setattr(agent, method, _timed(getattr(agent, method), spent, method))
            start = time.process_time()
            agent.run(trace, children, batch=flight, asynchronous=asynchronous)
            total = time.process_time() - start
            trace.close()
        rewards = self._noise_free(np.stack(trace.origins))
        chosen = agent.recommend(trace)
        assert chosen is not None, "no child of a surrogate fails"
        spent["rest"] = total - spent["ask"] - spent["tell"] - spent["evaluate"]
        return {
            "agent": name,
            "flight": flight,
            "asynchronous": asynchronous,
            "seed": seed,
            "best": float(rewards.max()),
            "chosen": float(rewards[chosen]),
            "seconds": cluster.workers.now,
            "idle": cluster.workers.idle,
            **{f"{what}_ms": 1000 * spent[what] / children for what in ("ask", "tell", "rest")},
        }

    def _seconds(self, evaluation: Evaluation) -> float:
        nearest = np.searchsorted(self._flops, evaluation.flops).clip(max=len(self._flops) - 1)
        return float(self._recorded[nearest])


class _Timed:
    """An evaluator whose processor time is noted."""

    def __init__(self, evaluator: SurrogateEvaluator, spent: dict[str, float]):
        self.fingerprint = evaluator.fingerprint
        self.evaluate = _timed(lambda *given: list(evaluator.evaluate(*given)), spent, "evaluate")


def _timed(function: Callable, spent: dict[str, float], name: str) -> Callable:
    def timed(*given: Any) -> Any:
        start = time.process_time()
        try:
            return function(*given)
        finally:
            spent[name] += time.process_time() - start

    return timed


def search_all(options: Options, recorded: np.ndarray, flops: np.ndarray) -> list[dict[str, Any]]:
    """A row for each search; those of an earlier start are read."""
    file = options.out / "searches.csv"
    rows: list[dict[str, Any]] = list(csv.DictReader(file.open(encoding="utf-8"))) if file.is_file() else []
    done = {(row["agent"], row["flight"], row["asynchronous"], row["seed"]) for row in rows}
    ways = [(1, False), (options.flight, False), (options.flight, True)]
    asked = [(name, *way, seed) for seed in range(options.seeds) for name in options.agents for way in ways]
    search = Searches(recorded, flops)
    for name, flight, asynchronous, seed in tqdm(asked, unit="search"):
        if (name, str(flight), str(asynchronous), str(seed)) in done:
            continue
        rows.append(search(name, seed, options.children, flight, asynchronous))
        files.write_csv(file, rows)
    return rows


def _draw(rows: list[dict[str, Any]], file: Path) -> None:
    """Draw how long workers wait, by their number: a panel for each kind of children."""
    kinds = [*dict.fromkeys(row["children"] for row in rows)]
    figure = Figure(figsize=(4.5 * len(kinds), 3.6), layout="constrained")
    panels = figure.subplots(1, len(kinds), sharey=True, squeeze=False)[0]
    for axes, kind in zip(panels, kinds, strict=True):
        for index, milliseconds in enumerate(dict.fromkeys(row["driver_ms"] for row in rows)):
            of = [row for row in rows if row["children"] == kind and row["driver_ms"] == milliseconds]
            for name, style in (("batch", "o--"), ("asynchronous", "o-")):
                idle = [100 * row[f"{name} idle"] for row in of]
                label = f"{name}, driver {milliseconds:g} ms"
                axes.plot([row["workers"] for row in of], idle, style, color=f"C{index}", label=label)
        axes.set(title=f"children of {kind}", xlabel="workers, and children in flight", xscale="log", ylim=(0, 100))
        axes.set_xticks([row["workers"] for row in of], [f"{row['workers']}" for row in of])
        axes.minorticks_off()
        axes.grid(alpha=0.3)
    panels[0].set_ylabel("% of the workers' time without work")
    panels[-1].legend(fontsize=6.5, handlelength=4, loc="upper left")
    figure.savefig(file, dpi=150)


def _recorded(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Seconds and FLOPs of the children of a table that did not fail; above PAUSES the seconds are cut.

    Raises:
        ValueError: If it is not a table of evaluations; OSError if it cannot be read.
    """
    try:
        lines = [line for line in table.lines(path) if not line["failure"]]
        seconds = np.array([float(line["seconds"]) for line in lines])
        return seconds.clip(max=np.quantile(seconds, PAUSES)), np.array([float(line["flops"]) for line in lines])
    except (KeyError, IndexError) as error:
        raise ValueError(f"{path} is no table of nases collect ({error!r})") from error


def _told(row: dict[str, Any]) -> str:
    shares = ", ".join(f"{name} {row[f'{name} idle']:.0%} idle" for name in ("batch", "asynchronous"))
    return f"{row['children']}, {row['workers']} workers, driver {row['driver_ms']:g} ms a child: {shares}"


def main(options: Options) -> int:
    """Simulate, print, write; returns the exit status."""
    torch.set_num_threads(1)
    try:
        recorded, flops = _recorded(options.times)
        rows = list(waiting(options, recorded))
        files.write_csv(options.out / "waiting.csv", rows)
        for row in rows:
            print(_told(row))
        _draw(rows, options.out / "scaling.png")
        if options.agents:
            search_all(options, recorded, flops)
    except (ValueError, OSError, ImportError) as error:
        print(f"error: {error}", file=sys.stderr)
        return startup.WRONG
    print(f"tables: {options.out}")
    return 0
