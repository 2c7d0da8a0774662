"""Tells how far searches are: children, the best so far, time left.

    nases status runs/A
    nases status runs/*

Searches that run are read as they are and go on undisturbed.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

import tyro

from agents.commands import startup
from agents.search import progress


@dataclass(frozen=True)
class Options:
    """Prints a line and a few details for each search."""

    runs: tyro.conf.Positional[tuple[Path, ...]]
    """Folders of searches."""
    trust: bool = False
    """Whether the settings of a folder may name an environment of another package, whose code is run."""


def main(options: Options) -> int:
    """Print; returns the exit status: 2 if a folder holds no search."""
    status = 0
    for path in options.runs:
        try:
            print(progress.read(path, options.trust), flush=True)
        except (ValueError, OSError) as error:
            print(f"error: {error}", file=sys.stderr)
            status = startup.WRONG
    return status
