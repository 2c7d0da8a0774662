"""Random crops, mirror images and cutout, computed for whole batches on the device."""

from __future__ import annotations

import torch


def pad(images: torch.Tensor, padding: int) -> torch.Tensor:
    """Put zeros, the mean of standardised images, around (N, C, H, W); the result is channels last in memory."""
    padded = torch.nn.functional.pad(images, (padding,) * 4)
    return padded.contiguous(memory_format=torch.channels_last)


def crop_and_flip(
    padded: torch.Tensor, batch: torch.Tensor, size: int, flip: bool, generator: torch.Generator
) -> torch.Tensor:
    """Cut a random window out of every image of a batch, and mirror half of them.

    Args:
        padded: All images (N, C, H, W), as `pad` makes them.
        batch: Indices of those to take, int64 (count,).
        size: Pixels a side of a window.
        flip: Whether half of them are mirrored.
        generator: Draws the windows.

    Returns:
        The windows (count, C, size, size).
    """
    count, height, width = len(batch), *padded.shape[2:]
    device = padded.device
    pixels = torch.arange(size, device=device)
    top = torch.randint(height - size + 1, (count, 1), generator=generator, device=device)
    left = torch.randint(width - size + 1, (count, 1), generator=generator, device=device)
    columns = pixels.expand(count, size)
    if flip:
        mirrored = torch.rand((count, 1), generator=generator, device=device) < 0.5
        columns = torch.where(mirrored, size - 1 - columns, columns)
    # One gather from NHWC memory; the result is NHWC in memory as well.
    rows, columns = (top + pixels)[:, :, None], (left + columns)[:, None, :]
    return padded.permute(0, 2, 3, 1)[batch[:, None, None], rows, columns].permute(0, 3, 1, 2)


def cutout(images: torch.Tensor, side: int, generator: torch.Generator) -> torch.Tensor:
    """Put a square of zeros on every image, centred anywhere and clipped at the border (DeVries and Taylor 2017)."""
    count, _, height, width = images.shape
    device = images.device

    def outside(length: int) -> torch.Tensor:
        start = torch.randint(length, (count, 1), generator=generator, device=device) - side // 2
        pixels = torch.arange(length, device=device)
        return (pixels < start) | (pixels >= start + side)

    return images * (outside(height)[:, None, :, None] | outside(width)[:, None, None, :])
