"""Pretrained autoencoders on disk, whatever their layers: a file of weights and rank tables, and a card beside it."""

from __future__ import annotations

import hashlib
import typing
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple, get_args

import numpy as np
import safetensors.numpy

from nases_env import files
from nases_env.embeddings.autoencoders import lstm, mlp
from nases_env.embeddings.autoencoders.halves import ORIGIN_DEVIATION, ORIGIN_MEAN, Blueprint, Half
from nases_env.embeddings.base import Decoder, fit_output_table
from nases_env.embeddings.calibration import KNOTS, Calibration, RankTable
from nases_env.schemas import SCHEMA, NewerVersionError, check_schema
from nases_env.search_spaces.base import HIGH, LOW
from nases_env.untrusted import LARGEST_NUMBER, check_size, check_types, parse_json

if TYPE_CHECKING:
    import torch

Kind = Literal["mlp", "lstm"]
CARD_FIELDS = {"kind": str, "origin_size": int, "embedding_size": int, "settings": dict, "weights_sha256": str}
"""Fields that every card has, and their types."""
QUANTILES = "quantiles."
"""The names of the rank tables' tensors begin with this."""


class Halves(typing.Protocol):
    """A kind of layers: it gives the blueprints of both halves for m numbers of an origin vector and k of a code."""

    def simulator(self, origin_size: int, embedding_size: int) -> Blueprint: ...  # noqa: D102
    def decoder(self, origin_size: int, embedding_size: int) -> Blueprint: ...  # noqa: D102


KINDS: dict[str, Halves] = {"mlp": mlp, "lstm": lstm}
"""All kinds by name: v1's multilayer perceptron and v3's LSTM."""


class Blueprints(NamedTuple):
    """The blueprints of both halves of an autoencoder."""

    simulator: Blueprint
    """The half that turns raw vectors into codes."""
    decoder: Blueprint
    """The half that turns codes into raw vectors."""


def blueprints(kind: str, origin_size: int, embedding_size: int) -> Blueprints:
    """The blueprints of both halves of an autoencoder of that kind.

    Raises:
        ValueError: If there is no such kind, or it cannot have these sizes.
    """
    if kind not in KINDS:
        raise ValueError(f"there is no kind of autoencoder {kind!r}; choose one of {get_args(Kind)}")
    halves = KINDS[kind]
    return Blueprints(halves.simulator(origin_size, embedding_size), halves.decoder(origin_size, embedding_size))


def fresh_simulator(decoder: Decoder, rng: np.random.Generator) -> torch.nn.Module:
    """An untrained simulator for a decoder: it maps raw vectors (K, m) to logits of codes (K, n).

    Its layers are of the decoder's kind; a decoder that is no autoencoder gets v1's multilayer perceptron.
    """
    kind = decoder.card["kind"] if isinstance(decoder, Autoencoder) else "mlp"
    simulator = blueprints(kind, decoder.origin_size, decoder.action_size).simulator.fresh(rng)
    return simulator.scale_input(ORIGIN_MEAN, ORIGIN_DEVIATION).logits().module()


def save(path: Path, kind: str, simulator: Half, decoder: Half, card: dict) -> dict:
    """Write weights, the rank tables of every calibration, and the card beside them; returns the whole card.

    Args:
        path: The `.safetensors` file; its folder is made.
        kind: One of KINDS.
        simulator: The half that turns raw vectors into codes.
        decoder: The half that turns codes into raw vectors.
        card: Fields that tell about the weights; schema, kind, sizes and the hash of the file are added.
    """
    origin_size, embedding_size = simulator.input_size, decoder.input_size
    tensors = {
        f"{name}.{tensor}": array
        for name, half in (("simulator", simulator), ("decoder", decoder))
        for tensor, array in half.tensors.items()
    }
    origins = np.random.default_rng(0).uniform(LOW, HIGH, (40_000, origin_size)).astype(np.float32)
    code_table = RankTable.fit(simulator.forward(origins), 0.0, 1.0)
    tables = {
        "code": code_table,
        "output": fit_output_table(decoder.forward, embedding_size),
        "both": fit_output_table(lambda actions: decoder.forward(code_table.inverse(actions)), embedding_size),
    }
    tensors.update({f"{QUANTILES}{name}": table.quantiles for name, table in tables.items()})
    data = safetensors.numpy.save({name: np.ascontiguousarray(tensor) for name, tensor in tensors.items()})
    path.parent.mkdir(parents=True, exist_ok=True)
    files.write(path, data)
    sizes = {"kind": kind, "origin_size": origin_size, "embedding_size": embedding_size}
    card = {"schema": SCHEMA["decoder"], **sizes, **card, "weights_sha256": hashlib.sha256(data).hexdigest()}
    write_card(path, card)
    return card


def write_card(path: Path, card: dict) -> None:
    """Write the card of the weights at path."""
    files.write_json(path.with_suffix(".json"), card)


def read_card(path: Path) -> dict:
    """The card of the weights at path.

    Raises:
        FileNotFoundError: If the weights or the card are missing.
        ValueError: If the card is not one of an autoencoder; NewerVersionError if a newer version wrote it.
    """
    card_path = path.with_suffix(".json")
    for file in (path, card_path):
        if not file.is_file():
            raise FileNotFoundError(f"{file} is missing; nases pretrain writes weights with their card")
    try:
        card = parse_json(card_path.read_bytes())
        check_schema(card, "decoder", card_path)
        check_types(card, CARD_FIELDS)
        if card["kind"] not in KINDS:
            raise ValueError(f"its kind is {card['kind']!r}, none of {', '.join(KINDS)}")
        for name in ("origin_size", "embedding_size"):
            check_size(card[name], name)
    except NewerVersionError:
        raise
    except ValueError as error:
        raise ValueError(
            f"{card_path} is no card of an autoencoder that nases pretrain wrote: {error}; make it again"
        ) from error
    return card


def _check_numbers(tensors: Mapping[str, np.ndarray]) -> None:
    """Check that all numbers are small enough to be computed with, and that quantiles ascend.

    Raises:
        ValueError: If a tensor fails; the message names it.
    """
    for name, tensor in tensors.items():
        if not (tensor.min() >= -LARGEST_NUMBER and tensor.max() <= LARGEST_NUMBER):  # nor is NaN
            raise ValueError(f"{name} holds numbers that are not finite or beyond ±{LARGEST_NUMBER:g}")
        if name.startswith(QUANTILES) and not (tensor[:, :-1] <= tensor[:, 1:]).all():
            raise ValueError(f"{name} does not ascend")


class Autoencoder(Decoder):
    """A pretrained autoencoder. Its card and the shapes are read at once, the weights when they are first used.

    Args:
        path: The `.safetensors` file; the card lies beside it as `.json`.
        calibration: Which rank tables it has, see `calibration.Calibration`.

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
        self._blueprints = blueprints(self.card["kind"], self.origin_size, self.action_size)
        self._check_shapes()

    def _check_shapes(self) -> None:
        try:
            with safetensors.safe_open(self.path, "numpy") as file:
                parts = {name: file.get_slice(name) for name in file.keys()}  # noqa: SIM118
                found = {name: (tuple(part.get_shape()), part.get_dtype()) for name, part in parts.items()}
        except safetensors.SafetensorError as error:
            raise ValueError(f"{self.path} is damaged ({error}); make it again with nases pretrain") from error
        for name, shape in self._shapes().items():
            found_shape, found_type = found.get(name, (None, None))
            if (found_shape, found_type) != (shape, "F32"):
                raise ValueError(
                    f"{self.path} has {name} of shape {found_shape} and type {found_type}; its card "
                    f"{self.path.with_suffix('.json')} says {self.origin_size} numbers in {self.action_size}, which "
                    f"asks for {shape} and F32"
                )

    @cached_property
    def _tensors(self) -> dict[str, np.ndarray]:
        data = self.path.read_bytes()
        if (found := hashlib.sha256(data).hexdigest()) != self.card["weights_sha256"]:
            raise ValueError(
                f"{self.path} has the hash {found}; its card {self.path.with_suffix('.json')} belongs to "
                f"{self.card['weights_sha256']}: one of the two is damaged or another model's"
            )
        try:
            loaded = safetensors.numpy.load(data)
            tensors = {name: loaded[name] for name in self._shapes()}
            _check_numbers(tensors)
        except (safetensors.SafetensorError, LookupError, TypeError, ValueError) as error:
            raise ValueError(f"{self.path} is damaged ({error}); make it again with nases pretrain") from error
        return tensors

    def _shapes(self) -> dict[str, tuple[int, ...]]:
        """The shape of every tensor that the file has to hold, by name."""
        shapes = {
            f"{half}.{name}": shape
            for half, blueprint in self._blueprints._asdict().items()
            for name, shape in blueprint.shapes.items()
        }
        columns = {"code": self.action_size, "output": self.origin_size, "both": self.origin_size}
        return shapes | {f"{QUANTILES}{table}": (count, KNOTS) for table, count in columns.items()}

    @cached_property
    def simulator_half(self) -> Half:
        """The encoder, which maps raw vectors to codes."""
        return self._half("simulator")

    @cached_property
    def decoder_half(self) -> Half:
        """The decoder, which maps codes to raw vectors."""
        return self._half("decoder")

    def _half(self, name: Literal["simulator", "decoder"]) -> Half:
        prefix = f"{name}."
        own = {key.removeprefix(prefix): value for key, value in self._tensors.items() if key.startswith(prefix)}
        return getattr(self._blueprints, name).build(own)

    @cached_property
    def _fitted_output_table(self) -> RankTable:
        return RankTable(self._tensors[f"{QUANTILES}{self.calibration}"], LOW, HIGH)

    @cached_property
    def _fitted_action_table(self) -> RankTable:
        return RankTable(self._tensors[f"{QUANTILES}code"], 0.0, 1.0)

    @property
    def _output_table(self) -> RankTable | None:
        return None if self.calibration == "none" else self._fitted_output_table

    @property
    def _action_table(self) -> RankTable | None:
        return self._fitted_action_table if self.calibration == "both" else None

    def _decode_codes(self, codes: np.ndarray) -> np.ndarray:
        return self.decoder_half.forward(codes)

    def _encode_codes(self, raw: np.ndarray) -> np.ndarray:
        return self.simulator_half.forward(raw)

    def simulator(self) -> torch.nn.Module:
        """A trainable copy of the simulator without its last sigmoid: raw vectors → logits of codes."""
        return self.simulator_half.logits().module()
