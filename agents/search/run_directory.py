"""The folder of a search, which holds what the search was asked for and what it found."""

from __future__ import annotations

import json
import math
import platform
import shlex
import sys
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import gymnasium as gym

import nases_env
from nases_env import files, rewards
from nases_env.env import NASESEnv
from nases_env.ledger import JournalLedger, read_trials
from nases_env.schemas import SCHEMA, NewerVersionError, check_schema
from nases_env.search_spaces import Architecture, SearchSpace
from nases_env.untrusted import check_types, parse_json
from nases_env.words import shown

if TYPE_CHECKING:
    from optuna.trial import FrozenTrial

MAY_DIFFER = ("children", "device", "data_dir", "workers", "executor")
"""Settings that a resumed search may change: they alter no child."""

EARLIER = {"critic": "embedding"}
"""Settings of reinforce that a search had before they had a name."""

EARLIER_DECODER = "autoencoder"
"""The decoder of searches that named none, up to schema 1 of their settings."""


class FoundChild(NamedTuple):
    """A child as the journal has it."""

    number: int
    """Its index, from 0."""
    reward: float
    evaluation: dict[str, Any]
    """The journal's attribute `evaluation`."""

    def architecture(self, space: SearchSpace) -> Architecture:
        """What was trained, of the space that was searched."""
        return space.from_json(json.dumps(self.evaluation["architecture_json"]))


class RunDirectory:
    """Paths and records of one search.

    Args:
        path: The folder.
        trust: Whether its settings may name an environment of another package, whose code is run to make it.
    """

    def __init__(self, path: str | Path, trust: bool = False):
        self.path, self.trust = Path(path), trust
        self.journal = self.path / "journal.log"
        self._settings = self.path / "settings.json"
        self._believed = self.path / "believed.json"

    def exists(self) -> bool:
        """Whether a search was started here."""
        return self._settings.is_file()

    def options(self) -> dict[str, Any]:
        """The command line's options that the search was started with.

        Raises:
            FileNotFoundError: If there is no search here.
            ValueError: If its settings are damaged, or name an environment that is not trusted.
        """
        return self._read()["options"]

    def make_environment(self) -> gym.Env:
        """The environment that was searched, without its journal.

        Raises:
            FileNotFoundError: If there is no search here.
            ValueError: If its settings are damaged, or name an environment that is not trusted.
        """
        environment = self._read()["environment"]
        try:
            return gym.make(environment["id"], **environment["keywords"])
        except (TypeError, gym.error.Error) as error:
            raise ValueError(
                f"{self._settings} names an environment that this version cannot make ({error}); make it with the "
                "version that wrote it"
            ) from error

    def make_nases_environment(self) -> NASESEnv:
        """The environment that was searched, without wrappers.

        Raises:
            FileNotFoundError, ValueError: As `make_environment`, and ValueError if it is another kind of environment.
        """
        environment = self.make_environment().unwrapped
        if not isinstance(environment, NASESEnv):
            raise ValueError(f"{self.path} is the search of no NASES environment: {type(environment).__name__}")
        return environment

    def reward(self) -> rewards.Reward | None:
        """The reward function that the journal's values have to agree with; None where no settings tell it."""
        if not self.exists():
            return None
        environment = self.make_environment().unwrapped
        return environment.reward_function if isinstance(environment, NASESEnv) else None

    def start(
        self,
        options: dict[str, Any],
        env_id: str,
        keywords: dict[str, Any],
        protocol: dict[str, Any],
        resume: bool,
    ) -> int:
        """Write settings, command and versions, or check that a search here can go on with these options.

        Args:
            options: The command line's options, JSON types.
            env_id: Id of the environment.
            keywords: Its keywords.
            protocol: Every field of the protocol that they stand for, for the record.
            resume: Whether a search that was started here may go on.

        Returns:
            How many children the journal holds.

        Raises:
            FileExistsError: If there are children here and resume is False.
            ValueError: If there are, and the search was started with other options, or had more children.
            BlockingIOError: If another process searches here.
        """
        environment = {"id": env_id, "keywords": keywords, "protocol": protocol}
        content = {"schema": SCHEMA["settings"], "options": options, "environment": environment}
        settings = json.loads(json.dumps(content))
        # Locked, so that nothing is written under a search that runs.
        ledger = JournalLedger(self.journal, reward=self.reward())
        try:
            if ledger.recorded and not resume:
                raise FileExistsError(f"{self.path} holds a search already; go on with --resume or choose another")
            if ledger.recorded and self.exists():
                _check_same(self.path, self.options(), settings["options"])
            if (budget := options.get("children", math.inf)) < ledger.recorded:
                raise ValueError(
                    f"{self.path} holds {ledger.recorded} children; ask for at least as many, not {budget}"
                )
            self._write(settings)
            return ledger.recorded
        finally:
            ledger.close()

    def _write(self, settings: dict[str, Any]) -> None:
        files.write_json(self._settings, settings)
        with (self.path / "command.txt").open("a", encoding="utf-8") as file:
            file.write(shlex.join([sys.executable, *sys.argv]) + "\n")
        versions = self.path / "versions.json"
        if not versions.exists():  # they stay those of the first start; every child in the journal has its own
            files.write_json(versions, _versions())

    def best(self, trials: Sequence[FrozenTrial] | None = None) -> FoundChild:
        """The child with the highest reward, the earliest of equals.

        Args:
            trials: The journal's, where they are read already.

        Raises:
            ValueError: If no child succeeded yet, or the journal is damaged.
            FileNotFoundError: If there is no journal.
        """
        best = max(self.children(trials), key=lambda child: child.reward)
        if "architecture_json" not in best.evaluation:
            raise ValueError(f"{self.journal} holds no architecture of its best child, {best.number}; search again")
        return best

    def believed(self, trials: Sequence[FrozenTrial] | None = None) -> FoundChild | None:
        """The child that the search believes in, the one that its agent recommended.

        It is None where the search told none yet, or the journal has lost it.

        Args:
            trials: The journal's, where they are read already.

        Raises:
            ValueError: If `believed.json` or the journal is damaged, or no child succeeded.
            FileNotFoundError: If there is no journal.
        """
        if not self._believed.is_file():
            return None
        try:
            architecture = parse_json(self._believed.read_bytes())
        except ValueError as error:
            raise ValueError(f"{self._believed} is damaged ({error}); resume the search: it writes it anew") from error
        children = self.children(trials)
        return next((child for child in children if child.evaluation.get("architecture_json") == architecture), None)

    def children(self, trials: Sequence[FrozenTrial] | None = None) -> list[FoundChild]:
        """The children that succeeded, in their order, at least one; see `best`."""
        if trials is None:
            trials = read_trials(self.journal, self.reward())
        trials = [trial for trial in trials if not trial.user_attrs["evaluation"]["failure"]]
        if not trials:
            raise ValueError(f"{self.journal} holds no child that succeeded")
        return [FoundChild(trial.number, float(trial.value or 0.0), trial.user_attrs["evaluation"]) for trial in trials]

    def _read(self) -> dict[str, Any]:
        if not self.exists():
            raise FileNotFoundError(f"{self.path} holds no search: {self._settings} is missing")
        try:
            settings = parse_json(self._settings.read_bytes())
            written = check_schema(settings, "settings", self._settings)
            check_types(settings, {"options": dict, "environment": dict})
            check_types(settings["environment"], {"id": str, "keywords": dict})
            _spell_out(settings, written)
            named = settings["options"].get("env_id", settings["environment"]["id"])
            if named != settings["environment"]["id"]:
                raise ValueError(f"its options name the environment {shown(named)}, which is not the one it describes")
        except NewerVersionError:
            raise
        except ValueError as error:
            raise ValueError(
                f"{self._settings} is damaged ({error}); restore it, or remove it and resume the search with "
                "all the options that it was started with: its journal refuses others"
            ) from error
        if not self.trust:
            self._check_trusted(settings["environment"])
        return settings

    def _check_trusted(self, environment: dict[str, Any]) -> None:
        """Check that a folder from anywhere is safe to open: only this package's code runs, and writes only there."""
        root = self.path.resolve()
        for entry in self.path.rglob("*"):
            if entry.is_symlink() and not entry.resolve().is_relative_to(root):
                raise ValueError(
                    f"{entry} is a link to {entry.resolve()}, outside of the folder, and would be written to. If you "
                    "trust the folder, say so with --trust"
                )
        if not _is_own(environment["id"]):
            raise ValueError(
                f"{self._settings} names the environment {environment['id']!r}, which is not one of this package's: "
                "to make it could run any code. If you trust the folder, say so with --trust"
            )
        if unknown := sorted({"ledger", "reuse"} & environment["keywords"].keys()):
            raise ValueError(
                f"{self._settings} has the environment's {', '.join(unknown)}, which a search does not write there and "
                "which would name files elsewhere. If you trust the folder, say so with --trust"
            )


def _spell_out(settings: dict[str, Any], written: int) -> None:
    """Name what the search was before it had a name, or before another became the default.

    Args:
        settings: What the file of settings holds; changed in place.
        written: The schema that it was written with.
    """
    options, environment = settings["options"], settings["environment"]
    if isinstance(reinforce := options.get("reinforce"), dict):
        options["reinforce"] = EARLIER | reinforce
    if "batch" in options:  # a collection has none
        options.setdefault("asynchronous", False)
    if written < 2 and options.get("decoder") is None and _is_own(environment["id"]):
        options["decoder"] = environment["keywords"].setdefault("decoder", EARLIER_DECODER)


def _is_own(env_id: str) -> bool:
    """Whether an id names an environment of this package."""
    registered = gym.registry.get(env_id)
    return registered is not None and str(registered.entry_point).startswith(f"{nases_env.__name__}.")


def _check_same(path: Path, before: dict[str, Any], now: dict[str, Any]) -> None:
    different = [
        f"{name}: {before.get(name)!r}, now {now.get(name)!r}"
        for name in sorted(before.keys() | now.keys())
        if name not in MAY_DIFFER and before.get(name) != now.get(name)
    ]
    if different:
        raise ValueError(f"{path} was started with other options ({'; '.join(different)})")


def _versions() -> dict[str, str]:
    packages = ("nases-env", "torch", "torchvision", "gymnasium", "numpy", "optuna", "stable-baselines3")
    versions = {"python": platform.python_version(), "platform": platform.platform()}
    for package in packages:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            continue
    return versions
