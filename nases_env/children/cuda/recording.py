"""Work on a CUDA device, recorded as a CUDA graph; one that cannot be recorded leaves torch as it was.

`torch.cuda.graph` does not do that: after a failure torch up to 2.12 takes the recording to go on for ever. The next
`torch.cuda.empty_cache` then ends in an internal error, and so does whatever draws from a generator that the recording
knew, or repeats an earlier recording that knows it.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from functools import cache

import torch


def cuda_graph(function: Callable[[], None], generator: torch.Generator) -> Callable[[], None]:
    """Record what a function launches on the generator's device, without doing it; returns what launches it all.

    Args:
        function: It may draw from the generator, and has to wait for nothing.
        generator: On a CUDA device.

    Raises:
        RuntimeError: If the function does something that cannot be recorded.
    """
    with torch.cuda.device(generator.device):
        torch.cuda.synchronize()
        torch.cuda.empty_cache()  # a recording has memory of its own
        try:
            return _recorded(function, generator).replay
        except BaseException:
            with suppress(RuntimeError):  # a recording that ends well ends it for the generators
                _recorded(lambda: torch.zeros((), device=generator.device), generator)
            raise


def _recorded(function: Callable[[], object], generator: torch.Generator) -> torch.cuda.CUDAGraph:
    """A recording of a function, made on the current device."""
    graph, pool = torch.cuda.CUDAGraph(), torch.cuda.graph_pool_handle()
    graph.register_generator_state(generator)
    with torch.cuda.stream(_stream(torch.cuda.current_device())):
        try:
            graph.capture_begin(pool)
            function()
            graph.capture_end()
        except BaseException:
            _give_up(graph, pool)
            raise
    return graph


def _give_up(graph: torch.cuda.CUDAGraph, pool: tuple[int, int]) -> None:
    """End a recording that failed, and free its memory."""
    with suppress(RuntimeError):  # that it failed is known
        graph.capture_end()
    graph.reset()
    with suppress(RuntimeError):  # torch has done it already: a later version, or the recording could be ended
        torch._C._cuda_endAllocateToPool(torch.cuda.current_device(), pool)
        torch._C._cuda_releasePool(torch.cuda.current_device(), pool)


@cache
def _stream(device: int) -> torch.cuda.Stream:
    """The stream of a device on which all its recordings are made: cuBLAS keeps memory for every one it has seen."""
    return torch.cuda.Stream(device)
