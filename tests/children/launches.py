"""Counts the operations of a training step as a CUDA device would launch them, without having one."""

from collections import Counter

import torch
from torch.utils._python_dispatch import TorchDispatchMode


class Launches(TorchDispatchMode):
    """Counts operations that compute something by name; on the device `meta` children take the path that CUDA takes."""

    def __init__(self):
        super().__init__()
        self.counted = Counter()

    def __torch_dispatch__(self, operation, types, arguments=(), keywords=None):
        name = operation.overloadpacket.__name__
        if not operation.is_view and name not in ("empty", "promote_types"):
            self.counted[name] += 1
        return operation(*arguments, **(keywords or {}))


def of_a_step(model, images):
    """Of the loss and its gradients, on images (N, channels, H, W) of the device `meta`."""
    with Launches() as launches:
        labels = torch.zeros(len(images), dtype=torch.int64, device=images.device)
        loss, _ = model.loss(images, labels, 0.5, torch.Generator())
        loss.backward()
    return launches.counted
