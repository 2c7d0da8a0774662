"""Mirrors the journal of a search into a database of Optuna's: for many readers, or several searches in one place.

    python examples/optuna_storage.py runs/mine sqlite:///searches.db
    python examples/optuna_storage.py runs/mine postgresql+psycopg://USER:PASSWORD@HOST/DATABASE --follow
    optuna-dashboard sqlite:///searches.db

It needs nothing but nases-env, and the database's driver (`pip install 'psycopg[binary]'` for PostgreSQL). One search
needs no mirror: a journal is an Optuna study, which `optuna-dashboard runs/mine/journal.log` opens on the same host.
(Do not put Optuna's gRPC proxy in front of a journal, which it was not made for.) The search goes on as it is; this
process reads its journal and is the only one to write into the study. Given again, it copies what is missing.
"""

import time
from dataclasses import dataclass
from pathlib import Path

import optuna
import tyro
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from tyro.conf import Positional

from agents.search import progress


@dataclass
class Args:
    """Copies children that the database does not have."""

    run: Positional[Path]
    """Folder of the search."""
    storage: Positional[str]
    """URL of the database."""
    study_name: str | None = None
    """Name of the study there; None: that of the folder."""
    follow: bool = False
    """Whether to go on until the search ends or stops."""
    seconds: float = 10.0
    """How long to wait between two looks at the journal."""


def copy_new(journal: optuna.Study, study: optuna.Study) -> int:
    """Copy the trials that the study does not have; returns how many these are.

    Raises:
        ValueError: If the study is no copy of the journal's beginning.
    """
    trials, copied = (each.get_trials(deepcopy=False) for each in (journal, study))
    same = [one.params == other.params and one.value == other.value for one, other in zip(trials, copied, strict=False)]
    if len(copied) > len(trials) or not all(same):
        raise ValueError(
            f"the study {study.study_name!r} holds {len(copied)} trials that are not the first of the journal: another "
            "search or another process wrote them; choose another --study-name"
        )
    for trial in trials[len(copied) :]:
        study.add_trial(trial)
    return len(trials) - len(copied)


def main(args: Args) -> None:
    """Mirror."""
    search = progress.read(args.run)
    storage = JournalStorage(JournalFileBackend(str(search.run.journal)))
    journal = optuna.load_study(study_name="search", storage=storage)
    name = args.study_name or args.run.resolve().name
    study = optuna.create_study(study_name=name, storage=args.storage, direction="maximize", load_if_exists=True)
    running = True
    while running:
        # Asked before the copy, so that the last children are not left out.
        running = args.follow and progress.read(args.run).running
        print(f"{copy_new(journal, study)} children copied, {len(study.get_trials(deepcopy=False))} in {name}")
        if running:
            time.sleep(args.seconds)


if __name__ == "__main__":
    main(tyro.cli(Args))
