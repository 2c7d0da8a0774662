"""What a half of an autoencoder is, whatever its layers: the simulator or the decoder.

Inference is numpy, so that decoding needs no torch; a torch twin of the same weights is trained.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Self

import numpy as np

from nases_env.search_spaces.base import HIGH, LOW

if TYPE_CHECKING:
    import torch

UNIT_DEVIATION = 12**-0.5
"""Of uniform numbers in [0, 1]."""
ORIGIN_MEAN = (LOW + HIGH) / 2
ORIGIN_DEVIATION = (HIGH - LOW) * UNIT_DEVIATION
"""Of a uniform origin vector's numbers."""

ACTIVATIONS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "relu": lambda x: np.maximum(x, 0.0),
    "tanh": np.tanh,
    "sigmoid": lambda x: 0.5 * (1.0 + np.tanh(0.5 * x)),
    "linear": lambda x: x,
}


class Half(ABC):
    """A map of rows (K, a) to rows (K, b) with its weights."""

    @property
    @abstractmethod
    def input_size(self) -> int:
        """a."""

    @property
    @abstractmethod
    def tensors(self) -> dict[str, np.ndarray]:
        """The weights by name, as `Blueprint.build` takes them."""

    @abstractmethod
    def forward(self, x: np.ndarray) -> np.ndarray:
        """Push (K, a) through, float32 (K, b); each row's result does not depend on the others or on K."""

    @abstractmethod
    def scale_input(self, mean: float, deviation: float) -> Self:
        """One that computes `self((x − mean) / deviation)` from raw x."""

    @abstractmethod
    def scale_output(self, mean: float, deviation: float) -> Self:
        """One that computes `self(x) · deviation + mean`; its last activation has to be linear."""

    @abstractmethod
    def logits(self) -> Self:
        """One without the last activation."""

    @abstractmethod
    def module(self) -> torch.nn.Module:
        """A trainable copy: tensors (K, a) → (K, b)."""


class Blueprint(ABC):
    """What a half is built of, without weights."""

    @property
    @abstractmethod
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Shapes of its tensors by name."""

    @abstractmethod
    def build(self, tensors: Mapping[str, np.ndarray]) -> Half:
        """The half with these weights."""

    @abstractmethod
    def fresh(self, rng: np.random.Generator) -> Half:
        """An untrained half, initialised as torch does it by default."""

    @abstractmethod
    def read(self, module: torch.nn.Module) -> Half:
        """The half of a module that `Half.module` made, with its present weights."""


def uniform(rng: np.random.Generator, fan_in: int, shape: tuple[int, ...]) -> np.ndarray:
    """Weights, float32, uniform in ±1/√fan_in."""
    bound = 1.0 / np.sqrt(fan_in)
    return rng.uniform(-bound, bound, shape).astype(np.float32)


def from_torch(tensor: torch.Tensor) -> np.ndarray:
    """A copy as numpy; matrices in Fortran order, see `mlp.Dense`."""
    return np.array(tensor.detach().cpu().numpy(), order="F")


def torch_activation(name: str) -> torch.nn.Module:
    """The module of one of ACTIVATIONS."""
    from torch import nn

    return {"relu": nn.ReLU, "tanh": nn.Tanh, "sigmoid": nn.Sigmoid, "linear": nn.Identity}[name]()
