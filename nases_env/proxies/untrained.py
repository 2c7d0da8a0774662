"""The network and the batch that a proxy is asked about, by an architecture and a child seed."""

from __future__ import annotations

import dataclasses

import torch

from nases_env.children import build
from nases_env.children.base import Child
from nases_env.children.protocol import Protocol
from nases_env.children.tensors import ChildData
from nases_env.search_spaces import Architecture


def untrained(architecture: Architecture, protocol: Protocol, data: ChildData, seed: int, device: str) -> Child:
    """The child that a protocol would train, with the weights that the seed draws, and without what is only padding."""
    plain = dataclasses.replace(protocol, channel_multiple=1, auxiliary_weight=0.0)
    return build.drawn(architecture, plain, data, seed, device)


def batch(protocol: Protocol, data: ChildData, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """As many training images as a step trains on, float32, which the seed draws, and their labels.

    They are not augmented.
    """
    order = torch.randperm(len(data.train), generator=torch.Generator().manual_seed(seed))
    chosen = order[: protocol.batch_size].to(data.train.labels.device)
    return data.train.images[chosen].float(), data.train.labels[chosen]
