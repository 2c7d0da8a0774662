"""What a proxy is, and what several of them need of a network."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import nn
from torch.func import functional_call

from nases_env.children.base import Child

Proxy = Callable[[Child, torch.Tensor, torch.Tensor], float]
"""A function of a network, images (N, channels, H, W) and labels, int64 (N,), on one device.

It leaves the network as it is, and draws no random numbers. The number is not finite where the formula has no value.
"""


def forward(
    network: nn.Module, images: torch.Tensor, training: bool = True, tensors: Mapping[str, torch.Tensor] | None = None
) -> torch.Tensor:
    """Logits (N, classes) of images; the network, its mode and its running statistics stay as they are.

    Args:
        network: The network.
        images: (N, channels, H, W).
        training: Whether batch normalisation takes the batch's statistics, as in training.
        tensors: Tensors to compute with in place of the network's own, by their names; None: none.
    """
    statistics = {name: buffer.clone() for name, buffer in network.named_buffers()}
    with _mode(network, training):
        return functional_call(network, {**statistics, **(tensors or {})}, (images,))


def weights(network: nn.Module) -> dict[str, torch.Tensor]:
    """The weights of the convolutions and of the linear layer, by their names."""
    found: dict[str, torch.Tensor] = {
        f"{path}.weight": module.weight
        for path, module in network.named_modules()
        if isinstance(module, nn.Conv2d | nn.Linear)
    }
    return found


@contextmanager
def _mode(network: nn.Module, training: bool) -> Iterator[None]:
    before = network.training
    network.train(training)
    try:
        yield
    finally:
        network.train(before)
