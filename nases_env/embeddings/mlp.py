"""The MLP autoencoder of v1 (section 3.2.1, 4.1.2): simulator 60 → 1000 → 500 → 100 → k and its mirror image.

Inference is numpy, so that decoding needs no torch; `to_module` turns the same layers into a trainable torch module.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from nases_env.embeddings.base import Decoder, fit_output_table, multiply
from nases_env.embeddings.calibration import Calibration, RankTable
from nases_env.search_spaces.base import HIGH, LOW

if TYPE_CHECKING:
    import torch

HIDDEN_UNITS = (1000, 500, 100)
HIDDEN_ACTIVATIONS = ("relu", "tanh", "tanh")
ORIGIN_MEAN = (LOW + HIGH) / 2
ORIGIN_DEVIATION = (HIGH - LOW) / 12**0.5
"""Of a uniform origin vector's numbers."""

_NUMPY_ACTIVATIONS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "relu": lambda x: np.maximum(x, 0.0),
    "tanh": np.tanh,
    "sigmoid": lambda x: 0.5 * (1.0 + np.tanh(0.5 * x)),
    "linear": lambda x: x,
}


class Dense(NamedTuple):
    """A fully connected layer: `activation(x @ weight.T + bias)`; weight is float32 (out, in)."""

    weight: np.ndarray
    bias: np.ndarray
    activation: str


def forward(layers: Sequence[Dense], x: np.ndarray) -> np.ndarray:
    """Push (K, in) through the layers, in float32."""
    for layer in layers:
        x = _NUMPY_ACTIVATIONS[layer.activation](multiply(x, layer.weight.T) + layer.bias)
    return x


def simulator_shape(origin_size: int, embedding_size: int) -> list[tuple[int, int, str]]:
    """(in, out, activation) of the simulator's layers; the last one is the sigmoid embedding."""
    units = (origin_size, *HIDDEN_UNITS, embedding_size)
    return list(zip(units[:-1], units[1:], (*HIDDEN_ACTIVATIONS, "sigmoid"), strict=True))


def decoder_shape(origin_size: int, embedding_size: int) -> list[tuple[int, int, str]]:
    """(in, out, activation) of the decoder's layers: the simulator mirrored, with a linear end."""
    units = (embedding_size, *reversed(HIDDEN_UNITS), origin_size)
    return list(zip(units[:-1], units[1:], (*reversed(HIDDEN_ACTIVATIONS), "linear"), strict=True))


def fresh_layers(shape: Sequence[tuple[int, int, str]], rng: np.random.Generator) -> list[Dense]:
    """Untrained layers, uniform in ±1/√in (torch's default for linear layers)."""
    layers = []
    for inputs, outputs, activation in shape:
        bound = 1.0 / np.sqrt(inputs)
        weight = rng.uniform(-bound, bound, (outputs, inputs)).astype(np.float32)
        bias = rng.uniform(-bound, bound, outputs).astype(np.float32)
        layers.append(Dense(weight, bias, activation))
    return layers


def scale_input(layers: Sequence[Dense], mean: float, deviation: float) -> list[Dense]:
    """Layers that compute `layers((x − mean) / deviation)` from raw x."""
    first = layers[0]
    weight = first.weight / deviation
    return [first._replace(weight=weight, bias=first.bias - mean * weight.sum(axis=1)), *layers[1:]]


def scale_output(layers: Sequence[Dense], mean: float, deviation: float) -> list[Dense]:
    """Layers that compute `layers(x) · deviation + mean`; the last one has to be linear."""
    last = layers[-1]
    return [*layers[:-1], last._replace(weight=last.weight * deviation, bias=last.bias * deviation + mean)]


def to_module(layers: Sequence[Dense]) -> torch.nn.Sequential:
    """A trainable copy of the layers."""
    import torch

    activations = {
        "relu": torch.nn.ReLU,
        "tanh": torch.nn.Tanh,
        "sigmoid": torch.nn.Sigmoid,
        "linear": torch.nn.Identity,
    }
    modules: list[torch.nn.Module] = []
    for layer in layers:
        linear = torch.nn.utils.skip_init(torch.nn.Linear, layer.weight.shape[1], layer.weight.shape[0])
        with torch.no_grad():
            linear.weight.copy_(torch.from_numpy(np.array(layer.weight)))
            linear.bias.copy_(torch.from_numpy(np.array(layer.bias)))
        modules += [linear, activations[layer.activation]()]
    return torch.nn.Sequential(*modules)


def from_module(module: torch.nn.Sequential, activations: Sequence[str]) -> list[Dense]:
    """The layers of a module that `to_module` made, with their present weights."""
    import torch

    linears = [part for part in module if isinstance(part, torch.nn.Linear)]
    return [
        Dense(linear.weight.detach().cpu().numpy().copy(), linear.bias.detach().cpu().numpy().copy(), activation)
        for linear, activation in zip(linears, activations, strict=True)
    ]


def save(path: Path, simulator: Sequence[Dense], decoder: Sequence[Dense], card: dict) -> dict:
    """Write weights, the rank tables of every calibration, and the card beside them; returns the whole card.

    Args:
        path: The `.safetensors` file; its folder is made.
        simulator: Raw vectors → codes.
        decoder: Codes → raw vectors.
        card: What to tell about the weights; the sizes are added.
    """
    origin_size, embedding_size = simulator[0].weight.shape[1], simulator[-1].weight.shape[0]
    tensors = {
        f"{half}.{i}.{name}": getattr(layer, name)
        for half, layers in (("simulator", simulator), ("decoder", decoder))
        for i, layer in enumerate(layers)
        for name in ("weight", "bias")
    }
    origins = np.random.default_rng(0).uniform(LOW, HIGH, (40_000, origin_size)).astype(np.float32)
    code_table = RankTable.fit(forward(simulator, origins), 0.0, 1.0)
    tables = {
        "code": code_table,
        "output": fit_output_table(lambda codes: forward(decoder, codes), embedding_size),
        "both": fit_output_table(lambda actions: forward(decoder, code_table.inverse(actions)), embedding_size),
    }
    tensors.update({f"quantiles.{name}": table.quantiles for name, table in tables.items()})
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file({name: np.ascontiguousarray(tensor) for name, tensor in tensors.items()}, path)
    card = {"kind": "mlp", "origin_size": origin_size, "embedding_size": embedding_size, **card}
    path.with_suffix(".json").write_text(json.dumps(card, indent=2) + "\n")
    return card


class MLPAutoencoder(Decoder):
    """The pretrained autoencoder. Its card is read at once, its weights when they are first used.

    Args:
        path: The `.safetensors` file; the card lies beside it as `.json`.
        calibration: See `calibration.Calibration`.

    Raises:
        FileNotFoundError: If the weights or the card are missing.
    """

    def __init__(self, path: Path, calibration: Calibration = "output"):
        for file in (path, path.with_suffix(".json")):
            if not file.is_file():
                raise FileNotFoundError(f"{file} is missing; `python scripts/pretrain.py --out {path}` makes it")
        self.path = path
        self.calibration = calibration
        self.card = json.loads(path.with_suffix(".json").read_text())
        self.action_size = self.card["embedding_size"]
        self.origin_size = self.card["origin_size"]

    @cached_property
    def _tensors(self) -> dict[str, np.ndarray]:
        try:
            return load_file(self.path)
        except SafetensorError as error:
            raise ValueError(f"{self.path} is damaged ({error}); make it again with scripts/pretrain.py") from error

    @cached_property
    def simulator_layers(self) -> list[Dense]:
        """The encoder: raw vectors → codes."""
        return self._layers("simulator", simulator_shape(self.origin_size, self.action_size))

    @cached_property
    def decoder_layers(self) -> list[Dense]:
        """The decoder: codes → raw vectors."""
        return self._layers("decoder", decoder_shape(self.origin_size, self.action_size))

    def _layers(self, half: str, shape: Sequence[tuple[int, int, str]]) -> list[Dense]:
        layers = []
        for i, (inputs, outputs, activation) in enumerate(shape):
            weight = self._tensors.get(f"{half}.{i}.weight", np.empty(0))
            if weight.shape != (outputs, inputs):
                raise ValueError(
                    f"{self.path}: layer {i} of the {half} has weights {weight.shape}; "
                    f"its card asks for {(outputs, inputs)}"
                )
            layers.append(Dense(weight, self._tensors[f"{half}.{i}.bias"], activation))
        return layers

    @cached_property
    def _fitted_output_table(self) -> RankTable:
        return RankTable(self._tensors[f"quantiles.{self.calibration}"], LOW, HIGH)

    @cached_property
    def _fitted_action_table(self) -> RankTable:
        return RankTable(self._tensors["quantiles.code"], 0.0, 1.0)

    @property
    def _output_table(self) -> RankTable | None:
        return None if self.calibration == "none" else self._fitted_output_table

    @property
    def _action_table(self) -> RankTable | None:
        return self._fitted_action_table if self.calibration == "both" else None

    def _decode_codes(self, codes: np.ndarray) -> np.ndarray:
        return forward(self.decoder_layers, codes)

    def _encode_codes(self, raw: np.ndarray) -> np.ndarray:
        return forward(self.simulator_layers, raw)

    def simulator(self) -> torch.nn.Module:
        """A trainable copy of the simulator without its last sigmoid: raw vectors → logits of codes."""
        *hidden, last = self.simulator_layers
        return to_module([*hidden, last._replace(activation="linear")])
