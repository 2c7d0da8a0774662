"""Tells how far searches are: children, the best so far, time left.

    nases status
    nases status runs/A runs/B

Searches that run are read as they are and go on undisturbed.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

import tyro

from agents.commands import startup
from agents.search import progress
from agents.search.run_directory import RunDirectory


@dataclass(frozen=True)
class Options:
    """Prints a line and a few details for each search."""

    runs: tyro.conf.Positional[tuple[Path, ...]] = (Path("runs"),)
    """Folders of searches, or folders that hold such."""
    trust: bool = False
    """Whether the settings of a folder may name an environment of another package, whose code is run."""


def main(options: Options) -> int:
    """Print; returns the exit status: 2 if a folder holds no search."""
    status = 0
    for path in (search for given in options.runs for search in _searches(given)):
        try:
            print(progress.read(path, options.trust), flush=True)
        except (ValueError, OSError) as error:
            print(f"error: {error}", file=sys.stderr)
            status = startup.WRONG
    return status


def _searches(path: Path) -> list[Path]:
    """The folder itself, or the searches in it where it is none."""
    if RunDirectory(path).exists():
        return [path]
    return sorted(each for each in path.glob("*") if RunDirectory(each).exists()) or [path]
