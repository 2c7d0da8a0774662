"""The sizes of a network as proxies: the baselines that every other one has to beat (White et al. 2022)."""

from __future__ import annotations

import torch

from nases_env.children.base import Child
from nases_env.children.padding import count_parameters


def parameters(network: Child, images: torch.Tensor, labels: torch.Tensor) -> float:
    """Trainable parameters."""
    return float(count_parameters(network))


def flops(network: Child, images: torch.Tensor, labels: torch.Tensor) -> float:
    """FLOPs of one image: 2 × multiply-adds of the convolutions and the linear layer."""
    return float(network.flops(images.shape[-1]))
