"""Which way to compute an operation is the quickest on this device: it is measured where a shape is first met."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import NamedTuple

import torch

from nases_env.children.cuda.operations import Operation, there_and_back
from nases_env.children.cuda.recording import cuda_graph
from nases_env.children.memory import free_memory, is_out_of_memory

REPEATS = 5


class Shape(NamedTuple):
    """What the quickest way depends on."""

    operation: str
    size: int
    """Pixels a side of its window or kernel; 0 where its name says them."""
    inputs: int
    """Channels of the images."""
    outputs: int
    """Channels of what is put out."""
    height: int
    width: int
    precision: torch.dtype
    """That of the images."""
    device: torch.device

    def __str__(self) -> str:
        channels = f"{self.inputs}" if self.inputs == self.outputs else f"{self.inputs} → {self.outputs}"
        precision = str(self.precision).removeprefix("torch.")
        name = f"{self.size}×{self.size} {self.operation}" if self.size else self.operation
        return f"{name}, {self.height}×{self.width}, {channels} channels, {precision}, {self.device}"


_measured: dict[Shape, dict[str, float]] = {}
"""What was measured in this process: milliseconds of each way, forward and backward."""
_unusable: set[tuple[str, str]] = set()
"""Operations and their ways that raised an error."""


def choices() -> str:
    """A table of what was measured in this process: a line for each shape, with its ways from the quickest on."""
    return "\n".join(_line(shape, ways) for shape, ways in _measured.items())


def _line(shape: Shape, ways: dict[str, float]) -> str:
    times = (f"{way} {ways[way]:.3f} ms" for way in sorted(ways, key=ways.__getitem__))
    return f"{shape}: {', '.join(times) or 'the default, not measured'}"


class Fastest:
    """Computes operations in whichever way was the quickest. Nothing is measured outside of `full_step`.

    Args:
        milliseconds: Measures how long a call takes on a device: `on_cuda` or `recorded_on_cuda`.
    """

    def __init__(self, milliseconds: Callable[[Callable[[], None], torch.device], float]):
        self._milliseconds = milliseconds
        self._measures = False

    @contextmanager
    def full_step(self) -> Iterator[None]:
        """A training step on as many images as most of them have. Ways are measured inside, and cuDNN searches its own.

        A plan that cuDNN chose without a search it keeps, so that nothing but full steps may come first.
        """
        searched = torch.backends.cudnn.benchmark
        torch.backends.cudnn.benchmark = self._measures = True
        try:
            yield
        finally:
            torch.backends.cudnn.benchmark, self._measures = searched, False

    def __call__(self, operation: Operation, size: int, outputs: int, *arguments: object) -> torch.Tensor:
        """Compute an operation.

        Args:
            operation: Which one.
            size: Of its window or kernel; 0 where its name says it.
            outputs: Channels that it puts out.
            arguments: What its ways are functions of.
        """
        images = arguments[0]
        assert isinstance(images, torch.Tensor)
        _, inputs, height, width = images.shape
        shape = Shape(operation.name, size, inputs, outputs, height, width, images.dtype, images.device)
        ways = _measured.get(shape)
        if ways is None and self._may_measure(images):
            ways = _measured[shape] = self._times(operation, shape, arguments)
            logging.getLogger(__name__).info("%s", _line(shape, ways))
        return operation.ways[min(ways, key=ways.__getitem__) if ways else operation.default](*arguments)

    def _may_measure(self, images: torch.Tensor) -> bool:
        if not self._measures or not torch.is_grad_enabled():
            return False
        return not (images.is_cuda and torch.cuda.is_current_stream_capturing())

    def _times(self, operation: Operation, shape: Shape, arguments: tuple[object, ...]) -> dict[str, float]:
        """Milliseconds of all ways; those are left out that cannot be taken."""
        times, scarce = {}, False
        for name, way in operation.ways.items():
            if (operation.name, name) in _unusable:
                continue
            try:
                with _own_saved_tensors():
                    times[name] = self._milliseconds(partial(there_and_back, way, *arguments), shape.device)
            except Exception as error:  # what Triton raises without a C compiler differs from version to version
                if is_out_of_memory(error):
                    scarce = True
                else:
                    leave_out(operation, name, error)
        if scarce:
            free_memory(str(shape.device))  # outside the handler, whose traceback would keep tensors alive
        return times


def leave_out(operation: Operation, way: str, error: Exception) -> None:
    """Warn of a way that raised an error. Nothing measures it again in this process."""
    _unusable.add((operation.name, way))
    warnings.warn(
        f"{operation.name}: the way {way!r} is left out, it cannot be taken here ({type(error).__name__}: {error})",
        stacklevel=2,
    )


def _own_saved_tensors() -> torch.autograd.graph.saved_tensors_hooks:
    """Whoever computes a layer again in the backward pass counts what it saves: that of a measurement is none of it."""
    return torch.autograd.graph.saved_tensors_hooks(lambda tensor: tensor, lambda tensor: tensor)


def on_cuda(call: Callable[[], None], device: torch.device, repeats: int = REPEATS) -> float:
    """Milliseconds that a call takes on a CUDA device: the least of so many, after one that is not counted.

    Between launches the device waits for the host where that is the slower one, which counts too.
    """
    call()
    stream = torch.cuda.current_stream(device)
    found = []
    for _ in range(repeats):
        start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        start.record(stream)
        call()
        end.record(stream)
        end.synchronize()
        found.append(start.elapsed_time(end))
    return min(found)


def recorded_on_cuda(call: Callable[[], None], device: torch.device) -> float:
    """The milliseconds of the call in a recording, where no launch waits for the host. It is for recorded steps.

    Raises:
        RuntimeError: If it cannot be recorded.
    """
    call()  # compiles its kernels, and lets cuDNN search, neither of which can be recorded

    def calls() -> None:  # several, as what it takes to launch a recording is as long as a quick one
        for _ in range(REPEATS):
            call()

    return on_cuda(cuda_graph(calls, torch.Generator(device)), device, repeats=2) / REPEATS
