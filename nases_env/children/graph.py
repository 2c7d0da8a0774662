"""Work on batches as CUDA graphs: the several hundred kernels of a training step, or of the evaluation of a batch, are
recorded once and then launched as one.

Which kernels they are and their order is that of the work as it is, and so are momenta, statistics and random numbers.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable

import torch

from nases_env.children.cuda.recording import cuda_graph
from nases_env.children.memory import is_out_of_memory

Number = float | torch.Tensor
"""A float, or a float32 tensor without dimensions on the child's device."""
Body = Callable[..., None]
"""Work on a batch: its first argument is a tensor with an entry for each image, the others are tensors or numbers."""
Runner = Callable[..., None]
"""Runs a body, its first argument, on the other ones."""


def plainly(body: Body, *arguments: Number) -> None:
    """Run a body as it is."""
    body(*arguments)


class Graphed:
    """Runs the same body again and again: once as it is, then by repeating a recording of it.

    In the first run momenta are made, and CUDA's libraries choose their kernels. Batches of another number of images,
    as the last one of an epoch, are always run as they are. Where the body cannot be recorded, a warning says why and
    all are run as they are.

    The recording reads its arguments from tensors that stay in their place, and whatever else it reads or changes has
    to stay in its place too. It must not wait for the device.

    Args:
        what: The name of what is run, for the warning.
        images: The number of images that a recording is for.
        generator: What the body draws its random numbers from.
        record: Makes, of a function, one that does again what it did on the device.
    """

    def __init__(
        self,
        what: str,
        images: int,
        generator: torch.Generator,
        record: Callable[[Callable[[], None], torch.Generator], Callable[[], None]] | None = None,
    ):
        self._what, self._images, self._generator = what, images, generator
        self._record = record or cuda_graph
        self._runs = 0
        """Runs on so many images."""
        self._places: list[torch.Tensor] = []
        """Where a recording reads its arguments."""
        self._repeat: Callable[[], None] | None = None

    def __call__(self, body: Body, batch: torch.Tensor, *others: Number) -> None:
        """Run a body, or repeat it; it has to be the same one every time."""
        full = len(batch) == self._images
        if full and self._runs == 1:
            self._repeat = self._recorded(body, batch, *others)
        self._runs += full
        if self._repeat is None or not full:
            body(batch, *others)
            return
        for place, argument in zip(self._places, (batch, *others), strict=True):
            if isinstance(argument, torch.Tensor):
                place.copy_(argument)
            else:
                place.fill_(argument)
        self._repeat()

    def _recorded(self, body: Body, *arguments: Number) -> Callable[[], None] | None:
        """What repeats the body; None where it cannot be recorded."""
        number = torch.zeros((), device=self._generator.device)
        self._places = [torch.empty_like(each if isinstance(each, torch.Tensor) else number) for each in arguments]
        try:
            return self._record(lambda: body(*self._places), self._generator)
        except RuntimeError as error:
            if is_out_of_memory(error):
                raise
            warnings.warn(
                f"{self._what} are run kernel by kernel: this child's cannot be recorded as a CUDA graph ({error})",
                stacklevel=3,
            )
            return None
