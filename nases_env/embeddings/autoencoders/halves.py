"""The base classes of both halves of an autoencoder, simulator and decoder, whatever their layers.

Inference is written in numpy, and training happens on a torch twin with the same weights; the package's docstring tells
why.
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
"""The standard deviation of uniform numbers in [0, 1]."""
ORIGIN_MEAN = (LOW + HIGH) / 2
ORIGIN_DEVIATION = (HIGH - LOW) * UNIT_DEVIATION
"""The standard deviation of the numbers of a uniform origin vector; ORIGIN_MEAN is their mean."""

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
        """The number of numbers in an input row, a."""

    @property
    @abstractmethod
    def tensors(self) -> dict[str, np.ndarray]:
        """The weights by name, as `Blueprint.build` takes them."""

    @abstractmethod
    def forward(self, x: np.ndarray) -> np.ndarray:
        """Map rows (K, a) to float32 (K, b); each row's result does not depend on the others or on K."""

    @abstractmethod
    def scale_input(self, mean: float, deviation: float) -> Self:
        """Give a half that computes `self((x − mean) / deviation)` from raw x."""

    @abstractmethod
    def scale_output(self, mean: float, deviation: float) -> Self:
        """Give a half that computes `self(x) · deviation + mean`; the last activation has to be linear."""

    @abstractmethod
    def logits(self) -> Self:
        """Give the half without its last activation."""

    @abstractmethod
    def module(self) -> torch.nn.Module:
        """Give a trainable copy, which maps tensors (K, a) to (K, b)."""


class Blueprint(ABC):
    """The plan of a half, before it has weights."""

    @property
    @abstractmethod
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Shapes of the half's tensors by name."""

    @abstractmethod
    def build(self, tensors: Mapping[str, np.ndarray]) -> Half:
        """Give the half with these weights."""

    @abstractmethod
    def fresh(self, rng: np.random.Generator) -> Half:
        """Give an untrained half, initialised as torch does it by default."""

    @abstractmethod
    def read(self, module: torch.nn.Module) -> Half:
        """Give the half of a module that `Half.module` made, with the module's present weights."""


def uniform(rng: np.random.Generator, fan_in: int, shape: tuple[int, ...]) -> np.ndarray:
    """Draw weights, float32, uniform in ±1/√fan_in."""
    bound = 1.0 / np.sqrt(fan_in)
    return rng.uniform(-bound, bound, shape).astype(np.float32)


def from_torch(tensor: torch.Tensor) -> np.ndarray:
    """Copy a tensor to numpy; matrices are in Fortran order, see `mlp.Dense`."""
    return np.array(tensor.detach().cpu().numpy(), order="F")


def torch_activation(name: str) -> torch.nn.Module:
    """Make the torch module of one of ACTIVATIONS."""
    from torch import nn

    return {"relu": nn.ReLU, "tanh": nn.Tanh, "sigmoid": nn.Sigmoid, "linear": nn.Identity}[name]()
