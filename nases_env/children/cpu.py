"""Settings of a process that trains children on a CPU: its threads, the memory it keeps, its cache of kernels."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache

import torch

KERNEL_CACHE = "ONEDNN_PRIMITIVE_CACHE_CAPACITY"
KERNELS = 256
"""oneDNN keeps so many compiled kernels for the next time, as many as a child needs. Its default of 1,024 would fill up
with the shapes of a whole search."""
LARGEST_KEPT = 32 << 20
"""Blocks of up to so many bytes stay with the process when they are freed; glibc accepts no larger number."""
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # of malloc.h


@contextmanager
def cpu_threads(count: int | None) -> Iterator[None]:
    """Fix the number of torch's CPU threads inside the block; with None there is one for each core."""
    before = torch.get_num_threads()
    torch.set_num_threads(count or os.cpu_count() or before)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def physical_memory() -> int | None:
    """Bytes of memory that this machine has; None where the system does not tell."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, OSError, ValueError):
        return None


def release_memory() -> None:
    """Give freed memory back to the kernel, where the C library can do that."""
    malloc_trim = _c_function("malloc_trim")
    if malloc_trim is not None:
        malloc_trim(0)


@cache
def prepare_memory() -> None:
    """Make this process's memory fit for training: no page is fetched anew every step, no cache grows for ever.

    glibc gives a freed activation back to the kernel, which clears the page before the next step gets it again; here
    it stays until `release_memory`. Other C libraries are left alone. The bound on kernels has an effect before torch's
    first convolution only, and none where `ONEDNN_PRIMITIVE_CACHE_CAPACITY` is set.
    """
    os.environ.setdefault(KERNEL_CACHE, str(KERNELS))
    mallopt = _c_function("mallopt")
    if mallopt is not None:
        mallopt(_M_MMAP_THRESHOLD, LARGEST_KEPT)
        mallopt(_M_TRIM_THRESHOLD, 2**31 - 1)


def _c_function(name: str) -> Callable[..., int] | None:
    """A function of the C library; None where the library has none of that name, or cannot be opened (Windows)."""
    try:
        library = ctypes.CDLL(None)
    except (OSError, TypeError):
        return None
    return getattr(library, name, None)
