"""Tensors of a training on disk, with a hash that tells whether they are still the same."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

import safetensors.torch
import torch

from nases_env import files

DIGEST = "tensors_sha256"
"""Name of the hash in the file's metadata; earlier versions wrote no metadata."""


def save(file: Path, tensors: Mapping[str, torch.Tensor]) -> None:
    """Write tensors, on the CPU, whole or not at all."""
    files.write(file, safetensors.torch.save(dict(tensors), {DIGEST: digest(tensors)}))


def load(file: Path) -> dict[str, torch.Tensor]:
    """The tensors that `save` wrote, or an earlier version without a hash.

    Raises:
        ValueError: If they are damaged.
    """
    try:
        with safetensors.safe_open(file, "pt") as opened:
            metadata = opened.metadata()
            tensors = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118
    except (safetensors.SafetensorError, ValueError, TypeError, LookupError, RuntimeError) as error:
        raise damaged(file, str(error)) from error
    if metadata is not None and metadata.get(DIGEST) != digest(tensors):
        raise damaged(file, "its numbers are not those that were written")
    return tensors


def damaged(file: Path, why: str) -> ValueError:
    """The error that tells what is wrong with a checkpoint and what to do."""
    return ValueError(f"{file} is damaged ({why}); remove it, and the training starts again")


def digest(tensors: Mapping[str, torch.Tensor]) -> str:
    """SHA-256 of names, types, shapes and numbers, 64 hexadecimal digits."""
    found = hashlib.sha256()
    for name in sorted(tensors):
        tensor = tensors[name]
        found.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        found.update(tensor.flatten().view(torch.uint8).numpy().tobytes())
    return found.hexdigest()
