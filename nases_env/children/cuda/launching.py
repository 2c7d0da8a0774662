"""How kernels in Triton are launched, and what they are told about the numbers they compute."""

from __future__ import annotations

import math
from typing import Any

import torch
import triton.language as tl


def launch(kernel: Any, programs: tuple[int, ...], *given: Any, **constants: Any) -> None:
    """Run a kernel on the device of its first argument, the images; Triton itself takes the current device.

    The constant COMPUTE is the precision to compute in: float64 for that, float32 for any smaller one.
    """
    compute = tl.float64 if given[0].dtype == torch.float64 else tl.float32
    with torch.cuda.device_of(given[0]):
        kernel[programs](*given, COMPUTE=compute, **constants)


def in_groups(numbers: int) -> tuple[int, int]:
    """So many numbers as a count of groups, and the size of a group: a power of two, at most 16.

    A kernel whose constant is the group reads as many numbers at once: it knows where they begin in memory.
    """
    group = math.gcd(numbers, 16)
    return numbers // group, group
