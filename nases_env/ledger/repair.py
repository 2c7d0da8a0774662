"""A damaged journal, made usable without losing a child that can still be read."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterable
from glob import escape
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from nases_env import files
from nases_env.file_lock import lock
from nases_env.ledger.records import Record, Records, read
from nases_env.ledger.schema import CREATE_STUDY, MAXIMIZE, STUDY

if TYPE_CHECKING:
    from nases_env.rewards import Reward


DAMAGED, SALVAGED = WORDS = "damaged", "salvaged"
"""Parts of the names of the files that a repair puts beside a journal."""


class Repair(NamedTuple):
    """What was kept, and where."""

    copy: Path
    """The file as it was."""
    replayed: int
    """Children that the journal holds now: a resumed run goes on behind them."""
    salvaged: int
    """Children behind a lost one: a resumed run finds them again instead of training them, as soon as it asks for
    them."""


def repair(path: str | Path, reward: Reward | None = None, children: int | None = None) -> Repair | None:
    """Make a damaged journal usable; None, and nothing is done, where it is whole.

    A copy of the file is kept. The journal keeps every child up to the first that is lost; blank and repeated lines are
    left out. The children behind it that can still be read go to a file beside the journal (`salvaged_files`), which
    `JournalLedger` reads.

    Args:
        path: The journal.
        reward: What every child's value has to be, see `nases_env.rewards.make`; None: values are not compared.
        children: How many children at most the journal keeps: the next one does not replay; None: all.

    Raises:
        FileNotFoundError: If there is no such file.
        BlockingIOError: If another process writes to it.
        ValueError: If it is not the journal of a search.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"there is no journal {path}")
    held = lock(path, f"another process writes to {path}; wait for it before you repair it")
    try:
        found = read(path, reward)
        told = [record.number for record in found.whole if record.trial is not None]
        cut = [] if children is None else told[children : children + 1]
        return _repair(found, cut) if found.damages or cut else None
    finally:
        held.release()


def salvaged_files(path: Path) -> list[Path]:
    """What repairs of this journal have put beside it."""
    return sorted(path.parent.glob(f"{escape(path.stem)}.{SALVAGED}-*{escape(path.suffix)}"))


def _repair(found: Records, cut: list[int]) -> Repair:
    """Keep the lines before the first that is lost or cut."""
    path = found.path
    lost = min([*cut, *(damage.number for damage in found.damages if not damage.spare)], default=None)
    kept = [record for record in found.whole if lost is None or record.number < lost]
    behind = [record for record in found.whole if lost and record.number >= lost and record.trial is not None]
    number = next(n for n in itertools.count(1) if not any(_beside(path, word, n).exists() for word in WORDS))
    copy = _beside(path, DAMAGED, number)
    files.write(copy, path.read_bytes())
    if behind:
        files.write(_beside(path, SALVAGED, number), b"".join([_study_line(), *_lines(behind)]))
    study = [] if kept and kept[0].number == 1 else [_study_line()]
    files.write(path, b"".join([*study, *_lines(kept)]))
    return Repair(copy, sum(record.trial is not None for record in kept), len(behind))


def _beside(path: Path, word: str, number: int) -> Path:
    return path.with_name(f"{path.stem}.{word}-{number}{path.suffix}")


def _lines(records: Iterable[Record]) -> list[bytes]:
    return [record.line for record in records]


def _study_line() -> bytes:
    """The first line of a journal."""
    study = {"op_code": CREATE_STUDY, "worker_id": "repair", "study_name": STUDY, "directions": [MAXIMIZE]}
    return json.dumps(study, separators=(",", ":")).encode() + b"\n"
