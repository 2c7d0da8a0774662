"""The layers of v1's autoencoder (section 3.2.1, 4.1.2): 60 → 1000 → 500 → 100 → k and its mirror image."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from nases_env.embeddings.autoencoders.halves import ACTIVATIONS, Blueprint, Half, from_torch, torch_activation, uniform
from nases_env.embeddings.base import in_blocks, product

if TYPE_CHECKING:
    import torch

HIDDEN_UNITS = (1000, 500, 100)
HIDDEN_ACTIVATIONS = ("relu", "tanh", "tanh")


class Dense(NamedTuple):
    """A fully connected layer: `activation(x @ weight.T + bias)`; weight is float32 (out, in).

    With a weight in Fortran order the product reads memory in order, which takes half the time.
    """

    weight: np.ndarray
    bias: np.ndarray
    activation: str


@dataclass(frozen=True)
class MLP(Half):
    """Fully connected layers, one after the other."""

    layers: tuple[Dense, ...]

    @property
    def input_size(self) -> int:
        """Numbers that the first layer reads."""
        return self.layers[0].weight.shape[1]

    @property
    def tensors(self) -> dict[str, np.ndarray]:
        """The weights by name: `0.weight`, `0.bias`, `1.weight` and so on."""
        return {
            f"{i}.{name}": getattr(layer, name) for i, layer in enumerate(self.layers) for name in ("weight", "bias")
        }

    def forward(self, x: np.ndarray) -> np.ndarray:
        """Run rows (K, in) through the layers, in float32."""

        def walk(blocks: np.ndarray) -> np.ndarray:
            for layer in self.layers:
                blocks = product(blocks, layer.weight.T)
                blocks += layer.bias
                blocks = ACTIVATIONS[layer.activation](blocks)
            return blocks

        return in_blocks(x, walk)

    def scale_input(self, mean: float, deviation: float) -> MLP:
        """Fold the scaling into the first layer."""
        first, *others = self.layers
        weight = first.weight / deviation
        return MLP((first._replace(weight=weight, bias=first.bias - mean * weight.sum(axis=1)), *others))

    def scale_output(self, mean: float, deviation: float) -> MLP:
        """Fold the scaling into the last layer."""
        *others, last = self.layers
        return MLP((*others, last._replace(weight=last.weight * deviation, bias=last.bias * deviation + mean)))

    def logits(self) -> MLP:
        """Give the half with a linear last layer."""
        *others, last = self.layers
        return MLP((*others, last._replace(activation="linear")))

    def module(self) -> torch.nn.Sequential:
        """Give a trainable copy: a Sequential of linear layers and activations in turn."""
        import torch

        modules: list[torch.nn.Module] = []
        for layer in self.layers:
            linear = torch.nn.utils.skip_init(torch.nn.Linear, layer.weight.shape[1], layer.weight.shape[0])
            with torch.no_grad():
                linear.weight.copy_(torch.from_numpy(np.array(layer.weight)))
                linear.bias.copy_(torch.from_numpy(np.array(layer.bias)))
            modules += [linear, torch_activation(layer.activation)]
        return torch.nn.Sequential(*modules)


class Units(NamedTuple):
    """What a layer is before it has weights."""

    inputs: int
    outputs: int
    activation: str


@dataclass(frozen=True)
class MLPBlueprint(Blueprint):
    """Sizes and activations of fully connected layers."""

    units: tuple[Units, ...]

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Shapes of the tensors by name: `0.weight`, `0.bias`, `1.weight` and so on."""
        shapes: dict[str, tuple[int, ...]] = {}
        for i, layer in enumerate(self.units):
            shapes |= {f"{i}.weight": (layer.outputs, layer.inputs), f"{i}.bias": (layer.outputs,)}
        return shapes

    def build(self, tensors: Mapping[str, np.ndarray]) -> MLP:
        """Give the half with these weights, which are copied into Fortran order."""
        return MLP(
            tuple(
                Dense(np.asfortranarray(tensors[f"{i}.weight"]), tensors[f"{i}.bias"], layer.activation)
                for i, layer in enumerate(self.units)
            )
        )

    def fresh(self, rng: np.random.Generator) -> MLP:
        """Draw weights uniformly in ±1/√in."""
        return MLP(
            tuple(
                Dense(uniform(rng, inputs, (outputs, inputs)), uniform(rng, inputs, (outputs,)), activation)
                for inputs, outputs, activation in self.units
            )
        )

    def read(self, module: torch.nn.Module) -> MLP:
        """Give the half of a Sequential that `MLP.module` made."""
        import torch

        linears = [part for part in module.children() if isinstance(part, torch.nn.Linear)]
        return MLP(
            tuple(
                Dense(from_torch(linear.weight), from_torch(linear.bias), layer.activation)
                for linear, layer in zip(linears, self.units, strict=True)
            )
        )


def simulator(origin_size: int, embedding_size: int) -> MLPBlueprint:
    """The simulator; a sigmoid of its last layer is the embedding."""
    return _blueprint((origin_size, *HIDDEN_UNITS, embedding_size), (*HIDDEN_ACTIVATIONS, "sigmoid"))


def decoder(origin_size: int, embedding_size: int) -> MLPBlueprint:
    """The decoder: the simulator mirrored, with a linear last layer."""
    units = (embedding_size, *reversed(HIDDEN_UNITS), origin_size)
    return _blueprint(units, (*reversed(HIDDEN_ACTIVATIONS), "linear"))


def _blueprint(units: Sequence[int], activations: Sequence[str]) -> MLPBlueprint:
    return MLPBlueprint(tuple(map(Units, units[:-1], units[1:], activations)))
