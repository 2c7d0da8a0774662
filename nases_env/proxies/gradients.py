"""Proxies of the gradients of one batch: SNIP and the gradients' norm."""

from __future__ import annotations

import torch
from torch.nn import functional as F

from nases_env.children.base import Child
from nases_env.proxies.base import forward, weights


def snip(network: Child, images: torch.Tensor, labels: torch.Tensor) -> float:
    """`Σ |θ · ∂L/∂θ|`: how much the loss depends on each weight being there.

    Lee et al. 2019, "SNIP: Single-shot network pruning based on connection sensitivity" (arXiv 1810.02340), summed over
    all weights as by Abdelfattah et al. 2021 (arXiv 2101.08134).
    """
    return sum(float((weight * gradient).abs().sum()) for weight, gradient in _pairs(network, images, labels))


def grad_norm(network: Child, images: torch.Tensor, labels: torch.Tensor) -> float:
    """`Σ_layers ‖∂L/∂θ_layer‖₂`, over the weights of convolutions and of the linear layer.

    Abdelfattah et al. 2021, "Zero-Cost Proxies for Lightweight NAS" (arXiv 2101.08134).
    """
    return sum(float(gradient.norm()) for _, gradient in _pairs(network, images, labels))


def _pairs(network: Child, images: torch.Tensor, labels: torch.Tensor) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """Each layer's weight, and its gradient of the cross-entropy."""
    own = list(weights(network).values())
    loss = F.cross_entropy(forward(network, images), labels)
    gradients = torch.autograd.grad(loss, own, materialize_grads=True)
    return list(zip((weight.detach() for weight in own), gradients, strict=True))
