"""From an architecture to an initialised network, and its size."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from nases_env import search_spaces
from nases_env.children.macro import MacroChild
from nases_env.children.protocol import Protocol, resolve
from nases_env.search_spaces import Architecture, MacroArchitecture


def skeleton(
    architecture: Architecture, protocol: Protocol, channels: int, classes: int, checkpointing: bool = False
) -> nn.Module:
    """The network on the meta device: shapes without memory. For checkpointing see `MacroChild`.

    Raises:
        TypeError: If no child is known for this kind of architecture.
    """
    if not isinstance(architecture, MacroArchitecture):
        raise TypeError(f"no network is known for {type(architecture).__name__}")
    with torch.device("meta"):
        return MacroChild(architecture, protocol, channels, classes, checkpointing)


def count_parameters(model: nn.Module) -> int:
    """Trainable parameters."""
    return sum(parameter.numel() for parameter in model.parameters())


def count_flops(meta_model: nn.Module, channels: int, image_size: int) -> int:
    """2 × multiply-adds of convolutions and the linear layer, one image forward, of a skeleton."""
    meta_model.eval()
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        meta_model(torch.empty((1, channels, image_size, image_size), device="meta"))
    return counter.get_total_flops()


def load(folder: str | Path, device: str = "cpu") -> nn.Module:
    """The trained network of a folder that `scripts/train_final.py` wrote, ready to use.

    Args:
        folder: With `network.json` (architecture, protocol, channels, classes) and `model.safetensors`.
        device: A torch device.

    Raises:
        FileNotFoundError: If a file is missing.
    """
    network = json.loads((Path(folder) / "network.json").read_text())
    architecture = search_spaces.from_json(json.dumps(network["architecture"]))
    protocol = resolve(network["protocol"])
    model = skeleton(architecture, protocol, network["channels"], network["classes"]).to_empty(device="cpu")
    model.load_state_dict(load_file(Path(folder) / "model.safetensors"))
    return model.to(device).eval()


def materialise(meta_model: nn.Module, generator: torch.Generator, device: str) -> nn.Module:
    """A skeleton with memory and He initialisation (He et al. 2015), channels last.

    The weights are drawn on the CPU, so that every device starts from the same ones.
    """
    model = meta_model.to_empty(device="cpu")
    for module in model.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu", generator=generator)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        elif isinstance(module, nn.BatchNorm2d):
            module.reset_parameters()
            module.reset_running_stats()
    return model.to(device).to(memory_format=torch.channels_last)
