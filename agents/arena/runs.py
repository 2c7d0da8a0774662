"""One search of a comparison: an agent with its settings, an environment, a seed."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from functools import cached_property
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import torch

import agents
from agents.search import session
from agents.search.overrides import parse_overrides
from agents.trace import Trace
from nases_env import files
from nases_env.processes import end_with_parent
from nases_env.schemas import SCHEMA, NewerVersionError, check_schema
from nases_env.search_spaces import Architecture

ENVIRONMENT = ("decoder", "calibration", "reward", "surrogate", "rules")
"""Settings in an entry's name that go to the environment, not to the agent."""
BASELINE = "random"
"""The agent that takes part in every comparison, and that all others are compared with."""
FAILURES = (*session.FAILURES, TypeError)
"""Errors whose message is all that a user needs; an environment refuses keywords that it does not have by TypeError."""
FRESH_SEEDS = (1_000_001, 1_000_002, 1_000_003)
"""Seeds that the chosen child is evaluated with once more."""


@dataclass(frozen=True)
class Entry:
    """One participant of a comparison: an agent with settings."""

    name: str
    """The text that was given: an agent, and after a colon settings of it and of the environment."""
    agent: str
    settings: dict[str, Any]
    environment: dict[str, Any]

    @classmethod
    def parse(cls, text: str) -> Entry:
        """The entry of `agent` or `agent:setting=value,…`.

        Raises:
            ValueError: If there is no such agent or setting.
        """
        name, _, given = text.partition(":")
        agent_class = agents.find(name)
        settings = parse_overrides(part for part in given.split(",") if part)
        environment = {key: settings.pop(key) for key in ENVIRONMENT if key in settings}
        entry = cls(text, name, settings, agent_class.env_kwargs | environment)
        entry.make_settings()
        return entry

    @property
    def folder(self) -> str:
        """Name of the entry's folder; no other entry has the same."""
        plain = self.former_folder
        if plain == self.name:
            return plain
        return f"{plain[:100]}-{hashlib.sha256(self.name.encode()).hexdigest()[:8]}"

    @property
    def former_folder(self) -> str:
        """The folder's name in an earlier version, which different entries could share."""
        return "".join(letter if letter.isalnum() or letter in "-_.=" else "_" for letter in self.name)

    @property
    def meaning(self) -> dict[str, Any]:
        """What its name stands for: the agent's settings, defaults included, and what it changes of the environment."""
        settings = self.make_settings()
        agent_class = agents.find(self.agent)
        if agent_class.settings_class is dict:  # a library's keywords over ours
            resolved = getattr(agent_class, "settings", {}) | (settings or {})
        else:
            resolved = dataclasses.asdict(settings or agent_class.settings_class())
        return {"agent": self.agent, "settings": resolved, "keywords": self.environment}

    def make_settings(self) -> Any:
        """An instance of the agent's settings; None for its defaults."""
        return agents.make_settings(self.agent, self.settings)


@dataclass(frozen=True)
class Run:
    """One search to make.

    Args:
        entry: Who searches.
        env_id: The environment.
        keywords: Keywords of the environment.
        decoder: Hash of what its decoder makes of a few actions, because a name or a default may come to mean another
            decoder.
        seed: Seed of agent and environment.
        children: The budget.
        out: Folder of the comparison.
    """

    entry: Entry
    env_id: str
    keywords: dict[str, Any]
    decoder: str
    seed: int
    children: int
    out: Path

    @classmethod
    def of(
        cls, entry: Entry, env_id: str, given: Sequence[str], seeds: Iterable[int], children: int, out: Path
    ) -> list[Run]:
        """An entry's searches in an environment with keywords `name=value`; a surrogate has noise unless told not to.

        Raises:
            ValueError, TypeError, gym.error.Error: If there is no such environment or keyword.
        """
        keywords = parse_overrides(given)
        with gym.make(env_id, **keywords | entry.environment) as env:
            decoder = env.get_wrapper_attr("decoder")
            if env.get_wrapper_attr("surrogate"):
                keywords = {"noise": True} | keywords
        actions = np.random.default_rng(0).uniform(size=(8, decoder.action_size)).astype(np.float32)
        fingerprint = hashlib.sha256(decoder.decode(actions).tobytes()).hexdigest()[:16]
        return [cls(entry, env_id, keywords, fingerprint, seed, children, out) for seed in seeds]

    @cached_property
    def on_surrogate(self) -> bool:
        """Whether a surrogate tells the accuracies."""
        env = gym.make(self.env_id, **self.keywords | self.entry.environment)
        env.close()
        return env.get_wrapper_attr("surrogate") is not None

    @property
    def file(self) -> Path:
        """File of the run's record."""
        return self._file(self.entry.folder)

    def _file(self, folder: str) -> Path:
        return self.out / "runs" / folder / f"seed{self.seed}.json"

    @property
    def identity(self) -> dict[str, Any]:
        """Everything that two runs have in common if they are the same."""
        return self.entry.meaning | {
            "env_id": self.env_id,
            "keywords": self.keywords | self.entry.environment,
            "decoder": self.decoder,
            "seed": self.seed,
            "children": self.children,
        }

    def recorded(self) -> dict[str, Any] | None:
        """What an earlier start recorded, if it got that far.

        Raises:
            ValueError: If that was another run.
        """
        if record := self._read(self.file):
            if not self._is_own(record):
                raise ValueError(f"{self.file} holds another run, {record['run']}; choose another --out")
            return record
        former = self._read(self._file(self.entry.former_folder))
        return former if former and self._is_own(former) else None

    def _is_own(self, record: dict[str, Any]) -> bool:
        return record["run"] == json.loads(json.dumps(self.identity))

    @staticmethod
    def _read(file: Path) -> dict[str, Any] | None:
        """The record in a file; None where there is none.

        Raises:
            ValueError: If it is damaged; NewerVersionError if a newer version wrote it.
        """
        if not file.is_file():
            return None
        try:
            record = json.loads(file.read_text(encoding="utf-8"))
            check_schema(record, "record", file)
            record["run"], record["children"], record["chosen"], record["seconds"]
        except NewerVersionError:
            raise
        except (ValueError, LookupError, TypeError, RecursionError) as error:
            raise ValueError(f"{file} is damaged ({error!r:.100}); remove it, and its search is made again") from error
        return record

    def make(self) -> dict[str, Any]:
        """Search, unless it is recorded already; returns the record."""
        if record := self.recorded():
            return record
        return self.keep(self.search())

    def keep(self, record: bytes) -> dict[str, Any]:
        """Write the record that a search made; returns it."""
        self.file.parent.mkdir(parents=True, exist_ok=True)
        files.write(self.file, record)
        return json.loads(record)

    def search(self, journal: bool = True) -> bytes:
        """Search; returns the record, which is not written.

        Args:
            journal: Whether children that are trained are kept in a journal beside the record.
        """
        torch.set_num_threads(1)
        start = time.perf_counter()
        env = self._environment(journal)
        trace = Trace(env, self.children)
        agent = agents.find(self.entry.agent)(trace, self.seed, self.entry.make_settings())
        agent.run(trace, self.children)
        seconds = time.perf_counter() - start
        recommended = agent.recommend(trace)
        chosen = [] if recommended is None else self._fresh_accuracies(trace.child(recommended).architecture)
        trace.close()
        found = {"run": self.identity, "seconds": seconds, "chosen": chosen, "children": trace.rows}
        return json.dumps({"schema": SCHEMA["record"], **found}).encode()

    def _environment(self, journal: bool = True) -> gym.Env:
        """The environment; where children are trained, with a journal that a stopped search goes on from."""
        keywords = self.keywords | self.entry.environment
        if journal and not self.on_surrogate:
            keywords["ledger"] = str(self.file.with_suffix(".log"))
            former = self._file(self.entry.former_folder).with_suffix(".log")
            if former.is_file() and self.entry.former_folder != self.entry.folder:
                keywords["reuse"] = [str(former)]
        return gym.make(self.env_id, max_episode_steps=self.children, **keywords)

    def _fresh_accuracies(self, chosen: Architecture) -> list[float]:
        """Validation accuracies of the chosen child with fresh child seeds; on a surrogate without noise."""
        keywords = self.keywords | self.entry.environment | {"decoder": "identity"}
        if self.on_surrogate:
            keywords["noise"] = False
        env = gym.make(self.env_id, **keywords)
        space, decoder = env.get_wrapper_attr("space"), env.get_wrapper_attr("decoder")
        action = decoder.encode(space.origin_of(chosen)[None])[0]
        accuracies = []
        for seed in FRESH_SEEDS:
            env.reset(seed=seed)
            accuracies.append(env.step(action)[4]["validation_accuracy"])
        env.close()
        return accuracies


def prepare(runs: Iterable[Run]) -> None:
    """Read what the searches need, so that errors in it come before any of them; equal data are read once.

    Raises:
        ValueError, OSError: As `NASESEnv.prepare`.
    """
    needed = {}
    for run in runs:
        keywords = run.keywords | run.entry.environment
        data = {name: value for name, value in keywords.items() if name not in ("decoder", "calibration")}
        needed[json.dumps([run.env_id, data], sort_keys=True, default=str)] = (run.env_id, keywords)
    for env_id, keywords in needed.values():
        with gym.make(env_id, **keywords) as env:
            env.get_wrapper_attr("prepare")()


def score(record: dict[str, Any], kind: str) -> float:
    """The score of one search; `best` or `chosen`, see `nases compare --help`."""
    if kind == "chosen":
        return float(np.mean(record["chosen"])) if record["chosen"] else 0.0
    return max(row["reward"] for row in record["children"])


def in_processes(runs: list[Run], workers: int) -> Iterator[None]:
    """Make the runs, so many at a time; yields when one is recorded."""
    # One thread a process: results and times then depend on no neighbour.
    os.environ |= dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    pool = ProcessPoolExecutor(workers, mp_context=get_context("spawn"), initializer=end_with_parent)
    try:
        for done in as_completed([pool.submit(run.make) for run in runs]):
            done.result()
            yield
    finally:
        pool.shutdown(cancel_futures=True)
