"""NWOT: how differently a network's ReLUs see the images of a batch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode

from nases_env.children.base import Child
from nases_env.proxies.base import forward

RELUS = (torch.ops.aten.relu.default, torch.ops.aten.relu_.default)


def nwot(network: Child, images: torch.Tensor, labels: torch.Tensor) -> float:
    """`log |det K|`, where K_ij counts the ReLU units that are both on or both off for the images i and j.

    Mellor et al. 2021, "Neural Architecture Search without Training" (arXiv 2006.04647v3). It is −∞ where two images
    have the same code. Units that only pad a network's channels would be counted too: give it a network without.
    """
    agreements = _Agreements(len(images), images.device)
    with torch.no_grad(), agreements:
        forward(network, images)
    return float(torch.linalg.slogdet(agreements.kernel).logabsdet)


class _Agreements(TorchDispatchMode):
    """Adds up, over every ReLU that is computed, how many units are the same for each two images.

    A ReLU is seen where it is computed, because not each of them is a module.
    """

    def __init__(self, images: int, device: torch.device):
        super().__init__()
        self.kernel = torch.zeros(images, images, dtype=torch.float64, device=device)

    def __torch_dispatch__(
        self, function: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        if function in RELUS:
            on = (args[0] > 0).flatten(1).float()  # sums of zeros and ones are exact up to 2²⁴ units
            self.kernel += on @ on.T + (1 - on) @ (1 - on).T
        return function(*args, **(kwargs or {}))
