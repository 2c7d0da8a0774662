"""Writes one HTML page of a search: curves, the best network, its children, settings, how to go on.

    nases report runs/A
    nases report runs/A --out report.html

Everything is in the one file. A search that runs is shown as it is and goes on undisturbed.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

import tyro

from agents.commands import startup
from agents.search import progress, report


@dataclass(frozen=True)
class Options:
    """Writes the page of a search."""

    run: tyro.conf.Positional[Path]
    """Folder of the search."""
    out: Path | None = None
    """The page, or the folder for its report.html; None: the search's folder."""
    trust: bool = False
    """Whether the folder's settings may name an environment of another package, whose code is run."""


def main(options: Options) -> int:
    """Write the page; returns the exit status."""
    path = options.out or options.run
    path = path / "report.html" if path.is_dir() else path
    try:
        found = progress.read(options.run, options.trust)
        path.parent.mkdir(parents=True, exist_ok=True)
        report.write(found, path)
    except (ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return startup.WRONG
    print(found)
    print(f"page: {path}")
    return 0
