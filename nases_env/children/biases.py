"""Biases of convolutions that a batch normalisation follows, which subtracts them (published rules)."""

from __future__ import annotations

import torch
from torch import nn


@torch.no_grad()
def fold_biases(model: nn.Module) -> None:
    """Make the biases zero and the running means smaller by what they did: in evaluation the model stays the same.

    A training that leaves biases out then goes on as it would with them.
    """
    for sequence in model.modules():
        if isinstance(sequence, nn.Sequential):
            _fold(sequence)


def _fold(sequence: nn.Sequential) -> None:
    added: torch.Tensor | None = None  # to every pixel by the biases since the last batch normalisation, (channels,)
    for module in sequence:
        if isinstance(module, nn.Conv2d) and module.bias is not None:
            through = 0 if added is None else module.weight[:, :, 0, 0] @ added  # what follows a bias is 1×1
            added = module.bias + through
            module.bias.zero_()
        elif isinstance(module, nn.BatchNorm2d) and added is not None:
            assert module.running_mean is not None
            module.running_mean -= added
            added = None
