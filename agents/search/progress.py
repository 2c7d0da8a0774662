"""How far a search is, read from its folder while it runs or afterwards."""

from __future__ import annotations

import datetime
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from agents.search.final_record import measured_accuracy
from agents.search.run_directory import FoundChild, RunDirectory
from nases_env import file_lock
from nases_env.ledger import read_trials
from nases_env.untrusted import check_types

if TYPE_CHECKING:
    from optuna.trial import FrozenTrial

RECENT = 20
"""The time left is told from so many children, the last ones."""


@dataclass(frozen=True)
class Progress:
    """What a search's folder tells about how far it is."""

    run: RunDirectory
    options: dict[str, Any]
    """The command line's options that the search was started with."""
    children: int
    """Children in the journal."""
    best: FoundChild | None
    """The child with the highest reward; None where no child succeeded yet."""
    believed: FoundChild | None
    """The child that the search believes in; None where it told none yet."""
    failures: dict[str, int]
    """How many children failed, by their failure."""
    child_seconds: float | None
    """Mean seconds between two of the last children, a pause left out; None where there are fewer than two."""
    running: bool
    """Whether a process holds the journal's lock."""
    final: str
    """What became of the final training in `final/`; empty where there is none."""

    @property
    def budget(self) -> int:
        """Children that the search was asked for."""
        return self.options["children"]

    @property
    def seconds_left(self) -> float | None:
        """About how long the search goes on; None where that cannot be told."""
        return None if self.child_seconds is None else (self.budget - self.children) * self.child_seconds

    def __str__(self) -> str:
        return "\n".join([self._headline(), *(f"  {line}" for line in self._details())])

    def _headline(self) -> str:
        agent = self.options.get("agent", "a collection")
        what = f"{self.run.path}: {agent} on {self.options.get('env_id', 'NASES-v0')}, seed {self.options.get('seed')}"
        return f"{what}: {self.children} of {self.budget} children, {self._state()}"

    def _state(self) -> str:
        if self.children >= self.budget:
            return "finished"
        if not self.running:
            return "stopped"
        return "running" if self.seconds_left is None else f"running, about {duration(self.seconds_left)} left"

    def _details(self) -> list[str]:
        lines = []
        if self.best is not None:
            found = self.best.evaluation
            lines.append(
                f"best so far: child {self.best.number}, reward {self.best.reward:.4f}, validation accuracy "
                f"{found['validation_accuracy']:.4f}, {found['parameters']:,} parameters"
            )
        if self.best is not None and self.believed is not None and self.believed.number != self.best.number:
            lines.append(f"believed in: child {self.believed.number}, reward {self.believed.reward:.4f}")
        if self.failures:
            lines.append(f"failed: {', '.join(f'{count} {failure}' for failure, count in self.failures.items())}")
        return [*lines, *([self.final] if self.final else [])]


def read(path: Path, trust: bool = False) -> Progress:
    """Read how far the search in a folder is; nothing in it changes.

    Args:
        path: The folder.
        trust: Whether its settings may name an environment of another package.

    Raises:
        FileNotFoundError: If there is no search in the folder.
        ValueError: If its settings or its journal are damaged.
    """
    run = RunDirectory(path, trust)
    options = run.options()
    try:
        check_types(options, {"children": int})
    except ValueError as error:
        raise ValueError(f"the options in {path / 'settings.json'} are damaged ({error}); restore the file") from error
    trials: Sequence[FrozenTrial] = read_trials(run.journal, run.reward()) if _has_children(run.journal) else []
    failures = Counter(trial.user_attrs["evaluation"]["failure"] for trial in trials)
    succeeded = failures.pop("", 0)
    return Progress(
        run=run,
        options=options,
        children=len(trials),
        best=run.best(trials) if succeeded else None,
        believed=run.believed(trials) if succeeded else None,
        failures=dict(failures),
        child_seconds=_seconds_between(trials[-RECENT:]),
        running=_is_held(run.journal),
        final=_final(run.path / "final"),
    )


def duration(seconds: float) -> str:
    """Seconds as people say them: `40 s`, `12 min` or `3 h 5 min`."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"


def _has_children(journal: Path) -> bool:
    return journal.is_file() and journal.stat().st_size > 0


def _seconds_between(trials: Sequence[FrozenTrial]) -> float | None:
    """The mean, because several workers' children are recorded in bursts.

    No gap counts for more than the longest of the children took, so that the pause before a resumption does not count.
    """
    times = [trial.datetime_complete for trial in trials if trial.datetime_complete is not None]
    gaps = [(later - earlier) / datetime.timedelta(seconds=1) for earlier, later in zip(times, times[1:], strict=False)]
    longest = max((trial.user_attrs["evaluation"]["seconds"] for trial in trials), default=0.0)
    return float(np.mean([min(gap, longest) for gap in gaps])) if gaps and longest else None


def _is_held(journal: Path) -> bool:
    """Whether a process writes to the journal. Where there is no lock file none does, and none is made."""
    if not file_lock.path_of(journal).is_file():
        return False
    try:
        file_lock.lock(journal, "").release()
    except BlockingIOError:
        return True
    except OSError:  # the folder is somebody else's, to read only
        return False
    return False


def _final(folder: Path) -> str:
    """What the final training in a folder came to."""
    try:
        accuracy = measured_accuracy(folder)
    except ValueError as error:
        return f"final training: {error}"
    if accuracy is not None:
        return f"final training: test accuracy {accuracy:.4f}"
    curve = folder / "curve.csv"
    if not curve.is_file():
        return ""
    epochs = len(curve.read_text(encoding="utf-8").splitlines()) - 1
    return f"final training: {max(epochs, 0)} epochs done"
