"""SynFlow: how much flows through a network whose weights are made positive. It looks at no image."""

from __future__ import annotations

import torch
from torch import nn

from nases_env.children.base import Child
from nases_env.proxies.base import forward, weights


def synflow(network: Child, images: torch.Tensor, labels: torch.Tensor) -> float:
    """`Σ θ · ∂R/∂θ`, where R is the sum of the outputs for an image of ones, and every weight is its absolute value.

    Tanaka et al. 2020, "Pruning neural networks without any data by iteratively conserving synaptic flow" (arXiv
    2006.05467), as a proxy by Abdelfattah et al. 2021 (arXiv 2101.08134). Batch normalisation is left out, which would
    undo the weights' sizes; so the number grows with every layer, and it is computed in float64.
    """
    tensors = {name: parameter.detach().double().abs() for name, parameter in network.named_parameters()}
    tensors |= _neutral_normalisation(network)
    flowing = [tensors[name].requires_grad_() for name in weights(network)]
    ones = torch.ones_like(images[:1], dtype=torch.float64)
    flow = forward(network, ones, training=False, tensors=tensors).sum()
    gradients = torch.autograd.grad(flow, flowing, materialize_grads=True)
    return sum(float((weight.detach() * gradient).sum()) for weight, gradient in zip(flowing, gradients, strict=True))


def _neutral_normalisation(network: nn.Module) -> dict[str, torch.Tensor]:
    """Tensors with which every batch normalisation puts out what it is given, outside of training."""
    neutral: dict[str, torch.Tensor] = {}
    for path, module in network.named_modules():
        if isinstance(module, nn.BatchNorm2d):
            ones = torch.ones_like(module.weight, dtype=torch.float64)
            values = {
                "weight": ones,
                "bias": 0 * ones,
                "running_mean": 0 * ones,
                "running_var": (1 - module.eps) * ones,
            }
            neutral |= {f"{path}.{name}": value for name, value in values.items()}
    return neutral
