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


def free_scarce_memory(device: str) -> None:
    """Free what torch keeps of a GPU's memory once more than half of that memory is taken, by whichever process.

    Until then it stays, and the next child need not ask the driver for it again. A child that needs more than is left
    gets it: torch frees the rest itself, before a recording begins or when nothing else is to be had.
    """
    if "cuda" in device:
        free, total = torch.cuda.mem_get_info(device)
        if free < total / 2:
            free_memory(device)
