"""What a search would do, told before it does it: its data, the size of its children, and how long they take."""

from __future__ import annotations

import time

import numpy as np
import torch

from agents.search.progress import duration
from nases_env.children import build
from nases_env.children.cpu import cpu_threads
from nases_env.children.datasets import ChildData, Tensors
from nases_env.children.torch_state import own_torch_state
from nases_env.children.training import Trainer
from nases_env.env import NASESEnv
from nases_env.evaluators.training import TrainingEvaluator
from nases_env.search_spaces import Architecture

CHILDREN = 3
"""Random children that are measured and timed."""
BATCHES = 4
"""A child is timed on so many batches, twice: the first pass warms up."""
CLASSES = 10
"""So many classes are named."""


def describe(environment: NASESEnv, children: int) -> list[str]:
    """Tell in a few lines what a search would read and train.

    Args:
        environment: What would be searched; its data are read.
        children: The budget.

    Raises:
        FileNotFoundError, ValueError: As `NASESEnv.prepare`.
    """
    environment.prepare()
    evaluator = environment.pipeline.evaluator
    if not isinstance(evaluator, TrainingEvaluator):
        return ["no child is trained: an evaluator that answers at once tells the accuracies"]
    space = environment.space
    rows = space.discretise(space.sample(np.random.default_rng(0), CHILDREN))
    architectures = [space.architecture(row) for row in rows]
    parameters = [evaluator.measure(architecture).parameters for architecture in architectures]
    seconds = float(np.mean([_seconds(evaluator, architecture) for architecture in architectures]))
    return [
        *_of_data(evaluator.data),
        f"{CHILDREN} random children: {min(parameters):,} to {max(parameters):,} parameters, "
        f"about {_told(seconds)} each on {evaluator.device}",
        f"{children} children: about {_told(children * seconds / evaluator.executor.workers)}",
    ]


def _of_data(data: ChildData) -> list[str]:
    parts = [part.labels for part in (data.train, data.validation) if part is not None]
    counts = torch.bincount(torch.cat(parts), minlength=data.classes).tolist()
    named = [f"{name} ({count})" for name, count in zip(data.class_names, counts, strict=True)]
    more = f" and {len(named) - CLASSES} more" if len(named) > CLASSES else ""
    _, channels, height, width = data.train.images.shape
    validation = len(data.validation) if data.validation else 0
    return [
        f"images: {height} x {width} pixels, {channels} channel{'s' * (channels > 1)}; {len(data.train)} to train on, "
        f"{validation} to validate",
        f"{data.classes} classes: {', '.join(named[:CLASSES])}{more}",
    ]


def _seconds(evaluator: TrainingEvaluator, architecture: Architecture) -> float:
    """About how long a child takes: its epochs, each with a look at the validation images, told from a few batches."""
    protocol, data = evaluator.protocol, evaluator.data.to(evaluator.device)
    assert data.validation is not None
    count = min(len(data.train), BATCHES * protocol.batch_size)
    few = Tensors(data.train.images[:count], data.train.labels[:count])
    with cpu_threads(protocol.threads), own_torch_state():
        skeleton = build.skeleton(
            architecture, protocol, data.train.images.shape[1], data.classes, device=evaluator.device
        )
        model = build.materialise(skeleton, torch.Generator().manual_seed(0), evaluator.device)
        trainer = Trainer(model, few, protocol, seed=0)
        for _ in range(2):
            start = time.perf_counter()
            trainer.train_epoch()
            training = (time.perf_counter() - start) / count
        start = time.perf_counter()
        trainer.accuracy(few)
        evaluating = (time.perf_counter() - start) / count
    return protocol.epochs * (training * len(data.train) + evaluating * len(data.validation))


def _told(seconds: float) -> str:
    return f"{seconds:.1f} s" if seconds < 10 else duration(seconds)
