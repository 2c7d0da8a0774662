"""Measures how fast children, steps and decoders are on this machine: a table, and JSON to compare machines with.

    python scripts/benchmark.py
    python scripts/benchmark.py --children 6 --published --pure --workers 2 --json runs/benchmark.json
    python scripts/benchmark.py --space micro --protocol digits-micro --rungs ours

Children are trained three ways: `b0` is a tutorial's loop, `b1` a careful user's, `ours` the package's. The first two
know the macro space only.
"""

from __future__ import annotations

import startup

import os
import platform
import sys
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal
from unittest import mock

import gymnasium as gym
import numpy as np
import torch
import tyro
from benchmarking.children import Job, in_workers, training
from benchmarking.timing import Row, table, timed
from command_line import parse_overrides

from nases_env import embeddings, files, search_spaces
from nases_env.children.presets import resolve
from nases_env.children.protocol import Protocol
from nases_env.children.training import resolve_device
from nases_env.evaluators import Evaluation, WorkerStartError
from nases_env.evaluators.in_process import InProcessEvaluator
from nases_env.search_spaces import Architecture, MacroArchitecture, SearchSpace
from nases_env.search_spaces.macro import LAYERS, MacroLayer

ACTIONS = 10_000
STEPS = 50
SEARCHES = (64, 1024)
"""Numbers of searches side by side that are timed on a surrogate."""
PURE = {"conv3": ("convolution", 3), "conv5": ("convolution", 5), "conv7": ("convolution", 7), "sep5": ("separable", 5),
        "max7": ("max_pool", 7), "avg7": ("average_pool", 7)}  # fmt: skip
PURE_FILTERS = 170


@dataclass(frozen=True)
class Options:
    """Times decoders, steps of the environment and children."""

    decoders: tuple[str, ...] = ("autoencoder",)
    """Decoders to time, see scripts/search.py."""
    children: int = 4
    """Random architectures (seed 0) to train."""
    published: bool = False
    """Whether the architecture published with v1 is timed as well."""
    pure: bool = False
    """Whether networks of 15 equal layers of 170 filters are timed as well: conv3, conv5, conv7, sep5, max7, avg7."""
    rungs: tuple[Literal["b0", "b1", "ours"], ...] = ("b0", "b1", "ours")
    """Ways to train them: the baselines b0 and b1, and the package's own."""
    workers: int = 0
    """Worker processes in which all children are timed as well, compared with one; 0: they are not."""

    space: str = "macro"
    """Search space: macro or micro."""
    dataset: str = "digits"
    """digits, cifar10 or imagefolder:PATH."""
    data_dir: str = "data"
    """Folder of CIFAR-10."""
    protocol: str = "digits"
    """Protocol preset."""
    overrides: tuple[str, ...] = ()
    """Protocol fields to change: --overrides epochs=1 train_images=2000."""
    device: str = "auto"
    """auto, cpu or cuda."""
    loader_workers: int | None = None
    """Processes of the baselines' DataLoaders; None: 4 on CUDA, none on a CPU, where they share the child's cores."""

    repeats: int = 3
    """Timed runs of each row."""
    json: Path | None = None
    """File for the rows, the machine and the versions."""

    def check(self) -> None:
        """Raise ValueError where a number is out of its range, or the space lacks what is asked for."""
        if self.repeats < 1 or min(self.children, self.workers) < 0:
            raise ValueError(
                f"--repeats {self.repeats} has to be at least 1, --children {self.children} and --workers "
                f"{self.workers} at least 0"
            )
        if self.space != "macro" and (self.published or self.pure or set(self.rungs) - {"ours"}):
            raise ValueError(
                f"--published, --pure and the rungs b0 and b1 are of the macro space; time --space {self.space} with "
                "--rungs ours and without the other two"
            )

    def resolved(self) -> Protocol:
        """The protocol."""
        return resolve({"preset": self.protocol, **parse_overrides(self.overrides)})

    def job(self) -> Job:
        """What to train."""
        device = resolve_device(self.device)
        loader_workers = (4 if device.startswith("cuda") else 0) if self.loader_workers is None else self.loader_workers
        return Job(
            architectures(self),  # type: ignore[arg-type]  # only the baselines' have to be macro
            self.rungs,
            self.dataset,
            self.data_dir,
            self.resolved(),
            device,
            loader_workers,
            self.repeats,
        )


def decoding(name: str, space: SearchSpace, repeats: int) -> list[Row]:
    """Time loading a decoder, decoding one action and many, and encoding, on one core."""
    decoder = embeddings.make(name, space)
    actions = np.random.default_rng(0).uniform(size=(ACTIONS, decoder.action_size)).astype(np.float32)
    origins = space.sample(np.random.default_rng(1), ACTIONS)

    def load() -> None:
        embeddings.make(name, space).decode(actions[:1])

    return [
        timed(f"{name}: load and decode one action", load, repeats),
        timed(f"{name}: decode one action", lambda: decoder.decode(actions[:1]), repeats, calls=100),
        timed(f"{name}: decode {ACTIONS:,} actions", lambda: decoder.decode(actions), repeats),
        timed(f"{name}: encode {ACTIONS:,} vectors", lambda: decoder.encode(origins), repeats),
    ]


def stepping(options: Options) -> list[Row]:
    """Time `env.step` with everything but the child itself, which a constant stands for."""
    protocol = {"preset": options.protocol, **parse_overrides(options.overrides)}
    source: dict[str, Any] = {
        "space": options.space,
        "dataset": options.dataset,
        "data_dir": options.data_dir,
        "device": options.device,
        "protocol": protocol,
    }
    rows: list[Row] = []

    def constant(self: InProcessEvaluator, architecture: Architecture, seed: int) -> Evaluation:
        return Evaluation()

    with tempfile.TemporaryDirectory() as folder, mock.patch.object(InProcessEvaluator, "_evaluate", constant):
        for name, ledger in (("", None), (" with a journal", f"{folder}/journal.log")):
            env = gym.make("NASES-v0", ledger=ledger, **source)
            env.reset(seed=0)
            env.action_space.seed(0)

            def step(env: gym.Env = env) -> None:
                env.step(env.action_space.sample())

            rows.append(timed(f"env.step without the child{name}", step, options.repeats, STEPS))
            env.close()
    return rows


def surrogate_stepping(repeats: int) -> list[Row]:
    """Time steps of the environment on a surrogate with noise, of one search and of many side by side."""
    env = gym.make("NASES-Digits-Surrogate-v0", noise=True)
    env.reset(seed=0)
    actions = iter(np.random.default_rng(0).random(((repeats + 1) * STEPS, 20), np.float32))
    rows = [timed("surrogate: env.step", lambda: env.step(next(actions)), repeats, STEPS)]
    for searches in SEARCHES:
        many = gym.make_vec("NASES-Digits-Surrogate-v0", num_envs=searches, noise=True)
        many.reset(seed=0)
        many.action_space.seed(0)
        samples = iter([many.action_space.sample() for _ in range(10 * repeats + 1)])
        row = timed("", lambda many=many, samples=samples: many.step(next(samples)), repeats, 10)  # type: ignore[misc]
        spread = row.spread[0] / searches, row.spread[1] / searches
        name = f"surrogate: a step of one of {searches:,} searches"
        rows.append(Row(name, row.seconds / searches, spread, steps_per_second=searches / row.seconds))
    return rows


def architectures(options: Options) -> dict[str, Architecture]:
    """What to train, by name."""
    space = search_spaces.make(options.space)
    rows = space.discretise(space.sample(np.random.default_rng(0), options.children))
    found = {f"random {i}": space.architecture(row) for i, row in enumerate(rows)}
    if options.published:
        found["published"] = MacroArchitecture.published()
    if options.pure:
        for name, (operation, size) in PURE.items():
            layers = (MacroLayer(operation, size, PURE_FILTERS),) * LAYERS
            found[f"{name} × {LAYERS}"] = MacroArchitecture("paper", layers, ())
    return found


def main(options: Options) -> int:
    """Time, print, write; returns the exit status."""
    rows: list[Row] = []
    try:
        space = search_spaces.make(options.space)
        options.check()
        job = options.job()
        for name in options.decoders:
            rows += decoding(name, space, options.repeats)
        rows += stepping(options)
        rows += surrogate_stepping(options.repeats)
        if job.children and job.rungs:
            rows += training(job)
        if job.children and options.workers:
            rows += in_workers(job, options.workers)
    except (ValueError, OSError, WorkerStartError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(table(rows))
    if options.json:
        options.json.parent.mkdir(parents=True, exist_ok=True)
        machine = {"platform": platform.platform(), "cores": os.cpu_count(), "python": platform.python_version()}
        versions = {"numpy": np.__version__, "torch": torch.__version__}
        written = {"machine": machine, **versions, "rows": [asdict(row) for row in rows]}
        files.write_json(options.json, written)
        print(f"rows: {options.json}")
    return 0


if __name__ == "__main__":
    sys.exit(startup.run(lambda: main(tyro.cli(Options))))
