"""Training steps as a CUDA graph: the several hundred kernels of a step are recorded once and then launched as one.

Which kernels they are and their order is that of the step as it is, and so are momenta, statistics and random numbers.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable

import torch

from nases_env.children.memory import is_out_of_memory

Number = float | torch.Tensor
"""A float, or a float32 tensor without dimensions on the child's device."""
Body = Callable[[torch.Tensor, Number, Number], None]
"""A training step: of the images with these indices, with this learning rate, so far into the training."""


def plainly(body: Body, batch: torch.Tensor, learning_rate: float, progress: float) -> None:
    """Run a step as it is."""
    body(batch, learning_rate, progress)


class GraphedStep:
    """Runs the same step again and again: once as it is, then by repeating a recording of it.

    In the first one momenta are made, and CUDA's libraries choose their kernels. Steps on another number of images, as
    the last one of an epoch, are always run as they are. Where a step cannot be recorded, a warning says why and all
    are run as they are.

    The recorded step reads its arguments from tensors that stay in their place, and whatever else it reads or changes
    has to stay in its place too. It must not wait for the device.

    Args:
        images: So many a recorded step is for.
        generator: What the step draws its random numbers from.
        record: Makes, of a function, one that does again what it did on the device.
    """

    def __init__(
        self,
        images: int,
        generator: torch.Generator,
        record: Callable[[Callable[[], None], torch.Generator], Callable[[], None]] | None = None,
    ):
        self._batch = torch.zeros(images, dtype=torch.int64, device=generator.device)
        self._learning_rate = torch.zeros((), device=generator.device)
        self._progress = torch.zeros((), device=generator.device)
        self._generator = generator
        self._record = record or cuda_graph
        self._steps = 0
        """Steps on so many images."""
        self._repeat: Callable[[], None] | None = None

    def __call__(self, body: Body, batch: torch.Tensor, learning_rate: float, progress: float) -> None:
        """Run a step, or repeat it; the body has to be the same one every time."""
        full = len(batch) == len(self._batch)
        if full and self._steps == 1:
            self._repeat = self._recorded(body)
        self._steps += full
        if self._repeat is None or not full:
            body(batch, learning_rate, progress)
            return
        self._batch.copy_(batch)
        self._learning_rate.fill_(learning_rate)
        self._progress.fill_(progress)
        self._repeat()

    def _recorded(self, body: Body) -> Callable[[], None] | None:
        """What repeats the body; None where it cannot be recorded."""
        try:
            return self._record(lambda: body(self._batch, self._learning_rate, self._progress), self._generator)
        except RuntimeError as error:
            if is_out_of_memory(error):
                raise
            warnings.warn(
                f"training steps are run kernel by kernel: this child's cannot be recorded as a CUDA graph ({error})",
                stacklevel=3,
            )
            return None


def cuda_graph(function: Callable[[], None], generator: torch.Generator) -> Callable[[], None]:
    """Record what a function launches, without doing it; returns what launches it all.

    Raises:
        RuntimeError: If the function does something that cannot be recorded.
    """
    graph = torch.cuda.CUDAGraph()
    before = generator.clone_state()
    graph.register_generator_state(generator)
    try:
        with (
            torch.cuda.device(generator.device),
            # A recording that fails may end before it has put back the stream that was the current one.
            torch.cuda.stream(torch.cuda.current_stream(generator.device)),
            torch.cuda.graph(graph),
        ):
            function()
    except BaseException:
        generator.graphsafe_set_state(before)  # a failed recording leaves the generator's own state recording for ever
        raise
    return graph.replay
