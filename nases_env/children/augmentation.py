"""Random crops, mirror images and cutout, computed for whole batches on the device."""

from __future__ import annotations

import torch


def pad(images: torch.Tensor, padding: int) -> torch.Tensor:
    """Put zeros, the mean of standardised images, around (N, C, H, W); the result is channels last in memory."""
    padded = torch.nn.functional.pad(images, (padding,) * 4)
    return padded.contiguous(memory_format=torch.channels_last)


def crop_and_flip(padded: torch.Tensor, size: int, flip: bool, generator: torch.Generator) -> torch.Tensor:
    """Cut a random size × size window out of every padded image (N, C, H, W); `flip` mirrors half of them."""
    count, _, height, width = padded.shape
    device = padded.device
    pixels = torch.arange(size, device=device)
    top = torch.randint(height - size + 1, (count, 1), generator=generator, device=device)
    left = torch.randint(width - size + 1, (count, 1), generator=generator, device=device)
    columns = pixels.expand(count, size)
    if flip:
        mirrored = torch.rand((count, 1), generator=generator, device=device) < 0.5
        columns = torch.where(mirrored, size - 1 - columns, columns)
    image = torch.arange(count, device=device)[:, None, None]
    # One gather from NHWC memory; the result is NHWC in memory as well.
    cropped = padded.permute(0, 2, 3, 1)[image, (top + pixels)[:, :, None], (left + columns)[:, None, :]]
    return cropped.permute(0, 3, 1, 2)


def cutout(images: torch.Tensor, side: int, generator: torch.Generator) -> torch.Tensor:
    """Put a square of zeros on every image, centred anywhere and clipped at the border (DeVries and Taylor 2017)."""
    count, _, height, width = images.shape
    device = images.device

    def outside(length: int) -> torch.Tensor:
        start = torch.randint(length, (count, 1), generator=generator, device=device) - side // 2
        pixels = torch.arange(length, device=device)
        return (pixels < start) | (pixels >= start + side)

    return images * (outside(height)[:, None, :, None] | outside(width)[:, None, None, :])
