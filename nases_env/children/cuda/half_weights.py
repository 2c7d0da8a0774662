"""Weights of convolutions in bfloat16: all are rounded by one operation a step, where autocast rounds one by one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import nn


class HalfWeights:
    """Copies of a model's convolutions' weights and biases, which a step computes with instead of them.

    What a step under autocast computes is the same, bit for bit. The parameters stay in float32, and so do their
    gradients and whatever an optimiser keeps of them; names and files are those of the parameters.

    Args:
        model: Is on its device already.
    """

    def __init__(self, model: nn.Module):
        self._places = [
            (module, name)
            for module in model.modules()
            if isinstance(module, nn.Conv2d)
            for name, _ in module.named_parameters(recurse=False)
        ]
        self._parameters: list[torch.Tensor] = [module.get_parameter(name) for module, name in self._places]
        self._copies = [parameter.detach().bfloat16().requires_grad_() for parameter in self._parameters]
        self._gradients = [torch.empty_like(parameter) for parameter in self._parameters]

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """The model has the copies of its parameters inside the block, and the parameters their gradients after it."""
        _copy(self._copies, self._parameters)
        self._put(self._copies)
        try:
            yield
            self._hand_over_gradients()
        finally:
            self._put(self._parameters)
            for copy in self._copies:
                copy.grad = None  # of a step that failed too, or the next one would add to it

    def _put(self, tensors: Sequence[torch.Tensor]) -> None:
        for (module, name), tensor in zip(self._places, tensors, strict=True):
            module._parameters[name] = tensor  # type: ignore[assignment]  # a copy is no parameter: nobody trains it

    def _hand_over_gradients(self) -> None:
        parameters, given, own = [], [], []
        for parameter, copy, gradient in zip(self._parameters, self._copies, self._gradients, strict=True):
            if copy.grad is not None:
                parameters.append(parameter)
                given.append(copy.grad)
                own.append(gradient)
        _copy(own, given)
        for parameter, gradient in zip(parameters, own, strict=True):
            parameter.grad = gradient


@torch.no_grad()
def _copy(tensors: list[torch.Tensor], others: list[torch.Tensor]) -> None:
    """Make tensors what others are, in their own precision."""
    if tensors:
        torch._foreach_copy_(tensors, others)
