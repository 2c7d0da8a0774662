"""A folder of images, `root/train/<class>/*` and `root/test/<class>/*`, as one array that is kept in a cache.

Hidden files and folders are passed over, and so is what has no image's suffix.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import warnings
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
import PIL
from tqdm import tqdm

from nases_env.children import image_files

Part = Literal["train", "test"]

RULES = 3
"""Version of the rules by which files become pixels; arrays that other rules made are not used."""
REMEDY = "set the protocol's image_size, for example --overrides image_size=32"
SILENT_SECONDS = 2.0
"""Decoding that takes longer shows a progress bar."""


class File(NamedTuple):
    """An image file of a part."""

    path: Path
    label: int
    """Its class's number."""
    size: int
    """Bytes."""
    modified: int
    """Nanoseconds."""


@dataclass(frozen=True)
class Listing:
    """What a part has, before any image is opened."""

    folder: Path
    classes: tuple[str, ...]
    """Names of the training part's folders in alphabetical order, so that a class has one number in both parts."""
    files: list[File]
    passed_over: list[Path]
    """Images beside class folders, and in them folders and what has no image's suffix."""

    @property
    def hint(self) -> str:
        """How many entries were passed over, with an example; empty where none were."""
        if not self.passed_over:
            return ""
        count, example = len(self.passed_over), self.passed_over[0]
        return f"entries passed over because they are no images in a class's folder: {count}, for example {example}"


def read(
    root: Path, part: Part, image_size: int | None, channels: int | None
) -> tuple[np.ndarray, np.ndarray, tuple[str, ...]]:
    """All images of a part.

    Args:
        root: Folder with the folders `train` and `test`.
        part: Which of them.
        image_size: Pixels a side to which images are brought; None: as they are, which has to be one size for all.
        channels: 1 or 3; None: 1 if all images are grey, else 3.

    Returns:
        uint8 (N, size, size, channels); the classes' numbers, int64 (N,); the classes' names by number.

    Raises:
        FileNotFoundError: If there are no images.
        ValueError: If a file is no image that can be read, or the classes are none that can be learned.
    """
    listing = list_part(root, part)
    if listing.passed_over:
        warnings.warn(f"{listing.folder} has {listing.hint}", stacklevel=2)
    if part == "train":
        _tell_missing_test_classes(root, listing.classes)
    cache = _cache_file(listing, image_size, channels)
    pixels = None if cache is None else _cached(cache, len(listing.files), image_size, channels)
    if pixels is None:
        pixels = _decode([file.path for file in listing.files], image_size, channels)
        _keep(cache, pixels)
    return pixels, np.array([file.label for file in listing.files], dtype=np.int64), listing.classes


def list_part(root: Path, part: Part) -> Listing:
    """The images of a part; none is opened.

    Raises:
        FileNotFoundError: If there are none.
        ValueError: If the test part has a class that the training part has not, or the training part has a class
            without images or fewer than two classes, or something that is no regular file has an image's suffix.
    """
    folder, training = root / part, root / "train"
    classes = _class_names(training)
    if unknown := sorted(set(_class_names(folder)) - set(classes)):
        raise ValueError(
            f"{folder} has classes {unknown} that {training} has not; remove them, or add images of them to train on"
        )
    listing = Listing(folder, tuple(classes), [], list(filter(_is_image, _visible(folder))))
    for label, name in enumerate(classes):
        for path in _visible(folder / name):
            if not _is_image(path):
                listing.passed_over.append(path)
            else:
                status = image_files.regular_file(path)
                listing.files.append(File(path, label, status.st_size, status.st_mtime_ns))
    hint = f" ({listing.hint})" if listing.hint else ""
    if not listing.files:
        raise FileNotFoundError(
            f"there are no images in {folder}{hint}; expected {root}/train/<class>/* and {root}/test/<class>/*"
        )
    if part == "train":
        _check_classes(listing, hint)
    return listing


def _check_classes(listing: Listing, hint: str) -> None:
    filled = {file.label for file in listing.files}
    if empty := [name for label, name in enumerate(listing.classes) if label not in filled]:
        raise ValueError(
            f"{listing.folder} has no images of the classes {empty}{hint}; put images there, or remove the folders"
        )
    if len(listing.classes) == 1:
        raise ValueError(
            f"{listing.folder} has only the class {listing.classes[0]!r}; a network needs at least two to tell apart: "
            "add a folder of images for every other class"
        )


def _tell_missing_test_classes(root: Path, classes: tuple[str, ...]) -> None:
    folder = root / "test"
    present = [name for name in _class_names(folder) if any(map(_is_image, _visible(folder / name)))]
    if present and (missing := sorted(set(classes) - set(present))):
        warnings.warn(
            f"{folder} has no images of the classes {missing}; a test accuracy will say nothing about them",
            stacklevel=3,
        )


def _is_image(path: Path) -> bool:
    """Whether something is, by its name, no folder but an image."""
    return path.suffix.lower() in image_files.suffixes() and not os.path.isdir(path)


def _class_names(folder: Path) -> list[str]:
    entries = _visible(folder)
    for path in entries:
        if path.is_symlink() and not os.path.exists(path):
            raise ValueError(f"{path} is a link that leads nowhere, so it is no class; mend or remove it")
    names = [path.name for path in entries if os.path.isdir(path)]
    for name in names:
        try:
            name.encode()
        except UnicodeEncodeError as error:
            raise ValueError(f"{folder} has a class whose name {name!r} is no text; rename the folder") from error
    return names


def _visible(folder: Path) -> list[Path]:
    """The entries of a folder that are not hidden, sorted; none where there is no folder."""
    try:
        return sorted(path for path in folder.iterdir() if not path.name.startswith("."))
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        raise OSError(f"the folder {folder} cannot be listed ({error.strerror}); allow this user to read it") from error


def _decode(paths: list[Path], image_size: int | None, channels: int | None) -> np.ndarray:
    arrays, several = [], []
    # Tens of thousands of images take half a minute; a few are decoded without a word.
    for path in tqdm(paths, desc="decoding images", unit="image", delay=SILENT_SECONDS, leave=False):
        picture = image_files.read(path)
        arrays.append(image_files.to_array(picture.image, image_size, channels))
        if picture.more_frames:
            several.append(path)
    if several:
        warnings.warn(
            f"images with several frames, of which the first is used: {len(several)}, for example {several[0]}",
            stacklevel=3,
        )
    most = max(array.shape[2] for array in arrays)
    arrays = [array if array.shape[2] == most else np.repeat(array, most, axis=2) for array in arrays]
    _check_sizes(paths, [array.shape for array in arrays])
    return np.stack(arrays)


def _check_sizes(paths: Iterable[Path], shapes: list[tuple[int, ...]]) -> None:
    first = shapes[0]
    for path, shape in zip(paths, shapes, strict=True):
        if shape != first:
            raise ValueError(f"images have different sizes ({first}, but {path} has {shape}); {REMEDY}")
    height, width, _ = first
    if height != width:
        raise ValueError(f"images of {height} × {width} pixels are not square; {REMEDY}")


def _cache_file(listing: Listing, image_size: int | None, channels: int | None) -> Path | None:
    """Where these images are kept, by everything that decides what they become; None without a home folder."""
    key = hashlib.sha256(f"{RULES} {PIL.__version__} {image_size} {channels}\n".encode())
    key.update(os.fsencode(os.path.realpath(listing.folder)))
    for path, _, size, modified in listing.files:
        key.update(b"\n" + os.fsencode(path.relative_to(listing.folder)) + f" {size} {modified}".encode())
    try:
        caches = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser()
    except RuntimeError:
        return None
    return caches / "nases_env" / f"{key.hexdigest()[:32]}.npz"


def _cached(cache: Path, count: int, image_size: int | None, channels: int | None) -> np.ndarray | None:
    """The array that was kept, if it is whole; what is damaged is removed."""
    if not os.path.isfile(cache):
        return None
    try:
        with cache.open("rb") as file, np.load(file) as arrays:
            pixels = arrays["pixels"]
        number, height, width, depth = pixels.shape
        side, depths = image_size or height, [channels] if channels else [*image_files.MODES]
        if pixels.dtype == np.uint8 and (number, height, width) == (count, side, side) and depth in depths:
            return pixels
    except Exception:  # zipfile and numpy raise many kinds for a damaged file
        pass
    _remove(cache)
    return None


def _remove(path: Path) -> None:
    """Remove a file, if it is there and can be removed."""
    with contextlib.suppress(OSError):
        path.unlink()


def _keep(cache: Path | None, pixels: np.ndarray) -> None:
    """Write the array; where that cannot be done, say so and go on."""
    try:
        if cache is None:
            raise OSError("there is no home folder")
        cache.parent.mkdir(parents=True, exist_ok=True)
        partial = cache.with_suffix(f".{os.getpid()}.npz")
        try:
            np.savez(partial, pixels=pixels)
            partial.replace(cache)
        finally:
            _remove(partial)
    except (OSError, ValueError) as error:  # a zip file that the disk has no room for may raise either
        warnings.warn(
            f"the decoded images cannot be kept in {cache or 'a cache'} ({error}) and will be decoded again next time; "
            "set XDG_CACHE_HOME to a folder that can be written",
            stacklevel=3,
        )
