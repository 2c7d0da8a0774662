"""Work on many rows, shared among the cores."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import numpy as np

Result = TypeVar("Result")


def cores() -> int:
    """Cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def share(work: Callable[[np.ndarray], Result], pieces: Sequence[np.ndarray]) -> list[Result]:
    """What the work makes of each piece, in order; one piece is worked on in this thread.

    The threads end before this returns, so that a process can fork afterwards.
    """
    threads = min(cores(), len(pieces))
    if threads <= 1:
        return [work(piece) for piece in pieces]
    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(work, pieces))
