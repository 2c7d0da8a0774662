"""The layers of v3's autoencoder (section 4.1): one LSTM that reads an origin vector, and one that writes it.

An origin vector is a sequence: 10 nodes of two cells, or 15 layers, of 4 numbers each. The simulator's last hidden
state becomes the embedding through a linear layer; the decoder sees the embedding in every step, and a linear layer
turns each of its hidden states into 4 numbers. The paper is silent on the sizes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from nases_env.embeddings.autoencoders.halves import ACTIVATIONS, Blueprint, Half, from_torch, uniform
from nases_env.embeddings.base import in_blocks, product

if TYPE_CHECKING:
    import torch

HIDDEN_UNITS = 128
STEP_NUMBERS = 4
"""So many numbers of an origin vector make one step of the sequence."""
TORCH_NAMES = {
    "input.weight": "cells.weight_ih_l0",
    "hidden.weight": "cells.weight_hh_l0",
    "gates.bias": "cells.bias_ih_l0",
    "output.weight": "linear.weight",
    "output.bias": "linear.bias",
}
"""Maps the names of our tensors to those of the torch twin."""
SECOND_BIAS = "cells.bias_hh_l0"
"""Torch's name for a second bias, which it adds to that of the gates. We keep their sum."""


@dataclass(frozen=True)
class LSTMBlueprint(Blueprint):
    """A layer of LSTM cells between a sequence and a linear layer.

    Args:
        steps: Length of the sequence.
        inputs: Numbers in a step.
        outputs: Numbers that the linear layer makes.
        reads: Whether the half reads a sequence: the input is cut into steps, and the output is made from the last
            hidden state (the simulator). Otherwise it writes one: every step sees the whole input, and each hidden
            state makes a part of the output (the decoder).
        activation: Name of the activation behind the linear layer.
    """

    steps: int
    inputs: int
    outputs: int
    reads: bool
    activation: str

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Shapes of the tensors by name; gates are in torch's order: input, forget, cell, output."""
        gates = 4 * HIDDEN_UNITS
        return {
            "input.weight": (gates, self.inputs),
            "hidden.weight": (gates, HIDDEN_UNITS),
            "gates.bias": (gates,),
            "output.weight": (self.outputs, HIDDEN_UNITS),
            "output.bias": (self.outputs,),
        }

    def build(self, tensors: Mapping[str, np.ndarray]) -> LSTM:
        """Give the half with these weights, which are copied into Fortran order."""
        return LSTM(self, {name: np.asfortranarray(tensors[name]) for name in self.shapes})

    def fresh(self, rng: np.random.Generator) -> LSTM:
        """Draw weights uniformly in ±1/√hidden. Torch draws two biases of the gates; their sum is drawn here."""
        tensors = {name: uniform(rng, HIDDEN_UNITS, shape) for name, shape in self.shapes.items()}
        tensors["gates.bias"] += uniform(rng, HIDDEN_UNITS, tensors["gates.bias"].shape)
        return self.build(tensors)

    def read(self, module: torch.nn.Module) -> LSTM:
        """Give the half of a module that `LSTM.module` made; the gates' two biases are added."""
        state = module.state_dict()
        tensors = {name: from_torch(state[other]) for name, other in TORCH_NAMES.items()}
        tensors["gates.bias"] += from_torch(state[SECOND_BIAS])
        return self.build(tensors)


@dataclass(frozen=True)
class LSTM(Half):
    """The blueprint's layer with weights."""

    blueprint: LSTMBlueprint
    weights: Mapping[str, np.ndarray]

    @property
    def input_size(self) -> int:
        """Numbers of the whole sequence where the half reads one, else numbers of the code."""
        plan = self.blueprint
        return plan.steps * plan.inputs if plan.reads else plan.inputs

    @property
    def tensors(self) -> dict[str, np.ndarray]:
        """The weights by name; LSTMBlueprint.shapes has their shapes."""
        return dict(self.weights)

    def forward(self, x: np.ndarray) -> np.ndarray:
        """Run rows (K, a) through the steps, in float32."""
        return in_blocks(x, self._walk)

    def _walk(self, blocks: np.ndarray) -> np.ndarray:
        plan, sigmoid = self.blueprint, ACTIVATIONS["sigmoid"]
        hidden = cell = np.zeros((*blocks.shape[:2], HIDDEN_UNITS), dtype=np.float32)
        weight, written = self.weights["input.weight"].T, []
        seen = None if plan.reads else product(blocks, weight)
        for step in range(plan.steps):
            if plan.reads:
                seen = product(blocks[..., step * plan.inputs : (step + 1) * plan.inputs], weight)
            gates = seen + product(hidden, self.weights["hidden.weight"].T)
            take, keep, new, show = np.split(gates + self.weights["gates.bias"], 4, axis=2)
            cell = sigmoid(keep) * cell + sigmoid(take) * np.tanh(new)
            hidden = sigmoid(show) * np.tanh(cell)
            if not plan.reads:
                written.append(self._output(hidden))
        return self._output(hidden) if plan.reads else np.concatenate(written, axis=2)

    def _output(self, hidden: np.ndarray) -> np.ndarray:
        linear = product(hidden, self.weights["output.weight"].T) + self.weights["output.bias"]
        return ACTIVATIONS[self.blueprint.activation](linear)

    def scale_input(self, mean: float, deviation: float) -> LSTM:
        """Fold the scaling into the weights and the bias of the gates."""
        weight = self.weights["input.weight"] / deviation
        bias = self.weights["gates.bias"] - mean * weight.sum(axis=1)
        return self._with({"input.weight": weight, "gates.bias": bias})

    def scale_output(self, mean: float, deviation: float) -> LSTM:
        """Fold the scaling into the linear layer."""
        weight, bias = (self.weights[f"output.{name}"] * deviation for name in ("weight", "bias"))
        return self._with({"output.weight": weight, "output.bias": bias + mean})

    def logits(self) -> LSTM:
        """Give the half whose output is what the linear layer makes, without the activation."""
        return replace(self, blueprint=replace(self.blueprint, activation="linear"))

    def module(self) -> torch.nn.Module:
        """Give a trainable copy with two parts: `cells`, a torch LSTM, and `linear`."""
        import torch

        from nases_env.embeddings.autoencoders.lstm_module import LSTMModule

        module = LSTMModule(HIDDEN_UNITS, **asdict(self.blueprint))
        state = {other: torch.from_numpy(np.array(self.weights[name])) for name, other in TORCH_NAMES.items()}
        module.load_state_dict(state | {SECOND_BIAS: torch.zeros(4 * HIDDEN_UNITS)})
        return module

    def _with(self, changed: dict[str, np.ndarray]) -> LSTM:
        return replace(self, weights={**self.weights, **changed})


def simulator(origin_size: int, embedding_size: int) -> LSTMBlueprint:
    """The simulator: it reads the sequence, and a sigmoid of its linear layer is the embedding.

    Raises:
        ValueError: If the origin vector cannot be cut into steps.
    """
    return LSTMBlueprint(_steps(origin_size), STEP_NUMBERS, embedding_size, reads=True, activation="sigmoid")


def decoder(origin_size: int, embedding_size: int) -> LSTMBlueprint:
    """The decoder: it writes the sequence; its last layer is linear.

    Raises:
        ValueError: If the origin vector cannot be cut into steps.
    """
    return LSTMBlueprint(_steps(origin_size), embedding_size, STEP_NUMBERS, reads=False, activation="linear")


def _steps(origin_size: int) -> int:
    if origin_size % STEP_NUMBERS:
        raise ValueError(f"{origin_size} numbers are no sequence of {STEP_NUMBERS} each")
    return origin_size // STEP_NUMBERS
