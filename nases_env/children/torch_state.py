"""What torch keeps for a whole process or thread, as the training of a child expects it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import TypeVar

import torch

Value = TypeVar("Value")


@contextmanager
def own_torch_state() -> Iterator[None]:
    """Inside the block torch computes as if the caller had set nothing; afterwards the caller's settings are back.

    Inside, gradients are recorded, inference mode and autocast are off, new tensors are float32 on the CPU unless the
    code says otherwise, and oneDNN computes float32 products in float32. Settings that choose an algorithm
    (deterministic algorithms, cuDNN's and CUDA's flags) stay the caller's.

    The settings hold for everything that runs until the block ends, so that a generator must not `yield` inside it.
    A function can be decorated with it: `@own_torch_state()`.
    """
    with ExitStack() as stack:
        stack.enter_context(torch.inference_mode(False))
        stack.enter_context(torch.enable_grad())
        if torch.get_default_device().type != "cpu":
            stack.enter_context(torch.device("cpu"))
        _set(stack, torch.get_default_dtype, torch.set_default_dtype, torch.float32)
        for device in ("cpu", "cuda"):
            # A nested torch.autocast would keep the one that the protocol asks for from emptying its cache of weights.
            _set(
                stack,
                partial(torch.is_autocast_enabled, device),
                partial(torch.set_autocast_enabled, device),
                False,
            )
        for name in ("matmul", "conv"):
            operation = getattr(torch.backends.mkldnn, name)
            if operation.fp32_precision not in ("none", "ieee"):  # both are float32
                _set(
                    stack,
                    partial(getattr, operation, "fp32_precision"),
                    partial(setattr, operation, "fp32_precision"),
                    "ieee",
                )
        yield


def _set(stack: ExitStack, read: Callable[[], Value], write: Callable[[Value], object], value: Value) -> None:
    """Write the value, and what was there before when the stack is closed; where it is there already, nothing."""
    before = read()
    if before != value:
        write(value)
        stack.callback(write, before)
