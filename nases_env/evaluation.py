"""What was found out about one child, and about many children at once."""

from __future__ import annotations

import copy
import dataclasses
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np


@dataclass(frozen=True)
class Evaluation:
    """What a protocol found out about one child. It knows no action, reward or agent."""

    train_accuracy: float = 0.0
    """In [0, 1]; 0 for a failed child."""
    validation_accuracy: float = 0.0
    """In [0, 1]; 0 for a failed child."""
    parameters: int = 0
    """Trainable parameters of the child as it was built."""
    flops: int = 0
    """2 × multiply-adds of convolutions and the linear layer, one image forward."""
    failure: str = ""
    """Empty, or one of: nan, inf (of a proxy), out_of_memory, too_many_parameters, too_many_flops, timeout, crash."""
    epochs: list[dict[str, float]] = field(default_factory=list)
    """After each epoch: loss, running_train_accuracy, validation_accuracy."""
    seconds: float = 0.0
    """Wall-clock time it took; 0 when it was answered from memory."""
    device: str = ""
    """Where it was trained."""
    versions: dict[str, str] = field(default_factory=dict)
    """Versions of what trained it."""
    proxy: float | None = None
    """What a zero-cost proxy told of the untrained child, whose accuracies are 0 then; None where none was asked."""

    def again(self) -> Evaluation:
        """A copy that took 0 seconds, for a child that is answered from memory."""
        return dataclasses.replace(copy.deepcopy(self), seconds=0.0)

    def to_dict(self) -> dict[str, Any]:
        """JSON types only; what a proxy told is left out where none was asked."""
        fields = dataclasses.asdict(self)
        return fields if self.proxy is not None else {name: fields[name] for name in fields if name != "proxy"}


class Evaluations(NamedTuple):
    """What a surrogate tells of K children, none of which fails: arrays (K,)."""

    train_accuracy: np.ndarray
    validation_accuracy: np.ndarray
    parameters: np.ndarray
    flops: np.ndarray

    @property
    def failure(self) -> str:
        """Empty, because none of them fails."""
        return ""
