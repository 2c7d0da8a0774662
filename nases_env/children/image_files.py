"""One image file as 8-bit pixels, whatever its format and mode: black becomes 0, white 255, and grey stays grey."""

from __future__ import annotations

import contextlib
import os
import stat
from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import ExifTags, Image, ImageFile, ImageOps

from nases_env.children.ranges import RANGES

MODES = {1: "L", 3: "RGB"}
"""Pillow's modes by their channels."""
UNTRANSLATED = ("L;2", "L;4", "RGB;16B")
"""How PNG files store pixels that Pillow brings to 8 bits, but not the transparent colour beside them."""
GREY_AS_COLOUR = "LA;16B"
"""How PNG files store grey of 16 bits with transparency, which Pillow reads as colour."""


ROUNDING = 1e-6
"""How far a share of white may lie outside of [0, 1]: arithmetic in float32 errs by less."""


class Picture(NamedTuple):
    """What an image file shows."""

    image: Image.Image
    """Upright, without transparency; mode `L` if the file is grey, else `RGB`."""
    more_frames: bool
    """Whether the file has more frames than this first one."""


@cache
def suffixes() -> frozenset[str]:
    """The suffixes of files that Pillow can open, in lower case, with their dots."""
    registered = Image.registered_extensions().items()
    return frozenset(suffix for suffix, name in registered if name in Image.OPEN or name == "MPO")  # opened as JPEG


def decode(path: str | Path, image_size: int | None = None, channels: int | None = None) -> np.ndarray:
    """The pixels of one image file, exactly as children see it in training before it is standardised.

    The image is turned upright as its EXIF data say; of several frames the first is read; what is transparent is
    composed on white. Grey of 16 bits is divided by 257 and rounded; in floating-point images 0 is black and 1 white.

    Args:
        path: A file in any format that Pillow reads.
        image_size: Pixels a side, to which the image is averaged down (or interpolated up); None: as they are.
        channels: 1 for grey or 3 for red, green and blue; None: 1 if the file is grey, else 3.

    Returns:
        uint8 (height, width, channels), in [0, 255]; with an image_size, both sides are that.

    Raises:
        ValueError: If the file is no image that can be read, with its name and the reason.
    """
    if channels not in (None, *MODES):
        raise ValueError(f"channels is {channels!r}; expected 1 (grey), 3 (red, green, blue) or None (as the file is)")
    if image_size is not None and not RANGES["image_size"].holds(image_size):
        raise ValueError(f"image_size is {image_size!r}; expected {RANGES['image_size']}")
    return to_array(read(path).image, image_size, channels)


def read(path: str | Path) -> Picture:
    """What an image file shows; see `decode`.

    Raises:
        ValueError: If the file is no image that can be read, with its name and the reason.
    """
    regular_file(path)
    try:
        # Opened here: of a path, Pillow maps a raw TIFF into memory with its sides exchanged where EXIF turns it.
        with open(path, "rb") as file, Image.open(file) as image:
            return _picture(image)
    except Exception as error:  # Pillow's plugins raise many kinds
        raise _refusal(path, error) from error


def regular_file(path: str | Path) -> os.stat_result:
    """Size and time of a file, without opening it: opening a pipe would wait for ever.

    Raises:
        ValueError: If there is no regular file.
    """
    try:
        status = os.stat(path)
    except OSError as error:
        raise _refusal(path, error) from error
    if not stat.S_ISREG(status.st_mode):
        raise _refusal(path, "it is a folder, pipe, socket or device, not a file")
    return status


def to_array(image: Image.Image, image_size: int | None, channels: int | None = None) -> np.ndarray:
    """A picture's pixels, uint8 (height, width, channels), of this size and with these channels; None: its own."""
    if channels is not None:
        image = image.convert(MODES[channels])
    if image_size is not None:
        image = resize(image, image_size)
    return np.atleast_3d(np.array(image))


def resize(image: Image.Image, size: int) -> Image.Image:
    """The image with so many pixels a side: means of blocks where it was larger, else interpolated."""
    method = Image.Resampling.BOX if min(image.size) >= size else Image.Resampling.BILINEAR
    return image.resize((size, size), method)


def _refusal(path: str | Path, reason: Exception | str) -> ValueError:
    told = type(reason).__name__ if isinstance(reason, Exception) and not reason.args else reason
    return ValueError(f"{path} is not an image that can be read ({told}); remove or replace it")


def _picture(image: ImageFile.ImageFile) -> Picture:
    limit = Image.MAX_IMAGE_PIXELS
    if limit is not None and image.width * image.height > limit:
        raise ValueError(
            f"its {image.width} × {image.height} pixels are more than the {limit} that Pillow takes for harmless; "
            "save it with fewer"
        )
    stored = str(image.tile[0][3]) if image.format == "PNG" and image.tile else None
    image.load()
    with contextlib.suppress(Exception):  # EXIF data that cannot be read turn nothing
        ImageOps.exif_transpose(image, in_place=True)
    return Picture(_eight_bits(image, stored), bool(getattr(image, "is_animated", False)))


def _eight_bits(image: Image.Image, stored: str | None) -> Image.Image:
    """Mode `L` or `RGB`, composed on white. `stored` tells how a PNG file holds its pixels."""
    if _tag(image, "SampleFormat") == (2,):
        raise ValueError("its integers are signed, so that it is unknown which is white; save them unsigned")
    if image.mode in ("I", "F") or image.mode.startswith("I;16"):
        return _deep_grey(image)
    may_be_grey = image.mode in ("P", "PA") or stored == GREY_AS_COLOUR
    if image.has_transparency_data:
        if "transparency" in image.info and stored in UNTRANSLATED:
            raise ValueError(f"its transparent colour is of another depth than 8 bits ({stored}); save it as RGBA")
        image = _on_white(image)
    if image.mode in ("1", "L"):
        return image.convert("L")
    colours = image.convert("RGB")
    red, green, blue = colours.split()
    return red if may_be_grey and red.tobytes() == green.tobytes() == blue.tobytes() else colours


def _on_white(image: Image.Image) -> Image.Image:
    """Mode `L` or `RGB`, as it looks on a white page."""
    grey = image.mode in ("1", "L", "LA", "La")
    image = image.convert("LA" if grey else "RGBA")
    white = Image.new("L" if grey else "RGB", image.size, "white")
    white.paste(image.convert(white.mode), mask=image.getchannel("A"))
    return white


def _deep_grey(image: Image.Image) -> Image.Image:
    """Grey of more than 8 bits in 8 bits, rounded."""
    values = np.asarray(image).astype(np.float64)
    shares = values / _white(image)
    if not ((shares >= -ROUNDING) & (shares <= 1 + ROUNDING)).all():  # NaN is neither
        raise ValueError(
            f"its values reach from {values.min():.9g} to {values.max():.9g}; expected 0 (black) to 1 (white) in "
            "floating-point images: scale them, or save it with 8 or 16 bits"
        )
    if image.format == "TIFF" and _tag(image, "PhotometricInterpretation") in (None, 0):
        shares = 1 - shares  # 0 is white, which Pillow minds in images of 8 bits only
    if (transparent := image.info.get("transparency")) is not None:
        shares[values == transparent] = 1
    return Image.fromarray(np.rint(shares.clip(0, 1) * 255).astype(np.uint8))


def _white(image: Image.Image) -> int:
    """The value of white in a grey image of more than 8 bits."""
    if image.mode == "F":
        return 1
    if image.mode.startswith("I;16") and image.format != "FITS":
        return 4095 if _tag(image, "BitsPerSample") == (12,) else 65535
    if image.format in ("PNG", "PPM"):  # whose 16 bits are mode `I` in some versions of Pillow
        return 65535
    raise ValueError("its integers of 32 bits, or signed ones, do not tell which is white; save it with 8 or 16 bits")


def _tag(image: Image.Image, name: str) -> object:
    """A TIFF file's tag; None where there is none."""
    return getattr(image, "tag_v2", {}).get(ExifTags.Base[name])
