"""Shares work on many rows among the cores, and keeps BLAS to one thread."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache
from typing import TypeVar

import numpy as np
from threadpoolctl import ThreadpoolController

Result = TypeVar("Result")

_LIMIT = threading.Lock()
"""Held while BLAS is limited. The number of BLAS threads belongs to the whole process: of two threads that limit it at
once, the first to end would set it free too early."""


@cache
def _blas() -> ThreadpoolController:
    """The controller of BLAS; it is kept, because to look for the libraries takes two milliseconds."""
    return ThreadpoolController()


@contextmanager
def one_blas_thread() -> Iterator[None]:
    """Keep numpy's matrix products and decompositions on one thread: several threads round differently.

    It must not be nested.
    """
    with _LIMIT, _blas().limit(limits=1, user_api="blas"):
        yield


def cores() -> int:
    """How many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def share(work: Callable[[np.ndarray], Result], pieces: Sequence[np.ndarray]) -> list[Result]:
    """Do the work on each piece; returns the results in order. A single piece is worked on in this thread.

    The threads end before this returns, so that a process can fork afterwards.
    """
    threads = min(cores(), len(pieces))
    if threads <= 1:
        return [work(piece) for piece in pieces]
    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(work, pieces))
