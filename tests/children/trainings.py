"""Trainings of small children of every space, on pictures that are noise."""

import numpy as np
import torch

from nases_env import search_spaces
from nases_env.children import build
from nases_env.children.presets import resolve
from nases_env.children.tensors import Tensors
from nases_env.children.training import Trainer
from nases_env.search_spaces import MacroSpace

FIELDS = {"width": 0.04, "cell_filters": 4, "epochs": 13, "batch_size": 16, "flip": True, "cutout": 2}
SPACES = {"paper": MacroSpace("paper"), "published": MacroSpace("published"), "micro": search_spaces.make("micro")}


def trainer(space, device="cpu", images=76, size=8, checkpointing=False, kind=Trainer, **fields):
    found = SPACES[space]
    (row,) = found.discretise(found.sample(np.random.default_rng(0), 1))
    preset = "digits-micro" if space == "micro" else "digits"
    protocol = resolve({"preset": preset, **FIELDS, **fields})
    skeleton = build.skeleton(found.architecture(row), protocol, 3, 4, checkpointing, device)
    model = build.materialise(skeleton, torch.Generator().manual_seed(0), device)
    return kind(model, pictures(images, size, device), protocol, 0)


def pictures(count, size=8, device="cpu", seed=0):
    pixels = torch.randn(count, 3, size, size, generator=torch.Generator().manual_seed(seed)).to(device)
    labels = torch.arange(count, device=device) % 4
    return Tensors(pixels.contiguous(memory_format=torch.channels_last), labels)


def losses(subject):
    """The loss of every step of all epochs."""
    sums, check = [], subject._check_time
    subject._check_time = lambda: sums.append(float(subject._loss)) or check()
    found = []
    for _ in range(subject.protocol.epochs):
        sums.clear()
        subject.train_epoch()
        found += np.diff([*sums, float(subject._loss)]).tolist()
    return found
