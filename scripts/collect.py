"""Evaluates many architectures, for surrogates and for the noise floor: a journal, and a table of it.

    python scripts/collect.py --children 4000 --table runs/digits.csv.gz
    python scripts/collect.py --dataset imagefolder:PATH --protocol cifar10-mini --children 250 --run-dir runs/mini

Every command can be stopped and goes on when it is given again, also with more --children.
"""

from __future__ import annotations

import startup

import csv
import dataclasses
import gzip
import io
import os
import platform
import shlex
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import gymnasium as gym
import numpy as np
import tyro
from command_line import parse_overrides
from tqdm import tqdm

from agents.run_directory import RunDirectory
from nases_env import embeddings, files
from nases_env.children import datasets
from nases_env.children.dataset_names import absolute
from nases_env.env import NASESEnv
from nases_env.evaluators import WorkerStartError
from nases_env.ledger import read_trials
from nases_env.pipeline import Child
from nases_env.schemas import SCHEMA
from nases_env.search_spaces import registry
from nases_env.search_spaces.base import HIGH, LOW
from nases_env.surrogate_fitting.table import SUFFIX, card_path

SHARES = {"uniform": 0.4, "decoder": 0.4, "mutation": 0.2}
"""Shares of the architectures by what they are drawn from: uniform origin vectors, uniform actions of a decoder, and
mutations of good architectures."""
GOOD = 0.1
"""Share of the children so far that may be mutated: those with the highest rewards."""
MUTATED = 3
"""A mutation draws at most so many numbers of an origin vector anew."""
ROUND = 20
"""So many architectures are chosen together."""


@dataclass(frozen=True)
class Options:
    """Collects evaluations until there are so many architectures."""

    children: int = 4000
    """Different architectures to evaluate; repeats come on top."""
    repeated: int = 60
    """So many of them, the first ones, are evaluated with several child seeds."""
    seeds: int = 3
    """Child seeds for each of those."""
    seed: int = 0
    """Seed of what is drawn."""
    workers: int = 2
    """Processes that train children."""
    run_dir: Path = Path("runs/collected")
    """Folder of the journal."""
    table: Path | None = None
    """Compressed table (.csv.gz) of everything that was evaluated, written at the end, and a card (.json) beside it."""

    dataset: str = "digits"
    """digits, cifar10 or imagefolder:PATH."""
    data_dir: str = "data"
    """Folder of CIFAR-10."""
    protocol: str = "digits"
    """Protocol preset."""
    overrides: tuple[str, ...] = ()
    """Protocol fields to change: --overrides epochs=2 width=0.25."""
    space: str = "macro"
    """Search space: macro or micro."""
    rules: str = "paper"
    """Rules of the macro space."""
    reward: str = "eq1"
    """eq1 or validation."""
    decoder: str | None = None
    """Decoder whose uniform actions, calibrated, are one source, see scripts/search.py; None: autoencoder-uniform, in
    the micro space autoencoder."""
    device: str = "auto"
    """auto, cpu or cuda."""

    def check(self) -> None:
        """Raise ValueError where a number or the table's name cannot be."""
        if min(self.children, self.seeds, self.workers) < 1 or min(self.repeated, self.seed) < 0:
            raise ValueError(
                "--children, --seeds and --workers have to be at least 1, --repeated and --seed at least 0"
            )
        if self.children < self.repeated:
            raise ValueError(
                f"--repeated {self.repeated} are the first of --children {self.children}: ask for more, or repeat less"
            )
        if self.table and (not self.table.name.endswith(SUFFIX) or self.table.is_dir()):
            raise ValueError(f"--table {self.table} has to be a file that ends in {SUFFIX}")

    def environment(self) -> dict[str, Any]:
        """Keywords for gym.make: actions are origin vectors."""
        return {
            "dataset": absolute(self.dataset),
            "data_dir": str(Path(self.data_dir).resolve()),
            "protocol": {"preset": self.protocol, **parse_overrides(self.overrides)},
            "space": self.space,
            "rules": self.rules,
            "reward": self.reward,
            "decoder": "identity",
            "device": self.device,
            "workers": self.workers,
        }


class Request(NamedTuple):
    """One child to evaluate."""

    source: str
    action: np.ndarray
    """The action for the decoder `identity`, float32 (m,)."""
    child_seed: int
    parent: int | None
    """Index of the request that a mutation changes; None where this is no mutation."""


class Plan:
    """Rounds of requests. The same seed and the same rewards give the same rounds, so a journal can be replayed.

    Args:
        environment: Whose space is drawn from; its decoder is `identity`.
        decoder: Whose uniform actions are a source.
        options: How many, how often, and the seed.
    """

    def __init__(self, environment: NASESEnv, decoder: embeddings.Decoder, options: Options):
        self._space, self._identity, self._decoder = environment.space, environment.decoder, decoder
        self._options = options
        self._rng = np.random.default_rng(options.seed)
        self._done: list[Request] = []
        self._rewards: list[float] = []
        self._keys: set[str] = set()

    @property
    def evaluations(self) -> int:
        """Evaluations in all rounds together."""
        return self._options.children + self._options.repeated * (self._options.seeds - 1)

    def rounds(self) -> Iterator[list[Request]]:
        """Yield rounds until there are enough architectures; `learn` has to be called between two of them."""
        first = self._new(self._options.repeated)
        if first:
            yield first
        for _ in range(self._options.seeds - 1 if first else 0):
            yield [request._replace(child_seed=self._child_seed()) for request in first]
        while missing := self._options.children - len(self._keys):
            yield self._new(min(ROUND, missing))

    def learn(self, requests: Sequence[Request], rewards: Sequence[float]) -> None:
        """Which children were good."""
        self._done += requests
        self._rewards += rewards

    def _new(self, count: int) -> list[Request]:
        """Architectures that were not asked for yet."""
        draw = {"uniform": self._uniform, "decoder": self._decoded, "mutation": self._mutated}
        shares = SHARES if self._rewards else {"uniform": 0.5, "decoder": 0.5}
        found: list[Request] = []
        while len(found) < count:
            source = str(self._rng.choice([*shares], p=[*shares.values()]))
            origin, parent = draw[source]()
            action = self._identity.encode(origin[None])[0]
            row = self._space.discretise(self._identity.decode(action[None]))[0]
            key = self._space.architecture(row).key
            if key not in self._keys:
                self._keys.add(key)
                found.append(Request(source, action, self._child_seed(), parent))
        return found

    def _child_seed(self) -> int:
        return int(self._rng.integers(2**31))

    def _uniform(self) -> tuple[np.ndarray, None]:
        return self._space.sample(self._rng, 1)[0], None

    def _decoded(self) -> tuple[np.ndarray, None]:
        action = self._rng.uniform(size=(1, self._decoder.action_size)).astype(np.float32)
        return self._decoder.decode(action)[0], None

    def _mutated(self) -> tuple[np.ndarray, int]:
        """Mutate a good child; returns the origin vector and the index of that child."""
        best = np.argsort(self._rewards, kind="stable")[::-1][: max(1, int(GOOD * len(self._rewards)))]
        parent = int(self._rng.choice(best))
        origin = self._identity.decode(self._done[parent].action[None])[0]
        changed = self._rng.choice(len(origin), self._rng.integers(1, MUTATED + 1), replace=False)
        origin[changed] = self._rng.uniform(LOW, HIGH, len(changed))
        return origin, parent


def row(request: Request, child: Child) -> dict[str, Any]:
    """What the table tells about a child."""
    evaluation = child.evaluation
    measured = {
        "source": request.source,
        "parent": "" if request.parent is None else request.parent,
        "child_seed": request.child_seed,
        "validation_accuracy": evaluation.validation_accuracy,
        "train_accuracy": evaluation.train_accuracy,
        "reward": child.reward,
        "parameters": evaluation.parameters,
        "flops": evaluation.flops,
        "failure": evaluation.failure,
        "seconds": round(evaluation.seconds, 3),
        "architecture": child.architecture.to_json(),
    }
    epochs = enumerate(evaluation.epochs, start=1)
    return measured | {f"{name}_{i}": round(number, 6) for i, epoch in epochs for name, number in epoch.items()}


def write_table(path: Path, rows: list[dict[str, Any]], card: dict[str, Any]) -> None:
    """Write the rows as compressed CSV, and the card beside it."""
    text = io.StringIO()
    columns = list(dict.fromkeys(name for each in rows for name in each))  # a failed child has no epochs
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    path.parent.mkdir(parents=True, exist_ok=True)
    files.write(path, gzip.compress(text.getvalue().encode(), mtime=0))  # the same rows, the same file
    sources = Counter(each["source"] for each in rows)
    card = card | {"rows": len(rows), "sources": sources, "columns": columns}
    files.write_json(card_path(path), card)


def describe(options: Options, environment: NASESEnv, run: RunDirectory) -> dict[str, Any]:
    """The card: what was evaluated how, where and when."""
    trials = read_trials(run.journal)
    data = datasets.load(environment.dataset, environment.data_dir, environment.protocol, "cpu")
    _, channels, side, _ = data.train.images.shape
    dates = [trial.datetime_complete.date().isoformat() for trial in (trials[0], trials[-1]) if trial.datetime_complete]
    return {
        "schema": SCHEMA["table"],
        "command": shlex.join(["python", *sys.argv]),
        "protocol": dataclasses.asdict(environment.protocol),
        "dataset": options.dataset.partition(":")[0],
        "images": {"side": side, "channels": channels, "classes": data.classes},
        "class_names": data.class_names,
        "fingerprint": trials[0].user_attrs["evaluation"]["evaluator"],
        "space": environment.space.name,
        "rules": options.rules,
        "decoder": options.decoder,
        "seed": options.seed,
        "hardware": f"{_processor()}, {os.cpu_count()} cores, device {trials[0].user_attrs['evaluation']['device']}",
        "dates": dates,
        "versions": trials[0].user_attrs["evaluation"]["versions"],
    }


def _processor() -> str:
    """The processor's name, where the system tells it, else its kind."""
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text(encoding="utf-8").splitlines() if cpuinfo.is_file() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def main(options: Options) -> int:
    """Collect; returns the exit status: 0 when there are enough, 130 after Ctrl-C."""
    run = RunDirectory(options.run_dir)
    try:
        options.check()
        keywords = options.environment()
        environment = gym.make("NASES-v0", ledger=str(run.journal), **keywords).unwrapped
        assert isinstance(environment, NASESEnv)
        environment.prepare()
        decoder = options.decoder or registry.find(options.space).covering
        options = dataclasses.replace(options, decoder=decoder)
        plan = Plan(environment, embeddings.make(decoder, environment.space, "output"), options)
        settings = {
            name: value for name, value in dataclasses.asdict(options).items() if name not in ("run_dir", "table")
        }
        settings["children"] = plan.evaluations
        protocol = dataclasses.asdict(environment.protocol)
        run.start(settings, "NASES-v0", keywords, protocol, resume=True)
    except (ValueError, OSError, WorkerStartError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    rows: list[dict[str, Any]] = []
    try:
        with tqdm(total=plan.evaluations, unit="child") as bar:
            for requests in plan.rounds():
                actions = np.stack([request.action for request in requests])
                children = environment.pipeline(actions, [request.child_seed for request in requests])
                plan.learn(requests, [child.reward for child in children])
                rows += map(row, requests, children)
                bar.update(len(requests))
        if options.table:
            write_table(options.table, rows, describe(options, environment, run))
            print(f"table: {options.table}, {len(rows)} rows; card: {card_path(options.table)}")
    except KeyboardInterrupt:
        print(f"interrupted; the same command goes on from {run.journal}")
        return 130
    except (ValueError, OSError, WorkerStartError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    finally:
        environment.close()
    return 0


if __name__ == "__main__":
    sys.exit(startup.run(lambda: main(tyro.cli(Options))))
