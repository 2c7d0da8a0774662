"""One process at a time: what a writer holds while it writes."""

from __future__ import annotations

from pathlib import Path

from filelock import FileLock, Timeout

SUFFIX = ".filelock"
"""A name of its own: Optuna would take `.lock` for one that it made itself."""


def path_of(path: Path) -> Path:
    """The lock that lies beside a file; whoever writes makes it."""
    return path.with_name(path.name + SUFFIX)


def lock(path: Path, busy: str) -> FileLock:
    """Take the lock that lies beside a file; `release()` gives it back, and so does the end of the process.

    Args:
        path: The file that is written, or will be. Its folder has to exist.
        busy: What to say where another process holds the lock.

    Raises:
        BlockingIOError: If another process, or another part of this one, holds the lock.
    """
    taken = FileLock(path_of(path), timeout=0, thread_local=False)
    try:
        taken.acquire()
    except Timeout as error:
        raise BlockingIOError(busy) from error
    return taken
