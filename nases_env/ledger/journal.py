"""Evaluations in a journal: an Optuna study, one file per run, one writer."""

from __future__ import annotations

import copy
import json
import os
import warnings
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from nases_env.evaluation import Evaluation
from nases_env.file_lock import lock
from nases_env.ledger import records
from nases_env.ledger.memory import EvaluationId, Ledger, LedgerMismatchError
from nases_env.ledger.repair import salvaged_files
from nases_env.ledger.schema import STUDY, Trial, written
from nases_env.search_spaces import Architecture

if TYPE_CHECKING:
    from optuna import Study
    from optuna.storages import JournalStorage
    from optuna.trial import FrozenTrial

    from nases_env.rewards import Reward

NOT_REUSABLE = ("out_of_memory", "timeout", "crash")
"""Failures that say something about the machine, not about the child: no hit for another run."""
RESUME = "Resume with the options and versions it was started with, or start another journal and reuse this one"
"""What to do where a journal is another run's."""


class JournalLedger(Ledger):
    """Evaluations in a journal: one file per run, one writer.

    Everything in the file is read and checked first; then a last line that a kill tore is cut. Trial n is child n:
    params are the action, the value is the reward, the attribute `evaluation` is JSON and knows no action, reward or
    agent.

    Args:
        path: The file; made with its folder if missing.
        reuse: Journals of other runs whose evaluations are hits here.
        reward: What the value of every child in the file has to be; None: values are not compared.

    Raises:
        BlockingIOError: If another process writes to it.
        ValueError: If a file is not a journal; DamagedJournalError if lines of it are damaged, NewerVersionError if a
            newer version wrote some.
        FileNotFoundError: If a file to reuse is missing.
    """

    def __init__(self, path: str | Path, reuse: Iterable[str | Path] = (), reward: Reward | None = None):
        super().__init__()
        for other in reuse:
            self._reuse(_read(Path(other)).trials)
        self.path = Path(path)
        if self.path.exists() and not records.begins_as_one(self.path):
            records.read(self.path)  # raises where it is no journal, which then gets no lock beside it
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._lock = lock(self.path, f"another process writes to {self.path}; wait for it or use another file")
        try:
            salvaged = [trial for file in salvaged_files(self.path) for trial in records.read(file).trials]
            self._replayable = self._open(reward)
        except BaseException:
            self.close()
            raise
        for trial in (*self._replayable, *salvaged):
            self._found.setdefault(trial.identity, trial.evaluation)

    def _open(self, reward: Reward | None) -> list[Trial]:
        """The children in the file, which is made if missing."""
        self.path.touch()
        found = records.read(self.path, reward).check()
        if found.size < self.path.stat().st_size:
            warnings.warn(f"{self.path}: the last line was torn and is cut; its child is evaluated again", stacklevel=4)
            os.truncate(self.path, found.size)
        self._study = _open_study(self.path, start=True)
        self._size = self.path.stat().st_size
        return found.trials

    @property
    def recorded(self) -> int:
        """Children that the file held when it was opened."""
        return len(self._replayable)

    def replay_told(self, asked: Mapping[int, tuple[np.ndarray, EvaluationId]]) -> tuple[int, Evaluation] | None:
        """The journal's evaluation of the child that it holds next; see `Ledger.replay_told`."""
        if self.children >= self.recorded:
            return None
        told = self._replayable[self.children].asked
        number = self.children if told is None else told
        if number not in asked:
            raise LedgerMismatchError(
                f"{self.path} holds as child {self.children} the one that was asked for as number {number}; this run "
                f"waits for the numbers {', '.join(map(str, sorted(asked)))}. {RESUME}",
                self.children,
            )
        evaluation = self.replay(*asked[number])
        assert evaluation is not None
        return number, evaluation

    def replay(self, action: np.ndarray, identity: EvaluationId) -> Evaluation | None:
        """The journal's evaluation of the next child; see `Ledger.replay`."""
        if self.children >= self.recorded:
            return None
        trial = self._replayable[self.children]
        if _params(action) != trial.params or trial.identity != identity:
            raise LedgerMismatchError(
                f"{self.path} holds child {self.children} as {trial.identity} from action "
                f"{list(trial.params.values())}; this run asks for {identity} from action {action.tolist()}. {RESUME}",
                self.children,
            )
        self.children += 1
        return trial.evaluation

    def record(
        self,
        action: np.ndarray,
        identity: EvaluationId,
        architecture: Architecture,
        evaluation: Evaluation,
        reward: float,
        asked: int | None = None,
    ) -> None:
        """Append the next child's trial and wait until the disk has it; see `Ledger.record`.

        Raises:
            OSError: If it could not be written; the file is as it was, and the evaluation is found again in memory.
        """
        from optuna.distributions import FloatDistribution
        from optuna.trial import create_trial

        params = _params(action)
        found = written(identity, evaluation) | {"architecture_json": json.loads(architecture.to_json())}
        found["child"] = self.children  # where a clock ticks slowly, two children's lines would else be the same
        if asked not in (None, self.children):
            found["asked"] = asked
        trial = create_trial(
            value=reward,
            params=params,
            distributions={name: FloatDistribution(0.0, 1.0) for name in params},
            user_attrs={"evaluation": found},
        )
        self._found.setdefault(identity, copy.deepcopy(evaluation))
        self._append(trial)
        super().record(action, identity, architecture, evaluation, reward, asked)

    def _append(self, trial: FrozenTrial) -> None:
        lost = f"child {self.children} could not be written"
        gone = FileNotFoundError(
            f"{lost}: {self.path} was removed or cut while the search ran, and with it the children before it; start "
            "the search again"
        )
        if not self.path.is_file() or (size := self.path.stat().st_size) < self._size:
            raise gone
        try:
            self._study.add_trial(trial)
        except OSError as error:
            if not self.path.is_file():
                raise gone from error
            os.truncate(self.path, size)  # part of a line may have been written
            raise OSError(
                error.errno,
                f"{lost} ({error.strerror}); the journal keeps everything before it: make room and go on with --resume",
                str(self.path),
            ) from error
        self._size = self.path.stat().st_size

    def close(self) -> None:
        """Let another process write to the file."""
        self._lock.release()

    def _reuse(self, trials: Iterable[Trial]) -> None:
        for trial in trials:
            if trial.evaluation.failure not in NOT_REUSABLE:
                self._found.setdefault(trial.identity, trial.evaluation)


def read_trials(path: str | Path, reward: Reward | None = None) -> Sequence[FrozenTrial]:
    """The trials of a journal, in order, as Optuna's FrozenTrial; a torn last line is passed over.

    Args:
        path: The file.
        reward: What every trial's value has to be; None: values are not compared.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is not the journal of a search; DamagedJournalError if lines of it are damaged.
    """
    _read(Path(path), reward)
    return _open_study(Path(path)).get_trials(deepcopy=False)


def _read(path: Path, reward: Reward | None = None) -> records.Records:
    """The records of a journal that exists and is whole."""
    if not path.is_file():
        raise FileNotFoundError(f"there is no journal {path}")
    found = records.read(path, reward).check()
    if not found.whole:
        raise records.not_a_journal(path, "it is empty")
    return found


def _open_study(path: Path, start: bool = False) -> Study:
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
    except (AssertionError, AttributeError, LookupError, TypeError, ValueError) as error:
        raise records.not_a_journal(path, repr(error)) from error
    finally:
        optuna.logging.set_verbosity(verbosity)


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
