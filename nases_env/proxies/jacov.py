"""Jacov: how little a network's Jacobians at the images of a batch are correlated."""

from __future__ import annotations

import math

import torch

from nases_env.children.base import Child
from nases_env.proxies.base import forward

STABILISER = 1e-5
"""k of the formula; it keeps eigenvalues of 0 finite."""


def jacov(network: Child, images: torch.Tensor, labels: torch.Tensor) -> float:
    """`−Σ_i [log(λ_i + k) + 1 / (λ_i + k)]`, λ the eigenvalues of the correlations of the images' Jacobians.

    An image's Jacobian is that of the sum of all logits. Mellor et al. 2020, "Neural Architecture Search without
    Training" (arXiv 2006.04647v1). It is NaN where the logits do not depend on an image.
    """
    given = images.detach().clone().requires_grad_()
    (jacobians,) = torch.autograd.grad(forward(network, given).sum(), [given])
    correlations = torch.corrcoef(jacobians.flatten(1).double())
    if not correlations.isfinite().all():
        return math.nan
    eigenvalues = torch.linalg.eigvalsh(correlations) + STABILISER
    return float(-(eigenvalues.log() + 1 / eigenvalues).sum())
