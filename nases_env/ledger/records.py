"""The lines of a journal: which hold a child, which are damaged, and where a kill tore the last one."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from nases_env.ledger import schema
from nases_env.ledger.memory import LedgerMismatchError
from nases_env.ledger.schema import NotASearch, NotWhole, Trial
from nases_env.schemas import NewerVersionError

if TYPE_CHECKING:
    from nases_env.rewards import Reward


START = b'{"op_code":'
"""What the first line of a journal begins with."""


class Record(NamedTuple):
    """A whole line."""

    number: int
    """The line's number; the first is 1."""
    line: bytes
    trial: Trial | None
    """None for a line that tells of no child: the study's, or a note."""


class Damage(NamedTuple):
    """A line that cannot be used."""

    number: int
    """The line's number; the first is 1."""
    why: str
    spare: bool
    """Whether no child is lost with it: it is blank or a repetition."""


class OtherReward(ValueError):
    """A line's value is not the reward that its accuracies give."""


class Repeated(ValueError):
    """A line says once more what a line before it says."""


class DamagedJournalError(ValueError):
    """A journal has lines that cannot be used, other than a last one that a kill tore."""


@dataclass(frozen=True)
class Records:
    """What the lines of a journal are."""

    path: Path
    whole: tuple[Record, ...]
    damages: tuple[Damage, ...]
    size: int
    """Bytes of all lines but a torn last one."""

    @property
    def trials(self) -> list[Trial]:
        """The children, in order."""
        return [record.trial for record in self.whole if record.trial is not None]

    def check(self) -> Records:
        """These records, if none of them is damaged.

        Raises:
            DamagedJournalError: If one is: which line, why, what stands before and after it, and what to do.
        """
        if not self.damages:
            return self
        first = self.damages[0]
        before = sum(record.trial is not None and record.number < first.number for record in self.whole)
        more = f" ({len(self.damages) - 1} more lines are damaged)" if len(self.damages) > 1 else ""
        raise DamagedJournalError(
            f"{self.path}: line {first.number} cannot be used, {first.why}{more}; {before} children stand before it "
            f"and {len(self.trials) - before} after it. Nothing was changed. Repair it (nases search --resume "
            "--repair for a search's own folder, nases_env.ledger.repair(path, reward) for any journal): a copy is "
            "kept and every child that can still be read; what is lost is trained again"
        )


def read(path: Path, reward: Reward | None = None) -> Records:
    """The records of a journal; the file is left as it is.

    A last line that is not whole was torn by a kill and is passed over.

    Args:
        path: The file.
        reward: What every child's value has to be; None: values are not compared.

    Raises:
        NewerVersionError: If a newer version wrote one of its children: this one cannot tell what is damaged.
        ValueError: If the file is not the journal of a search; LedgerMismatchError if it is one with another reward.
    """
    lines = io.BytesIO(path.read_bytes()).readlines()
    whole: list[Record] = []
    damages: list[Damage] = []
    foreign: list[str] = []
    others: list[str] = []
    first: dict[bytes, int] = {}
    torn = 0
    for number, line in enumerate(lines, start=1):
        try:
            whole.append(Record(number, line, _read_line(line, number, first.setdefault(line, number), reward)))
        except NotWhole as error:
            if number == len(lines):
                torn = len(line)
            else:
                damages.append(Damage(number, str(error), spare=not line.strip()))
        except Repeated as error:
            damages.append(Damage(number, str(error), spare=True))
        except NewerVersionError as error:
            raise NewerVersionError(f"{path}, line {number}: {error}") from error
        except ValueError as error:
            if isinstance(error, NotASearch):
                foreign.append(f"line {number}: {error}")
            if isinstance(error, OtherReward):
                others.append(str(error))
            damages.append(Damage(number, str(error), spare=False))
    _check_kind(path, lines, whole, foreign)
    if others and all(record.trial is None for record in whole):
        raise LedgerMismatchError(
            f"{path} was recorded with another reward: of its {len(others)} children none has the value that its "
            f"accuracies give here, in the first {others[0]}. Make the environment with the reward that the journal "
            "was started with, or start another journal and reuse this one"
        )
    return Records(path, tuple(whole), tuple(damages), sum(map(len, lines)) - torn)


def _read_line(line: bytes, number: int, first: int, reward: Reward | None) -> Trial | None:
    """What a line tells; the same stood first in another one, or in this."""
    operation = schema.parse(line)
    if first < number and operation["op_code"] not in schema.NOTES:
        raise Repeated(f"it repeats line {first}")
    if number == 1:
        schema.check_study(operation)
        return None
    trial = schema.trial(operation)
    if trial is not None and reward is not None:
        _check_value(trial, reward)
    return trial


def _check_value(trial: Trial, reward: Reward) -> None:
    expected = float(reward(trial.evaluation))
    if not math.isclose(trial.value, expected, rel_tol=1e-9, abs_tol=1e-12):
        raise OtherReward(f"its value is {trial.value!r}; its accuracies give the reward {expected!r}")


def begins_as_one(path: Path) -> bool:
    """Whether a file begins as a journal does, as far as it goes; nothing but its first bytes is read."""
    with path.open("rb") as file:
        first = file.read(len(START))
    return START.startswith(first)


def _check_kind(path: Path, lines: Sequence[bytes], whole: Sequence[Record], foreign: Sequence[str]) -> None:
    """Whether this is a journal at all: a mistyped path must not cost anybody a file."""
    if not lines or any(record.trial is not None for record in whole):
        return
    begins = lines[0].startswith(START) or (len(lines) == 1 and START.startswith(lines[0]))
    if foreign or not begins:
        raise not_a_journal(path, foreign[0] if foreign else f"it begins with {lines[0][:40]!r}")


def not_a_journal(path: Path, why: str) -> ValueError:
    """The error that a file is something else."""
    return ValueError(f"{path} is not a journal of a search ({why}); nothing was changed, use another file")
