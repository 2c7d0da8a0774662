"""A search's folder: what it was asked for, what it found, where everything lies."""

from __future__ import annotations

import json
import platform
import shlex
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, NamedTuple

from nases_env.ledger import heal, read_trials

MAY_DIFFER = ("children", "device", "data_dir")
"""Settings that a resumed search may change: they alter no child."""


class FoundChild(NamedTuple):
    """A child as the journal has it."""

    index: int
    reward: float
    evaluation: dict[str, Any]
    """The journal's attribute `evaluation`."""


class RunDirectory:
    """Paths and records of one search.

    Args:
        path: The folder.
    """

    def __init__(self, path: str | Path):
        self.path = Path(path)
        self.journal = self.path / "journal.log"
        self._settings = self.path / "settings.json"

    def exists(self) -> bool:
        """Whether a search was started here."""
        return self._settings.is_file()

    def settings(self) -> dict[str, Any]:
        """What the search was started with.

        Raises:
            FileNotFoundError: If no search was started here.
        """
        if not self.exists():
            raise FileNotFoundError(f"{self.path} holds no search: {self._settings} is missing")
        return json.loads(self._settings.read_text())

    def start(self, settings: dict[str, Any], resume: bool) -> None:
        """Write settings, command and versions, or check that a search here can go on with these settings.

        Raises:
            FileExistsError: If a search was started here and resume is False.
            ValueError: If it was started with other settings.
        """
        settings = json.loads(json.dumps(settings))
        if self.exists():
            if not resume:
                raise FileExistsError(f"{self.path} holds a search already; go on with --resume or choose another")
            before = self.settings()
            different = [
                f"{name}: {before.get(name)!r}, now {settings.get(name)!r}"
                for name in before.keys() | settings.keys()
                if name not in MAY_DIFFER and before.get(name) != settings.get(name)
            ]
            if different:
                raise ValueError(f"{self.path} was started with other settings ({'; '.join(sorted(different))})")
        self.path.mkdir(parents=True, exist_ok=True)
        partial = self._settings.with_suffix(".partial")
        partial.write_text(json.dumps(settings, indent=2) + "\n")
        partial.replace(self._settings)
        with (self.path / "command.txt").open("a") as file:
            file.write(shlex.join([sys.executable, *sys.argv]) + "\n")
        (self.path / "versions.json").write_text(json.dumps(_versions(), indent=2) + "\n")

    def best(self) -> FoundChild:
        """The child with the highest reward, the earliest of equals.

        Raises:
            ValueError: If no child succeeded yet.
            FileNotFoundError: If there is no journal.
        """
        if self.journal.is_file():
            heal(self.journal)
        trials = [trial for trial in read_trials(self.journal) if not trial.user_attrs["evaluation"]["failure"]]
        if not trials:
            raise ValueError(f"{self.journal} holds no child that succeeded")
        best = max(trials, key=lambda trial: trial.value)
        return FoundChild(best.number, best.value, best.user_attrs["evaluation"])


def _versions() -> dict[str, str]:
    packages = ("nases-env", "torch", "torchvision", "gymnasium", "numpy", "optuna", "stable-baselines3")
    versions = {"python": platform.python_version(), "platform": platform.platform()}
    for package in packages:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            continue
    return versions
