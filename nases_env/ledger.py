"""Every evaluation ever paid for, kept and found again.

A journal is an Optuna study, one file per run: Optuna's dashboard, plots and command line open it. It is also what a
run resumes from: child n is answered from the journal while the journal holds trial n.
"""

from __future__ import annotations

import copy
import dataclasses
import fcntl
import json
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from nases_env.evaluators.base import Evaluation
from nases_env.search_spaces import Architecture

if TYPE_CHECKING:
    from optuna import Study
    from optuna.storages import JournalStorage
    from optuna.trial import FrozenTrial

STUDY = "search"
NOT_REUSABLE = ("out_of_memory", "timeout", "crash")
"""Failures that say something about the machine, not about the child: no hit for another run."""


class LedgerMismatchError(ValueError):
    """A run asks for another child than its own journal holds at this place."""


class EvaluationId(NamedTuple):
    """What makes two evaluations the same."""

    evaluator: str
    """The evaluator's fingerprint."""
    architecture: str
    """The architecture's key."""
    child_seed: int


class Ledger:
    """Evaluations of this process, in memory.

    Args:
        remember: Whether they are kept; not for evaluators that answer faster than memory fills.
    """

    def __init__(self, remember: bool = True) -> None:
        self._remember = remember
        self._found: dict[EvaluationId, Evaluation] = {}
        self.children = 0
        """Children asked for so far: the next one's index."""

    def replay(self, action: np.ndarray, identity: EvaluationId) -> Evaluation | None:
        """What an earlier start of this run found for the next child, if it got that far.

        Raises:
            LedgerMismatchError: If it found it for another child.
        """
        return None

    def find(self, identity: EvaluationId) -> Evaluation | None:
        """The evaluation of that identity, with 0 seconds, if there is one."""
        found = self._found.get(identity)
        return found and found.again()

    def record(
        self,
        action: np.ndarray,
        identity: EvaluationId,
        architecture: Architecture,
        evaluation: Evaluation,
        reward: float,
    ) -> None:
        """Keep what was found for the next child; durable when it returns, if this ledger has a file."""
        if self._remember:
            self._found.setdefault(identity, copy.deepcopy(evaluation))
        self.children += 1

    def close(self) -> None:
        """Release the file; may be called twice."""


class JournalLedger(Ledger):
    """Evaluations in a journal: one file per run, one writer.

    Opening it cuts a torn last line. Trial n is child n: params are the action, the value is the reward, the
    attribute `evaluation` is JSON and knows no action, reward or agent.

    Args:
        path: The file; made with its folder if missing.
        reuse: Journals of other runs whose evaluations are hits here.

    Raises:
        BlockingIOError: If another process writes to it.
        ValueError: If a file is not a journal.
        FileNotFoundError: If a file to reuse is missing.
    """

    def __init__(self, path: str | Path, reuse: Iterable[str | Path] = ()):
        super().__init__()
        for other in reuse:
            self._reuse(Path(other))
        self.path = Path(path)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._lock = self.path.open("ab")
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            heal(self.path)
            self._study = _open(self.path, start=True)
            trials = _trials(self.path, self._study)
        except BlockingIOError as error:
            self.close()
            raise BlockingIOError(f"another process writes to {self.path}; wait for it or use another file") from error
        except BaseException:
            self.close()
            raise
        self._replayable = [(trial.params, *_evaluation(trial)) for trial in trials]
        for _, identity, evaluation in self._replayable:
            self._found.setdefault(identity, evaluation)

    @property
    def recorded(self) -> int:
        """Children that the file held when it was opened."""
        return len(self._replayable)

    def replay(self, action: np.ndarray, identity: EvaluationId) -> Evaluation | None:
        """The journal's evaluation of the next child; see `Ledger.replay`."""
        if self.children >= self.recorded:
            return None
        params, recorded, evaluation = self._replayable[self.children]
        if _params(action) != params or recorded != identity:
            raise LedgerMismatchError(
                f"{self.path} holds child {self.children} as {recorded} from action "
                f"{list(params.values())}; this run asks for {identity} from action {action.tolist()}. "
                "Resume with the options and versions it was started with, or start another journal and reuse this one"
            )
        self.children += 1
        return evaluation

    def record(
        self,
        action: np.ndarray,
        identity: EvaluationId,
        architecture: Architecture,
        evaluation: Evaluation,
        reward: float,
    ) -> None:
        """Append the next child's trial and wait until the disk has it.

        Raises:
            OSError: If it could not be written; the file is as it was, and the evaluation is found again in memory.
        """
        from optuna.distributions import FloatDistribution
        from optuna.trial import create_trial

        params = _params(action)
        found: dict[str, Any] = identity._asdict() | evaluation.to_dict()
        found["architecture_json"] = json.loads(architecture.to_json())
        trial = create_trial(
            value=reward,
            params=params,
            distributions={name: FloatDistribution(0.0, 1.0) for name in params},
            user_attrs={"evaluation": found},
        )
        self._found.setdefault(identity, copy.deepcopy(evaluation))
        self._append(trial)
        super().record(action, identity, architecture, evaluation, reward)

    def _append(self, trial: FrozenTrial) -> None:
        size = self.path.stat().st_size
        try:
            self._study.add_trial(trial)
        except OSError as error:
            os.truncate(self.path, size)  # part of a line may have been written
            raise OSError(
                error.errno,
                f"child {self.children} could not be written ({error.strerror}); the journal keeps everything before "
                "it: make room and go on with --resume",
                str(self.path),
            ) from error

    def close(self) -> None:
        """Let another process write to the file."""
        if not self._lock.closed:
            fcntl.flock(self._lock, fcntl.LOCK_UN)  # a forked process may still hold the file open
            self._lock.close()

    def _reuse(self, path: Path) -> None:
        for trial in read_trials(path):
            identity, evaluation = _evaluation(trial)
            if evaluation.failure not in NOT_REUSABLE:
                self._found.setdefault(identity, evaluation)


def read_trials(path: str | Path) -> Sequence[FrozenTrial]:
    """The trials of a journal, in order, as Optuna's FrozenTrial; a torn last line is passed over.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is not the journal of a search.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"there is no journal {path}")
    return _trials(path, _open(path))


def heal(path: Path) -> None:
    """Cut a last line that a kill left unfinished.

    Raises:
        ValueError: If the file is not a journal; it is left as it is.
    """
    data = path.read_bytes()
    first = data.partition(b"\n")[0]
    start = b'{"op_code":'
    if not (first.startswith(start) or start.startswith(first)):
        raise _not_a_journal(path, f"it begins with {first[:40]!r}")
    end = data.rfind(b"\n") + 1
    last = data[data.rfind(b"\n", 0, max(end - 1, 0)) + 1 : end]
    try:
        json.loads(last or b"{}")
    except ValueError:
        end -= len(last)
    if end < len(data):
        with path.open("r+b") as file:
            file.truncate(end)


def _open(path: Path, start: bool = False) -> Study:
    """The study in a journal; where the file is empty, a new one if it may start."""
    import optuna

    verbosity = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)  # it announces every study
    try:
        storage = _storage(path)
        if start and path.stat().st_size == 0:
            return optuna.create_study(storage=storage, study_name=STUDY, direction="maximize")
        # Not create_study(load_if_exists=True), which writes a line whenever a file is opened.
        return optuna.load_study(storage=storage, study_name=STUDY)
    except (AssertionError, KeyError, TypeError, ValueError) as error:
        raise _not_a_journal(path, repr(error)) from error
    finally:
        optuna.logging.set_verbosity(verbosity)


def _trials(path: Path, study: Study) -> Sequence[FrozenTrial]:
    trials = study.get_trials(deepcopy=False)
    for trial in trials:
        try:
            _evaluation(trial)
        except (KeyError, TypeError) as error:
            raise _not_a_journal(path, f"trial {trial.number} has no evaluation, {error!r}") from error
    return trials


def _not_a_journal(path: Path, why: str) -> ValueError:
    return ValueError(f"{path} is not a journal of a search ({why}); nothing was changed, use another file")


def _storage(path: Path) -> JournalStorage:
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock

    class NoLock(JournalFileOpenLock):
        """A journal has one writer here, and a kill would leave Optuna's lock file behind."""

        def acquire(self) -> bool:
            return True

        def release(self) -> None:
            return None

    return JournalStorage(JournalFileBackend(str(path), lock_obj=NoLock(str(path))))


def _params(action: np.ndarray) -> dict[str, float]:
    return {f"action_{i:02}": float(number) for i, number in enumerate(action)}


def _evaluation(trial: FrozenTrial) -> tuple[EvaluationId, Evaluation]:
    found = trial.user_attrs["evaluation"]
    identity = EvaluationId(*(found[field] for field in EvaluationId._fields))
    return identity, Evaluation(**{field.name: found[field.name] for field in dataclasses.fields(Evaluation)})
