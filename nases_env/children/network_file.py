"""A trained network on disk: `network.json` says what to build, `model.safetensors` has the weights."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from safetensors import SafetensorError

from nases_env import files, search_spaces
from nases_env.children.presets import resolve
from nases_env.children.protocol import Protocol
from nases_env.children.trained import ImageFormat
from nases_env.schemas import SCHEMA, NewerVersionError, check_schema
from nases_env.search_spaces import Architecture
from nases_env.untrusted import check_size, check_types, numbers, parse_json

DESCRIPTION, WEIGHTS = "network.json", "model.safetensors"
ALWAYS: dict[str, type] = {"architecture": dict, "protocol": dict, "channels": int, "classes": int}
"""Fields that every version wrote, and their types."""
LATER: dict[str, type] = {  # schema 0 had neither the weights' hash nor the classes' names
    "schema": int,
    "weights_sha256": str,
    "class_names": list,
    "image_size": int,
    "mean": list,
    "deviation": list,
}
ADVICE = "write it again with nases train-final"


@dataclass(frozen=True)
class TrainedFiles:
    """What the files of a trained network say."""

    architecture: Architecture
    protocol: Protocol
    images: ImageFormat
    weights: dict[str, torch.Tensor]
    """As `padding.state_dict` gave them; every number is finite."""


def write(folder: Path, network: Mapping[str, Any], weights: Mapping[str, torch.Tensor]) -> None:
    """Write both files. A kill in between leaves no `network.json`, so no weights are taken for others.

    Args:
        folder: Where.
        network: The fields of `network.json` but its schema and the weights' hash.
        weights: What `padding.state_dict` gave.
    """
    description = folder / DESCRIPTION
    description.unlink(missing_ok=True)
    data = safetensors.torch.save({name: tensor.cpu().contiguous() for name, tensor in weights.items()})
    files.write(folder / WEIGHTS, data)
    fields = {"schema": SCHEMA["network"], "weights_sha256": hashlib.sha256(data).hexdigest(), **network}
    files.write_json(description, fields)


def read(folder: Path) -> TrainedFiles:
    """What the files in a folder say.

    Raises:
        FileNotFoundError: If one is missing.
        ValueError: If one is damaged, they do not belong together, or a newer version wrote them.
    """
    file = folder / DESCRIPTION
    data = _read(file)
    try:
        fields = parse_json(data)
        _check_fields(fields, check_schema(fields, "network", file))
        architecture = search_spaces.from_json(json.dumps(fields["architecture"]))
        protocol, images = resolve(fields["protocol"]), _image_format(fields)
    except NewerVersionError:
        raise
    except (ValueError, TypeError, AttributeError, LookupError, OverflowError) as error:
        raise ValueError(f"{file} does not describe a network ({error}); {ADVICE}") from error
    return TrainedFiles(architecture, protocol, images, _weights(folder, fields.get("weights_sha256")))


def _check_fields(fields: Any, schema: int) -> None:
    check_types(fields, ALWAYS)
    check_types(fields, LATER, optional=not schema)
    if unknown := sorted(fields.keys() - ALWAYS.keys() - LATER.keys()):
        raise ValueError(f"it has the unknown fields {', '.join(unknown)}")


def _image_format(fields: Mapping[str, Any]) -> ImageFormat:
    channels, classes = (check_size(fields[name], name) for name in ("channels", "classes"))
    size = fields.get("image_size", fields["protocol"].get("image_size"))
    names = fields.get("class_names")
    if names is None:
        names = [str(label) for label in range(classes)]
    if len(names) != classes or not all(type(name) is str for name in names):
        raise ValueError(f"class_names has to be a list of {classes} texts")
    mean, deviation = (
        numbers(fields[name], (channels,), name) if name in fields else None for name in ("mean", "deviation")
    )
    if deviation is not None and not (deviation > 0).all():
        raise ValueError("deviation has to be above 0 for every channel")
    return ImageFormat(
        channels, None if size is None else check_size(size, "image_size"), mean, deviation, tuple(names)
    )


def _weights(folder: Path, sha256: str | None) -> dict[str, torch.Tensor]:
    file = folder / WEIGHTS
    data = _read(file)
    if sha256 is not None and (found := hashlib.sha256(data).hexdigest()) != sha256:
        raise ValueError(
            f"{file} has the hash {found}; {folder / DESCRIPTION} belongs to {sha256}: one of the two is damaged or "
            f"another network's; {ADVICE}"
        )
    try:
        weights = safetensors.torch.load(data)
    except (SafetensorError, ValueError, TypeError, LookupError, RuntimeError) as error:
        raise ValueError(f"{file} holds no weights ({error}); {ADVICE}") from error
    for name, tensor in weights.items():
        if tensor.is_floating_point() and not tensor.isfinite().all():
            raise ValueError(f"{file} holds numbers that are not finite in {name}; {ADVICE}")
    return weights


def _read(file: Path) -> bytes:
    if not file.is_file():
        raise FileNotFoundError(
            f"{file} is missing; nases train-final writes it when a training ends, and the same command goes on "
            "where it was stopped"
        )
    return file.read_bytes()
