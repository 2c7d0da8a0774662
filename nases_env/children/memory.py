"""Memory of a device: how torch says that there is none left, and how what it keeps for later is freed."""

from __future__ import annotations

import torch

from nases_env.children.cpu import release_memory


def is_out_of_memory(error: BaseException) -> bool:
    """Whether memory ran out, on whichever device and in whichever library's words."""
    text = str(error)
    words = ("out of memory", "can't allocate memory", "ALLOC_FAILED", "unable to find an engine to execute")
    return isinstance(error, MemoryError | torch.OutOfMemoryError) or any(word in text for word in words)


def free_memory(device: str) -> None:
    """Free the memory of a device that torch keeps for later."""
    if "cuda" in device:
        torch.cuda.empty_cache()
    else:
        release_memory()
