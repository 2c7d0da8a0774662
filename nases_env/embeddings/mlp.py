"""The MLP autoencoder of v1 (section 3.2.1, 4.1.2): simulator 60 → 1000 → 500 → 100 → k and its mirror image.

Inference is numpy, so that decoding needs no torch; `to_module` turns the same layers into a trainable torch module.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import safetensors.numpy

from nases_env.embeddings.base import Decoder, fit_output_table, in_blocks, product
from nases_env.embeddings.calibration import KNOTS, Calibration, RankTable
from nases_env.search_spaces.base import HIGH, LOW

if TYPE_CHECKING:
    import torch

HIDDEN_UNITS = (1000, 500, 100)
HIDDEN_ACTIVATIONS = ("relu", "tanh", "tanh")
UNIT_DEVIATION = 12**-0.5
"""Of uniform numbers in [0, 1]."""
ORIGIN_MEAN = (LOW + HIGH) / 2
ORIGIN_DEVIATION = (HIGH - LOW) * UNIT_DEVIATION
"""Of a uniform origin vector's numbers."""
CARD_FIELDS = {"kind": str, "origin_size": int, "embedding_size": int, "settings": dict, "weights_sha256": str}
"""What every card has, and its type."""

_NUMPY_ACTIVATIONS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "relu": lambda x: np.maximum(x, 0.0),
    "tanh": np.tanh,
    "sigmoid": lambda x: 0.5 * (1.0 + np.tanh(0.5 * x)),
    "linear": lambda x: x,
}


class Dense(NamedTuple):
    """A fully connected layer: `activation(x @ weight.T + bias)`; weight is float32 (out, in).

    With a weight in Fortran order the product reads memory in order, which takes half the time.
    """

    weight: np.ndarray
    bias: np.ndarray
    activation: str


def forward(layers: Sequence[Dense], x: np.ndarray) -> np.ndarray:
    """Push (K, in) through the layers, in float32."""

    def walk(blocks: np.ndarray) -> np.ndarray:
        for layer in layers:
            blocks = product(blocks, layer.weight.T)
            blocks += layer.bias
            blocks = _NUMPY_ACTIVATIONS[layer.activation](blocks)
        return blocks

    return in_blocks(x, walk)


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
        Dense(
            np.asfortranarray(linear.weight.detach().cpu().numpy()),
            linear.bias.detach().cpu().numpy().copy(),
            activation,
        )
        for linear, activation in zip(linears, activations, strict=True)
    ]


def save(path: Path, simulator: Sequence[Dense], decoder: Sequence[Dense], card: dict) -> dict:
    """Write weights, the rank tables of every calibration, and the card beside them; returns the whole card.

    Args:
        path: The `.safetensors` file; its folder is made.
        simulator: Raw vectors → codes.
        decoder: Codes → raw vectors.
        card: What to tell about the weights; the sizes and the hash of the file are added.
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
    data = safetensors.numpy.save({name: np.ascontiguousarray(tensor) for name, tensor in tensors.items()})
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    partial.write_bytes(data)
    partial.replace(path)
    sizes = {"kind": "mlp", "origin_size": origin_size, "embedding_size": embedding_size}
    card = {**sizes, **card, "weights_sha256": hashlib.sha256(data).hexdigest()}
    write_card(path, card)
    return card


def write_card(path: Path, card: dict) -> None:
    """Write the card of the weights at path."""
    path.with_suffix(".json").write_text(json.dumps(card, indent=2) + "\n")


def read_card(path: Path) -> dict:
    """The card of the weights at path.

    Raises:
        FileNotFoundError: If the weights or the card are missing.
        ValueError: If the card is not one of an MLP autoencoder.
    """
    card_path = path.with_suffix(".json")
    for file in (path, card_path):
        if not file.is_file():
            raise FileNotFoundError(f"{file} is missing; scripts/pretrain.py writes weights with their card")
    try:
        card = json.loads(card_path.read_text())
    except ValueError as error:
        raise ValueError(f"{card_path} is no card: {error}") from error
    wrong = [
        name for name, kind in CARD_FIELDS.items() if not isinstance(card, dict) or type(card.get(name)) is not kind
    ]
    if wrong or card["kind"] != "mlp":
        raise ValueError(
            f"{card_path} is no card of an MLP autoencoder that scripts/pretrain.py wrote"
            + (f": it lacks {', '.join(wrong)}" if wrong else f": its kind is {card['kind']!r}")
        )
    return card


def _shapes(origin_size: int, embedding_size: int) -> dict[str, tuple[int, ...]]:
    """Shapes of all tensors in a file of weights."""
    halves = {
        "simulator": simulator_shape(origin_size, embedding_size),
        "decoder": decoder_shape(origin_size, embedding_size),
    }
    shapes: dict[str, tuple[int, ...]] = {}
    for half, layers in halves.items():
        for i, (inputs, outputs, _) in enumerate(layers):
            shapes |= {f"{half}.{i}.weight": (outputs, inputs), f"{half}.{i}.bias": (outputs,)}
    for table, columns in {"code": embedding_size, "output": origin_size, "both": origin_size}.items():
        shapes[f"quantiles.{table}"] = (columns, KNOTS)
    return shapes


class MLPAutoencoder(Decoder):
    """The pretrained autoencoder. Its card and the shapes are read at once, the weights when they are first used.

    Args:
        path: The `.safetensors` file; the card lies beside it as `.json`.
        calibration: See `calibration.Calibration`.

    Raises:
        FileNotFoundError: If the weights or the card are missing.
        ValueError: If either is damaged, or they do not fit each other.
    """

    def __init__(self, path: Path, calibration: Calibration = "none"):
        self.path = path
        self.calibration = calibration
        self.card = read_card(path)
        self.action_size = self.card["embedding_size"]
        self.origin_size = self.card["origin_size"]
        self._check_shapes()

    def _check_shapes(self) -> None:
        try:
            with safetensors.safe_open(self.path, "numpy") as file:
                found = {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118
        except safetensors.SafetensorError as error:
            raise ValueError(f"{self.path} is damaged ({error}); make it again with scripts/pretrain.py") from error
        for name, shape in _shapes(self.origin_size, self.action_size).items():
            if found.get(name) != shape:
                raise ValueError(
                    f"{self.path} has {name} of shape {found.get(name)}; its card {self.path.with_suffix('.json')} "
                    f"says {self.origin_size} numbers in {self.action_size}, which asks for {shape}"
                )

    @cached_property
    def _tensors(self) -> dict[str, np.ndarray]:
        data = self.path.read_bytes()
        if (found := hashlib.sha256(data).hexdigest()) != self.card["weights_sha256"]:
            raise ValueError(
                f"{self.path} has the hash {found}; its card {self.path.with_suffix('.json')} belongs to "
                f"{self.card['weights_sha256']}: one of the two is damaged or another model's"
            )
        return safetensors.numpy.load(data)

    @cached_property
    def simulator_layers(self) -> list[Dense]:
        """The encoder: raw vectors → codes."""
        return self._layers("simulator", simulator_shape(self.origin_size, self.action_size))

    @cached_property
    def decoder_layers(self) -> list[Dense]:
        """The decoder: codes → raw vectors."""
        return self._layers("decoder", decoder_shape(self.origin_size, self.action_size))

    def _layers(self, half: str, shape: Sequence[tuple[int, int, str]]) -> list[Dense]:
        return [
            Dense(np.asfortranarray(self._tensors[f"{half}.{i}.weight"]), self._tensors[f"{half}.{i}.bias"], activation)
            for i, (*_, activation) in enumerate(shape)
        ]

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
