"""Channels padded in memory to a multiple of 8 or so, which vector and matrix units like.

The padding is zero and stays zero: a padded filter puts out zeros, which batch normalisation (with γ = β = 0) and
pooling keep; whoever reads them has zero weights there, so no gradient comes back; and weight decay of zero is zero.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import nn


@dataclass(frozen=True)
class Channels:
    """Channels of a tensor put together from pieces, each of them padded by itself.

    Args:
        pieces: Real and stored channels of each piece.
    """

    pieces: tuple[tuple[int, int], ...]

    @classmethod
    def padded(cls, real: int, multiple: int) -> Channels:
        """One piece, padded to a multiple."""
        return cls(((real, -(-real // multiple) * multiple),))

    @property
    def real(self) -> int:
        """Channels without padding."""
        return sum(real for real, _ in self.pieces)

    @property
    def stored(self) -> int:
        """Channels in memory."""
        return sum(stored for _, stored in self.pieces)

    @property
    def positions(self) -> torch.Tensor:
        """Where in memory the real channels are, int64 (real,)."""
        is_real = [index < real for real, stored in self.pieces for index in range(stored)]
        return torch.tensor(is_real, device="cpu").nonzero().flatten()

    def __add__(self, other: Channels) -> Channels:
        return Channels(self.pieces + other.pieces)


def whole_multiple(multiple: int, device: str) -> int:
    """The multiple to which images, and all that is concatenated, are padded as a whole.

    Args:
        multiple: To which layers' own filters are padded.
        device: On CUDA it is the same one, which tensor cores need; elsewhere it is 1, so that nothing is added.
    """
    return multiple if device.startswith("cuda") else 1


def pad_images(images: torch.Tensor, channels: Channels) -> torch.Tensor:
    """Images (N, real channels, H, W) with zeros behind their channels, (N, stored channels, H, W)."""
    missing = channels.stored - images.shape[1]
    return nn.functional.pad(images, (0, 0, 0, 0, 0, missing)) if missing else images


AnyModule = TypeVar("AnyModule", bound=nn.Module)


def mark(module: AnyModule, *channels: Channels | None) -> AnyModule:
    """Note which entries of a module's tensors are real.

    Args:
        module: A convolution, a linear layer or a batch normalisation.
        channels: Channels of the tensors' first dimension (outputs) and of the second (inputs). Where one is None or
            missing, all entries along that dimension are real.
    """
    module._channels = tuple(c if c and c.stored > c.real else None for c in channels)  # type: ignore[assignment]
    return module


def real_shape(module: nn.Module, name: str) -> tuple[int, ...]:
    """Shape of one of a module's own tensors without padding."""
    tensor = getattr(module, name)
    channels = _channels(module)[: tensor.dim()]
    padded = [size if c is None else c.real for size, c in zip(tensor.shape, channels, strict=False)]
    return (*padded, *tensor.shape[len(channels) :])


def real(module: nn.Module, name: str) -> torch.Tensor:
    """One of a module's own tensors without padding; where nothing is padded, it is the tensor itself."""
    tensor = getattr(module, name)
    for dimension, channels in enumerate(_channels(module)[: tensor.dim()]):
        if channels is not None:
            tensor = tensor.index_select(dimension, channels.positions.to(tensor.device))
    return tensor


@torch.no_grad()
def fill(module: nn.Module, name: str, values: torch.Tensor) -> None:
    """Set one of a module's own tensors to values without padding, and its padding to zero."""
    tensor = getattr(module, name)
    channels = _channels(module)[: tensor.dim()]
    if not any(channels):
        tensor.copy_(values)
        return
    positions = [
        torch.arange(size, device="cpu") if c is None else c.positions
        for size, c in zip(tensor.shape, channels, strict=False)
    ]
    tensor.zero_()
    tensor[torch.meshgrid(*[p.to(tensor.device) for p in positions], indexing="ij")] = values.to(tensor.device)


def count_parameters(model: nn.Module) -> int:
    """Trainable parameters of the trained network, padding left out."""
    return sum(
        torch.Size(real_shape(module, name)).numel()
        for _, module in _trained(model)
        for name, _ in module.named_parameters(recurse=False)
    )


def state_dict(model: nn.Module) -> dict[str, torch.Tensor]:
    """A model's `state_dict` without padding and without the modules that only its training needs."""
    return {f"{prefix}{name}": real(module, name).detach() for prefix, module, name in _tensors(model)}


def load_state_dict(model: nn.Module, state: Mapping[str, torch.Tensor]) -> None:
    """Fill a model with what `state_dict` returned, whatever padding the other model had.

    Raises:
        ValueError: If these are the tensors of another model.
    """
    expected = {f"{prefix}{name}": real_shape(module, name) for prefix, module, name in _tensors(model)}
    given = {name: tuple(tensor.shape) for name, tensor in state.items()}
    if different := sorted(dict(expected.items() ^ given.items())):
        name = different[0]
        raise ValueError(
            f"{len(different)} tensors are not this network's, the first is {name}: expected "
            f"{expected.get(name, 'none')}, got {given.get(name, 'none')}"
        )
    for prefix, module, name in _tensors(model):
        fill(module, name, state[f"{prefix}{name}"])


def _channels(module: nn.Module) -> tuple[Channels | None, ...]:
    return getattr(module, "_channels", ())


def _tensors(model: nn.Module) -> Iterator[tuple[str, nn.Module, str]]:
    for path, module in _trained(model):
        own = [*module.named_parameters(recurse=False), *module.named_buffers(recurse=False)]
        yield from ((f"{path}." if path else "", module, name) for name, _ in own)


def _trained(model: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    """All modules with their paths, except those that only a child's training needs."""
    left_out = getattr(model, "training_only", ())
    return ((path, module) for path, module in model.named_modules() if path.partition(".")[0] not in left_out)
