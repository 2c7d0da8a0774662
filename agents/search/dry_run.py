"""What a search would do, told before it does it: its data, the size of its children, and how long they take."""

from __future__ import annotations

import time

import numpy as np
import torch

from agents.search.progress import duration
from nases_env.children import build
from nases_env.children.base import Child
from nases_env.children.cpu import cpu_threads
from nases_env.children.protocol import Protocol
from nases_env.children.tensors import ChildData, Tensors
from nases_env.children.torch_state import own_torch_state
from nases_env.children.training import Trainer, failure_of
from nases_env.env import NASESEnv
from nases_env.evaluators.training import TrainingEvaluator
from nases_env.search_spaces import Architecture

CHILDREN = 3
"""Random children that are measured and timed."""
BATCHES = 4
"""A child is timed on so many batches, twice: the first pass warms up."""
CLASSES = 10
"""So many classes are named."""


def describe(environment: NASESEnv, children: int, batch: int = 1) -> list[str]:
    """Tell in a few lines what a search would read and train.

    Args:
        environment: What would be searched; its data are read.
        children: The budget.
        batch: Children that are chosen together; no more of them are trained at once.

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
    measured = [evaluator.measure(architecture) for architecture in architectures]
    parameters = [child.parameters for child in measured]
    told = f"{CHILDREN} random children: {min(parameters):,} to {max(parameters):,} parameters"
    if elsewhere := getattr(evaluator.executor, "device", None):
        return [*_of_data(evaluator.data), f"{told}; how long they take on the cluster's {elsewhere} is not known here"]
    fitting = [each for each, child in zip(architectures, measured, strict=True) if not child.failure]
    data = evaluator.data.to(evaluator.device)
    finished = [seconds for each in fitting if (seconds := _seconds(evaluator, data, each)) is not None]
    if failed := CHILDREN - len(finished):
        told += f"; {failed} of them would fail (over a limit, out of memory, or no number)"
    if not finished:
        return [*_of_data(evaluator.data), told]
    seconds = float(np.mean(finished))
    at_once = min(evaluator.executor.workers, batch)
    return [
        *_of_data(evaluator.data),
        f"{told}, about {_told(seconds)} each on {evaluator.device}",
        f"{children} children: about {_told(children * seconds / at_once)}",
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


def _seconds(evaluator: TrainingEvaluator, data: ChildData, architecture: Architecture) -> float | None:
    """About how long a child takes: its epochs, each with a look at the validation images, told from a few batches.

    None where it fails.
    """
    protocol = evaluator.protocol
    assert data.validation is not None
    count = min(len(data.train), BATCHES * protocol.batch_size)
    few = Tensors(data.train.images[:count], data.train.labels[:count])
    try:
        with cpu_threads(protocol.threads), own_torch_state():
            training, evaluating = _timed(build.drawn(architecture, protocol, data, 0, evaluator.device), few, protocol)
    except Exception as error:
        if not failure_of(error):
            raise
        return None
    return protocol.epochs * (training * len(data.train) + evaluating * len(data.validation)) / count


def _timed(model: Child, few: Tensors, protocol: Protocol) -> tuple[float, float]:
    """Seconds of an epoch on a few images, and of a look at them."""
    trainer = Trainer(model, few, protocol, seed=0)
    for _ in range(2):
        start = time.perf_counter()
        trainer.train_epoch()
        training = time.perf_counter() - start
    start = time.perf_counter()
    trainer.accuracy(few)
    return training, time.perf_counter() - start


def _told(seconds: float) -> str:
    return f"{seconds:.1f} s" if seconds < 10 else duration(seconds)
