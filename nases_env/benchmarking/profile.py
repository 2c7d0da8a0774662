"""What a GPU does in a training step: how often the host starts something on it, and how long it works."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import torch
from torch.autograd import DeviceType
from torch.autograd.profiler_util import FunctionEvent
from torch.profiler import ProfilerActivity

LAUNCHES = ("cudaLaunchKernel", "cuLaunchKernel", "cudaGraphLaunch", "cudaMemcpyAsync", "cudaMemsetAsync")
"""How names of the host's calls begin that give a GPU something to do."""


@dataclass(frozen=True)
class StepProfile:
    """Means over a few steps."""

    launches: float
    """The host's calls that start a kernel, a copy or a recording, in which a thousand kernels may be one call."""
    gpu_milliseconds: float
    """So long at least one kernel or copy ran."""


def profiled(run: Callable[[], object], steps: int) -> StepProfile | None:
    """Profile a call that takes so many training steps; None where the profiler sees no GPU at work."""
    with torch.profiler.profile(activities=[ProfilerActivity.CUDA]) as profiler:
        run()
        torch.cuda.synchronize()
    return read(profiler.events(), steps)


def read(events: Iterable[FunctionEvent], steps: int) -> StepProfile | None:
    """The means over so many steps of what a profiler saw; None where no GPU was at work."""
    launches, spans = 0, []
    for event in events:
        if event.device_type == DeviceType.CUDA and not event.is_user_annotation:
            spans.append((event.time_range.start, event.time_range.end))
        elif event.device_type == DeviceType.CPU:
            launches += event.name.startswith(LAUNCHES)
    if not spans:
        return None
    busy, until = 0.0, -math.inf  # microseconds
    for start, end in sorted(spans):  # on several streams they may overlap
        busy += max(0.0, end - max(start, until))
        until = max(until, end)
    return StepProfile(launches / steps, busy / 1000 / steps)
