"""Tells where searches lose: what an embedding reaches, what an agent finds in it, and what it chooses.

nases inspect-reach
nases inspect-reach --decoders autoencoder identity --agents reinforce lstm --seeds 30
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import gymnasium as gym
import numpy as np
import torch
from tqdm import tqdm

from agents.arena import explained, reach_pictures
from agents.arena.noise_free import NoiseFree
from agents.arena.reach import reach
from agents.arena.regret import Searched, concentration, regret, search
from agents.arena.runs import FAILURES, Entry
from agents.commands import startup
from nases_env import embeddings, files
from nases_env.search_spaces import SearchSpace, registry

IDENTITY = "identity"
"""The decoder that reaches the whole space."""


@dataclass(frozen=True)
class Options:
    """Asks a surrogate without noise; prints and writes three tables and two pictures."""

    decoders: tuple[str, ...] = ()
    """Names or weights files, see `nases search`; none: all that are shipped for the environment's space, pca, random
    and identity."""
    calibrations: tuple[str, ...] = ("none", "output", "both")
    """Calibrations that each decoder is measured with; none changes identity, and `both` is `output` to pca and
    random."""
    agents: tuple[str, ...] = ("reinforce", "lstm", "predictor", "evolution")
    """Agents whose searches are looked at: names, or name:setting=value,… as of `nases compare`."""
    env_id: str = "NASES-Digits-Surrogate-v0"
    """A surrogate's environment; only searches have its noise."""
    seeds: int = 100
    """Searches of each agent."""
    first_seed: int = 0
    """The first seed; the others follow it."""
    children: int = 100
    """The budget of a search."""
    samples: int = 100_000
    """Uniform actions of each decoder; a fifth as many architectures fit and test the models of decisions."""
    evaluations: int = 20_000
    """Rewards that a long search for the best reachable one asks for."""
    restarts: int = 3
    """Long searches in each embedding; the best counts."""
    seed: int = 0
    """Seed of the actions."""
    out: Path = Path("runs/reach")
    """Folder for explained.csv, reach.csv, regret.csv, reach.png and regret.png."""

    def __post_init__(self) -> None:
        if min(self.seeds, self.children, self.evaluations, self.restarts) < 1 or self.first_seed < 0:
            raise ValueError(
                "--seeds, --children, --evaluations and --restarts have to be at least 1, --first-seed at least 0"
            )
        if self.samples < 1000:
            raise ValueError(f"--samples {self.samples} are too few for quantiles; choose at least 1000")


def reach_table(options: Options, reward: NoiseFree) -> list[dict]:
    """A row for each decoder and calibration that differ."""
    named = options.decoders or (*registry.find(reward.space.name).decoders, *embeddings.LINEAR, IDENTITY)
    rows = []
    for name in named:
        for calibration in _different(name, options.calibrations):
            decoder = embeddings.make(name, reward.space, calibration)
            rows.append({"decoder": name, "calibration": calibration} | _reach(options, reward, decoder))
            print(_told(rows[-1]), flush=True)
    return rows


def _different(name: str, calibrations: tuple[str, ...]) -> tuple[str, ...]:
    """Calibrations with which a decoder is not the same as with one before."""
    if name == IDENTITY:
        return calibrations[:1]
    return tuple(each for each in calibrations if each != "both" or name not in embeddings.LINEAR)


def _reach(options: Options, reward: NoiseFree, decoder: embeddings.Decoder) -> dict[str, float]:
    rng = np.random.default_rng(options.seed)
    return reach(decoder, reward, options.samples, options.evaluations, options.restarts, rng)


def searches_of(options: Options, entries: Sequence[Entry], reward: NoiseFree) -> dict[str, list[Searched]]:
    """The searches of every agent, by its name."""
    torch.set_num_threads(1)
    seeds = range(options.first_seed, options.first_seed + options.seeds)
    with tqdm(total=len(entries) * len(seeds), unit="search") as bar:
        made: dict[str, list[Searched]] = {entry.name: [] for entry in entries}
        for entry in entries:
            for seed in seeds:
                made[entry.name].append(search(entry, options.env_id, seed, options.children, reward))
                bar.update()
    return made


def reachable_of(options: Options, entries: Sequence[Entry], reward: NoiseFree) -> dict[str, float]:
    """The best reward that is known to be reachable by each agent, by its name."""
    reachable, measured = {}, {}
    for entry in entries:
        embedding = entry.environment.get("decoder"), entry.environment.get("calibration")
        if embedding not in measured:
            with gym.make(options.env_id, **entry.environment) as env:
                measured[embedding] = _reach(options, reward, env.get_wrapper_attr("decoder"))["reachable"]
        reachable[entry.name] = measured[embedding]
    return reachable


def regret_table(
    searches: dict[str, list[Searched]], reachable: dict[str, float], best: float, space: SearchSpace
) -> list[dict]:
    """A row for each agent: means over its searches of how the regret splits and how concentrated the end is."""
    rows = []
    for name, made in searches.items():
        told = [regret(each, reachable[name], best) | concentration(each, space) for each in made]
        rows.append(
            {"agent": name, "seeds": len(made)} | {key: float(np.mean([t[key] for t in told])) for key in told[0]}
        )
        print(_told(rows[-1]), flush=True)
    return rows


def _told(row: dict) -> str:
    words = [f"{key} {value:.3f}" if isinstance(value, float) else str(value) for key, value in row.items()]
    return ", ".join(words)


def write(options: Options) -> None:
    """Measure everything and write it."""
    options.out.mkdir(parents=True, exist_ok=True)  # a folder that cannot be written is found out first
    reward, entries = NoiseFree(options.env_id), [Entry.parse(name) for name in options.agents]
    models = explained.explained(reward, options.samples // 5, np.random.default_rng(options.seed))
    files.write_csv(options.out / "explained.csv", models)
    print(*map(_told, models), sep="\n", flush=True)
    reached = reach_table(options, reward)
    files.write_csv(options.out / "reach.csv", reached)
    searches, reachable = searches_of(options, entries, reward), reachable_of(options, entries, reward)
    # Evolution may have missed what a search happened to build.
    found = {name: max(each.noise_free.max() for each in made) for name, made in searches.items()}
    reachable = {name: max(value, float(found[name])) for name, value in reachable.items()}
    best = max(*reachable.values(), *(row["reachable"] for row in reached))
    rows = regret_table(searches, reachable, best, reward.space)
    files.write_csv(options.out / "regret.csv", rows)
    reach_pictures.draw_reach(options.out / "reach.png", reached, best)
    reach_pictures.draw_regret(options.out / "regret.png", rows, searches)


def main(options: Options) -> int:
    """Measure and write; returns the exit status."""
    try:
        write(options)
    except FAILURES as error:
        print(f"error: {error}", file=sys.stderr)
        return startup.WRONG
    print(f"tables and pictures: {options.out}")
    return 0
