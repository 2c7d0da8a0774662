"""Work on many rows, shared among the cores."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import numpy as np

Result = TypeVar("Result")

FEW = 1
"""Pieces that no threads are started for."""


def share(work: Callable[[np.ndarray], Result], pieces: Sequence[np.ndarray] | np.ndarray) -> Iterable[Result]:
    """What the work makes of each piece, in order.

    The threads end before this returns, so that a process can fork afterwards.
    """
    cores = os.cpu_count() or 1
    if len(pieces) <= FEW or cores == 1:
        return map(work, pieces)
    with ThreadPoolExecutor(min(cores, len(pieces))) as pool:
        return list(pool.map(work, pieces))
