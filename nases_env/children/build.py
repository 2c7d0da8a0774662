"""From an architecture to an initialised network, and its size."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import torch
from torch import nn

from nases_env.children import network_file, padding
from nases_env.children.base import Child
from nases_env.children.network_file import TrainedFiles
from nases_env.children.padding import AnyModule
from nases_env.children.protocol import Protocol
from nases_env.children.tensors import ChildData
from nases_env.children.torch_state import own_torch_state
from nases_env.children.trained import TrainedNetwork
from nases_env.children.training import resolve_device
from nases_env.search_spaces import Architecture, registry


def skeleton(
    architecture: Architecture,
    protocol: Protocol,
    channels: int,
    classes: int,
    checkpointing: bool = False,
    device: str = "cpu",
) -> Child:
    """The network before its weights are drawn; on the device `meta` it has shapes and no memory.

    See `macro.MacroChild` and `micro.MicroChild`.

    Raises:
        TypeError: If no child is known for this kind of architecture.
    """
    found = registry.of(architecture)
    if found is None:
        raise TypeError(f"no network is known for {type(architecture).__name__}")
    return registry.load(found.child)(architecture, protocol, channels, classes, checkpointing, device)


def drawn(
    architecture: Architecture,
    protocol: Protocol,
    data: ChildData,
    seed: int,
    device: str,
    checkpointing: bool = False,
) -> Child:
    """The network for these images with the weights that a seed draws, on the device."""
    channels = data.train.images.shape[1]
    network = skeleton(architecture, protocol, channels, data.classes, checkpointing, device)
    return materialise(network, torch.Generator().manual_seed(seed), device)


def load(folder: str | Path, device: str = "cpu") -> TrainedNetwork:
    """The trained network of a folder that `nases train-final` wrote, ready to use, in float32.

    Args:
        folder: With `network.json` and `model.safetensors`.
        device: A torch device.

    Raises:
        FileNotFoundError: If a file is missing.
        ValueError: If a file is damaged, the weights are another network's, or there is no such device.
    """
    folder = Path(folder)
    with own_torch_state():
        device = resolve_device(device)
        files = network_file.read(folder)
        try:
            network = _with_weights(files)
        except ValueError as error:
            raise ValueError(f"{folder} was written by another version: {error}; train it again") from error
        return TrainedNetwork(network, files.images).to(device).eval()


def _with_weights(files: TrainedFiles) -> Child:
    """The child with its weights. Nothing is allocated before they are known to be its own."""
    protocol = dataclasses.replace(files.protocol, channel_multiple=1, auxiliary_weight=0.0)
    if protocol.stage_cells > len(files.weights):
        raise ValueError(f"{len(files.weights)} tensors are too few for stage_cells={protocol.stage_cells}")
    images = files.images
    try:
        network = skeleton(files.architecture, protocol, images.channels, len(images.class_names), device="meta")
    except (OverflowError, RuntimeError, TypeError) as error:
        raise ValueError(f"no network has the sizes that it describes ({error})") from error
    padding.load_state_dict(network, files.weights)  # on `meta` this compares shapes and copies nothing
    for name, tensor in padding.state_dict(network).items():
        if files.weights[name].dtype != tensor.dtype:
            raise ValueError(f"{name} holds {files.weights[name].dtype}; expected {tensor.dtype}")
    network.to_empty(device="cpu")
    padding.load_state_dict(network, files.weights)
    return network


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
