"""From an architecture to an initialised network, and its size."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import nn

from nases_env import search_spaces
from nases_env.children import padding
from nases_env.children.base import Child
from nases_env.children.macro import MacroChild
from nases_env.children.micro import MicroChild
from nases_env.children.padding import AnyModule
from nases_env.children.protocol import Protocol, resolve
from nases_env.search_spaces import Architecture, MacroArchitecture, MicroArchitecture

CHILDREN: dict[type[Architecture], type[MacroChild | MicroChild]] = {
    MacroArchitecture: MacroChild,
    MicroArchitecture: MicroChild,
}


def skeleton(
    architecture: Architecture,
    protocol: Protocol,
    channels: int,
    classes: int,
    checkpointing: bool = False,
    device: str = "cpu",
) -> Child:
    """The network before its weights are drawn; on the device `meta` it has shapes and no memory.

    See `MacroChild` and `MicroChild`.

    Raises:
        TypeError: If no child is known for this kind of architecture.
    """
    kind = next((child for known, child in CHILDREN.items() if isinstance(architecture, known)), None)
    if kind is None:
        raise TypeError(f"no network is known for {type(architecture).__name__}")
    return kind(architecture, protocol, channels, classes, checkpointing, device)  # type: ignore[arg-type]


def load(folder: str | Path, device: str = "cpu") -> nn.Module:
    """The trained network of a folder that `scripts/train_final.py` wrote, ready to use.

    Args:
        folder: With `network.json` (architecture, protocol, channels, classes) and `model.safetensors`.
        device: A torch device.

    Raises:
        FileNotFoundError: If a file is missing.
        ValueError: If the weights are another network's.
    """
    network = json.loads((Path(folder) / "network.json").read_text())
    architecture = search_spaces.from_json(json.dumps(network["architecture"]))
    protocol = dataclasses.replace(resolve(network["protocol"]), channel_multiple=1, auxiliary_weight=0.0)
    model = skeleton(architecture, protocol, network["channels"], network["classes"])
    try:
        padding.load_state_dict(model, load_file(Path(folder) / "model.safetensors"))
    except ValueError as error:
        raise ValueError(f"{folder} was written by another version: {error}; train it again") from error
    return model.to(device).eval()


def materialise(model: AnyModule, generator: torch.Generator, device: str) -> AnyModule:
    """A skeleton with He initialisation (He et al. 2015), on the device, channels last.

    The weights are drawn on the CPU, so that every device starts from the same ones.
    """
    for module in model.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            weight = torch.empty(padding.real_shape(module, "weight"))
            padding.fill(module, "weight", nn.init.kaiming_normal_(weight, nonlinearity="relu", generator=generator))
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        elif isinstance(module, nn.BatchNorm2d):
            for name in ("weight", "running_var"):
                padding.fill(module, name, torch.ones(padding.real_shape(module, name)))
    return model.to(device).to(memory_format=torch.channels_last)
