"""Searches for a network with one agent.

    nases search
    nases search --env-id NASES-v0 --dataset imagefolder:PATH --protocol cifar10-mini

Results go to a folder of their own under runs/; `tensorboard --logdir runs` shows the curves.
"""

from __future__ import annotations

import shlex
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, Literal, get_args, get_origin, get_type_hints

import torch
import tyro

from agents.commands import startup
from agents.reinforce import ReinforceSettings
from agents.search import dry_run
from agents.search.run_directory import RunDirectory
from agents.search.session import FAILURES, Outcome, Session
from agents.search.settings import SearchSettings
from nases_env.ledger import LedgerMismatchError, repair


@dataclass(frozen=True)
class Options(SearchSettings):
    """Runs one search to its end and records it. Options of the environment default to what its id registers."""

    run_dir: str | None = None
    """Folder for the results; None: runs/<environment>-<agent>-seed<seed>-<time>."""
    resume: bool = False
    """Go on with the search in run_dir, with the settings it was started with; start it if there is none."""
    repair: bool = False
    """With --resume: make a damaged journal usable first. A copy and every whole record are kept."""
    dry_run: bool = False
    """Only read the data, tell classes, size and time of children, and stop. No folder of a search is made; CIFAR-10 is
    downloaded where it is missing."""
    trust: bool = False
    """Whether the settings of a folder, that of --resume or --start-from, may name an environment of another package,
    whose code is run, and links in it may lead elsewhere."""

    def check(self) -> None:
        """Raise ValueError where a number is out of its range, or an option is given without another."""
        super().check()
        if self.resume and not self.run_dir:
            raise ValueError("--resume goes on with the search in a folder; name it with --run-dir")
        if self.repair and not self.resume:
            raise ValueError("--repair is for a search to go on with: give --resume and --run-dir as well")

    def folder(self) -> RunDirectory:
        """Where the search is kept."""
        name = f"{self.env_id}-{self.agent}-seed{self.seed}-{time.strftime('%Y%m%d-%H%M%S')}"
        return RunDirectory(self.run_dir or f"runs/{name}", self.trust)


def parse(args: Sequence[str] | None = None, prog: str | None = None) -> Options:
    """Options of the command line; those not given come from the resumed search or the recipe.

    Raises:
        ValueError: If the resumed search's settings are damaged or not trusted.
    """
    options = tyro.cli(Options, args=args, prog=prog)
    if options.resume and options.run_dir and options.folder().exists():
        return tyro.cli(Options, args=args, prog=prog, default=_stored(options))
    if options.recipe == "ours":
        return options
    start = getattr(ReinforceSettings, options.recipe)()
    return tyro.cli(Options, args=args, prog=prog, default=Options(reinforce=start))


def _stored(options: Options) -> Options:
    """The options with the settings that the search to resume was started with."""
    folder = options.folder()
    settings = folder.path / "settings.json"
    stored = folder.options()
    try:
        lists = ("overrides", "reuse", "agent_settings")
        stored |= {name: tuple(stored[name]) for name in lists if isinstance(stored[name], list)}
        stored["reinforce"] = ReinforceSettings(**stored["reinforce"])
        found = SearchSettings(**stored)
    except (TypeError, KeyError) as error:
        raise ValueError(
            f"{settings} has no options of this version ({error}); resume with the version that wrote them, or start "
            "another search and --reuse this one"
        ) from error
    kinds = get_type_hints(SearchSettings)
    if wrong := [name for name, kind in kinds.items() if not _is_one(getattr(found, name), kind)]:
        raise ValueError(
            f"{settings} is damaged: its {wrong[0]} is {getattr(found, wrong[0])!r:.100}; restore it, or remove it and "
            "resume the search with all the options that it was started with"
        )
    return replace(options, **{field.name: getattr(found, field.name) for field in fields(found)})


def _is_one(value: Any, kind: Any) -> bool:
    """Whether a value has the type of an option."""
    if get_origin(kind) is Literal:
        return value in get_args(kind)
    if get_origin(kind) is tuple:
        return isinstance(value, tuple) and all(isinstance(part, str) for part in value)
    return type(value) in (get_args(kind) or (kind,))


def main(options: Options) -> int:
    """Search; returns the exit status: 0 at the end of the budget, 130 after Ctrl-C."""
    torch.set_num_threads(1)  # for the controller: faster at its size, and the same on every machine
    folder = options.folder()
    try:
        options.check()
        if options.dry_run:
            return _tell(options)
        if options.repair:
            _repair(folder)
        if options.resume and not folder.exists():
            print(f"{folder.path} holds no search yet: a new one starts")
        session = Session(options, folder, options.resume)
    except FAILURES as error:
        print(f"error: {error}", file=sys.stderr)
        return startup.WRONG
    print(f"{options.agent} searches {options.env_id} with {options.children} children; results: {folder.path}")
    if session.start:
        print(session.describe_start())
    sys.stdout.flush()
    outcome = session.run()
    if options.repair and (children := _replaying(outcome)) is not None:
        _repair(folder, children)
        return main(options)
    for found in outcome.errors:
        print(f"error: {found}", file=sys.stderr)
    if outcome.errors:
        return startup.WRONG
    _summarise(outcome, folder)
    return startup.INTERRUPTED if outcome.interrupted else 0


def _tell(options: Options) -> int:
    """Tell what the search would do."""
    environment = options.make_environment()
    print("\n".join(dry_run.describe(environment, options.children, options.batch)))
    environment.close()
    return 0


def _replaying(outcome: Outcome) -> int | None:
    """How many children replay, where a search ended because the next one does not; else None."""
    first = outcome.errors[0] if outcome.errors else None
    return first.child if isinstance(first, LedgerMismatchError) else None


def _repair(folder: RunDirectory, children: int | None = None) -> None:
    """Repair the journal of a search, of which at most so many children replay, and say what was kept."""
    done = repair(folder.journal, folder.reward(), children)
    if done is None:
        print(f"{folder.journal} is whole: nothing to repair")
        return
    print(
        f"repaired {folder.journal}: {done.replayed} children are replayed, {done.salvaged} behind lost ones are found "
        f"again when they are asked for; the file as it was: {done.copy}"
    )


def _summarise(outcome: Outcome, folder: RunDirectory) -> None:
    path = shlex.quote(str(folder.path))
    if outcome.interrupted:
        print(f"interrupted after {outcome.children} children; go on:  nases search --run-dir {path} --resume")
    if outcome.best is None:
        return
    print(f"best child: number {outcome.best.step} of {outcome.children}, reward {outcome.best.reward:.4f}")
    print(f"  {outcome.best.architecture}")
    if outcome.believed is not None and outcome.believed.step != outcome.best.step:
        print(f"believed in: number {outcome.believed.step}, reward {outcome.believed.reward:.4f}; it is believed.json")
        print(f"  {outcome.believed.architecture}")
    print(f"results:     {folder.path / 'children.csv'}")
    print(f"picture:     {folder.path / 'best.png'}")
    print(f"TensorBoard: tensorboard --logdir {shlex.quote(str(folder.path / 'tensorboard'))}")
    print(f"retrain it:  nases train-final --run {path}")
