"""Counts what a CUDA device would do and hold, without having one: on `meta` children take the path that CUDA takes."""

from collections import Counter

import torch
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils._python_dispatch import TorchDispatchMode

NOTHING = ("empty", "empty_like", "new_empty_strided", "promote_types")
"""Operations that compute nothing."""


class Launches(TorchDispatchMode):
    """Counts operations that compute something, by name."""

    def __init__(self):
        super().__init__()
        self.counted = Counter()

    def __torch_dispatch__(self, operation, types, arguments=(), keywords=None):
        name = operation.overloadpacket.__name__
        if not operation.is_view and name not in NOTHING:
            self.counted[name] += 1
        return operation(*arguments, **(keywords or {}))


def of_a_step(model, images):
    """Count what the loss and its gradients take on images (N, channels, H, W) of `meta`, not in the first step."""
    labels = torch.zeros(len(images), dtype=torch.int64, device=images.device)
    for _ in range(2):
        model.zero_grad()
        with Launches() as launches:
            loss, _ = model.loss(images, labels, 0.5, torch.Generator())
            loss.backward()
    return launches.counted


class Memory(TorchDispatchMode):
    """The most bytes that tensors made inside the block hold at once."""

    def __init__(self):
        super().__init__()
        self.peak = 0
        self._held = {}

    def __torch_dispatch__(self, operation, types, arguments=(), keywords=None):
        made = operation(*arguments, **(keywords or {}))
        if isinstance(made, torch.Tensor) and not operation.is_view:
            storage = made.untyped_storage()
            self._held[StorageWeakRef(storage)] = storage.nbytes()
        self._held = {storage: size for storage, size in self._held.items() if not storage.expired()}
        self.peak = max(self.peak, sum(self._held.values()))
        return made
