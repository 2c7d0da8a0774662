"""Images and labels: torchvision's CIFAR-10, a folder of images, or scikit-learn's digits.

A search sees only the training part, split in two; the test part is read by the final training alone.
"""

from __future__ import annotations

import dataclasses
import hashlib
import os
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from PIL import Image

from nases_env.children.protocol import FOLDER, Protocol, check_dataset

Part = Literal["train", "test"]


@dataclass(frozen=True)
class Images:
    """Decoded images: uint8 (N, height, width, channels), and their classes, int64 (N,)."""

    pixels: np.ndarray
    labels: np.ndarray

    def subset(self, indices: np.ndarray) -> Images:
        """The images of these indices."""
        return Images(self.pixels[indices], self.labels[indices])


@dataclass(frozen=True)
class Tensors:
    """Standardised images, float32 (N, channels, size, size), NHWC in memory, and labels, int64 (N,), on a device."""

    images: torch.Tensor
    labels: torch.Tensor

    def __len__(self) -> int:
        return len(self.labels)

    def to(self, device: str) -> Tensors:
        """The same images and labels on another device; on this one, these."""
        return Tensors(self.images.to(device), self.labels.to(device))

    def share(self) -> None:
        """Move to memory that other processes can map."""
        self.images.share_memory_()
        self.labels.share_memory_()


@dataclass(frozen=True)
class ChildData:
    """What a child is trained and measured on."""

    train: Tensors
    validation: Tensors | None
    """None for a final protocol, which trains on everything."""
    mean: np.ndarray
    """Of the training images' channels, in [0, 1], float32."""
    deviation: np.ndarray
    classes: int
    digest: str
    """Names the pixels, the labels and the split."""

    def to(self, device: str) -> ChildData:
        """The same data on another device; on this one, these."""
        return dataclasses.replace(
            self, train=self.train.to(device), validation=self.validation and self.validation.to(device)
        )


def load(dataset: str, data_dir: str, protocol: Protocol, device: str) -> ChildData:
    """The training part on the device, split as the protocol says; once per process.

    Raises:
        FileNotFoundError: If the data are missing: what, where, how to get them.
        ValueError: If there is no such data set, or it has too few images.
    """
    key = (dataset, data_dir, protocol.data_only(), device)
    return _adopted[key] if key in _adopted else _load(*key)


_adopted: dict[tuple[str, str, Protocol, str], ChildData] = {}


def adopt(dataset: str, data_dir: str, protocol: Protocol, device: str, data: ChildData) -> None:
    """Let `load` answer with data that another process loaded."""
    _adopted[dataset, data_dir, protocol.data_only(), device] = data.to(device)


@lru_cache(maxsize=4)
def _load(dataset: str, data_dir: str, protocol: Protocol, device: str) -> ChildData:
    images = read(dataset, data_dir, "train", protocol.image_size)
    train, validation = split(images, protocol)
    scaled = train.pixels.reshape(-1, train.pixels.shape[-1]) / np.float32(255)
    mean = scaled.mean(axis=0, dtype=np.float64).astype(np.float32)
    deviation = np.maximum(scaled.std(axis=0, dtype=np.float64), 1e-6).astype(np.float32)
    digest = hashlib.sha256()
    for part in (train, validation):
        digest.update(part.pixels.tobytes() + part.labels.tobytes())
    return ChildData(
        train=_standardise(train, mean, deviation, device),
        validation=_standardise(validation, mean, deviation, device) if len(validation.labels) else None,
        mean=mean,
        deviation=deviation,
        classes=int(images.labels.max()) + 1,
        digest=digest.hexdigest(),
    )


def load_test(dataset: str, data_dir: str, protocol: Protocol, device: str) -> Tensors:
    """The test part, standardised like the training images. Only a final training may open it, once."""
    data = load(dataset, data_dir, protocol, device)
    images = read(dataset, data_dir, "test", protocol.image_size)
    return _standardise(images, data.mean, data.deviation, device)


def _standardise(images: Images, mean: np.ndarray, deviation: np.ndarray, device: str) -> Tensors:
    standardised = (images.pixels / np.float32(255) - mean) / deviation
    pixels = torch.from_numpy(standardised).to(device).permute(0, 3, 1, 2)
    return Tensors(pixels, torch.from_numpy(images.labels).to(device))


def read(dataset: str, data_dir: str, part: Part, image_size: int | None = None) -> Images:
    """All images of one part of a data set, averaged down to image_size."""
    if check_dataset(dataset).startswith(FOLDER):
        return _image_folder(Path(dataset.removeprefix(FOLDER)), part, image_size)
    images = _digits(part) if dataset == "digits" else _cifar10(data_dir, part)
    if image_size is None or images.pixels.shape[1:3] == (image_size, image_size):
        return images
    resized = [_resize(Image.fromarray(pixels.squeeze()), image_size) for pixels in images.pixels]
    return Images(np.stack(resized).reshape(len(resized), image_size, image_size, -1), images.labels)


def split(images: Images, protocol: Protocol) -> tuple[Images, Images]:
    """Training and validation images; the validation images do not depend on how many are trained on."""
    from sklearn.model_selection import train_test_split

    count, validation = len(images.labels), protocol.validation_images
    train = count - validation if protocol.train_images is None else protocol.train_images
    if train < 1 or train + validation > count:
        raise ValueError(
            f"the data have {count} training images; the protocol asks for train_images={protocol.train_images} "
            f"and validation_images={validation}"
        )

    def draw(indices: np.ndarray, size: int) -> tuple[np.ndarray, np.ndarray]:
        if size in (0, len(indices)):
            return indices[:size], indices[size:]
        labels = images.labels[indices] if protocol.stratified else None
        try:
            return train_test_split(indices, train_size=size, random_state=protocol.split_seed, stratify=labels)
        except ValueError as error:
            raise ValueError(
                f"{size} of {len(indices)} images cannot keep the shares of the classes ({error}); change the "
                "protocol's train_images or validation_images, or set stratified to false"
            ) from error

    held_out, rest = draw(np.arange(count), validation)
    chosen, _ = draw(rest, train)
    return images.subset(chosen), images.subset(held_out)


def _digits(part: Part) -> Images:
    """scikit-learn's 1,797 digits of 8 × 8 pixels: 1,347 to train, 450 to test."""
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    digits = load_digits()
    parts = train_test_split(np.arange(len(digits.target)), test_size=450, random_state=0, stratify=digits.target)
    indices = parts[0 if part == "train" else 1]
    pixels = np.round(digits.images[indices, :, :, None] * (255 / 16)).astype(np.uint8)
    return Images(pixels, digits.target[indices].astype(np.int64))


def _cifar10(data_dir: str, part: Part) -> Images:
    from torchvision.datasets import CIFAR10

    try:
        data = CIFAR10(data_dir, train=part == "train", download=True)
    except Exception as error:  # torchvision raises many kinds: no network, wrong checksum, no permission
        raise FileNotFoundError(
            f"CIFAR-10 is neither in {Path(data_dir).resolve()} nor could it be downloaded ({error}); put "
            "cifar-10-python.tar.gz there, or name the folder that has it with data_dir, or use your own images "
            "with dataset='imagefolder:PATH'"
        ) from error
    return Images(data.data, np.asarray(data.targets, dtype=np.int64))


def _image_folder(root: Path, part: Part, image_size: int | None) -> Images:
    """`root/part/<class>/*`, decoded once and then kept as one array in the user's cache folder."""
    folder = root / part
    files = _files(root, part)
    listing = hashlib.sha256(f"{folder.resolve()} {image_size}".encode())
    for path, _ in files:
        status = path.stat()
        listing.update(f"{path.relative_to(folder)} {status.st_size} {status.st_mtime_ns}\n".encode())
    cache = _cache_folder() / f"{listing.hexdigest()[:32]}.npz"
    if cache.is_file():
        with np.load(cache) as arrays:
            return Images(arrays["pixels"], arrays["labels"])
    images = Images(_decode([path for path, _ in files], image_size), np.array([label for _, label in files]))
    cache.parent.mkdir(parents=True, exist_ok=True)
    partial = cache.with_suffix(f".{os.getpid()}.npz")
    np.savez(partial, pixels=images.pixels, labels=images.labels)
    partial.replace(cache)
    return images


def check_test_part(dataset: str) -> None:
    """Whether there is a test part, without opening it.

    Raises:
        FileNotFoundError: If an image folder has none.
        ValueError: If it has a class that the training part has not.
    """
    if dataset.startswith(FOLDER):
        _files(Path(dataset.removeprefix(FOLDER)), "test")


def _files(root: Path, part: Part) -> list[tuple[Path, int]]:
    """Every image of a part, with its class's number."""
    folder = root / part
    classes = _subfolders(root / "train")  # of both parts, so that a class has one number
    if unknown := sorted(set(_subfolders(folder)) - set(classes)):
        raise ValueError(f"{folder} has classes {unknown} that {root / 'train'} has not")
    files = [
        (path, label)
        for label, name in enumerate(classes)
        if (folder / name).is_dir()
        for path in sorted((folder / name).iterdir())
    ]
    if not files:
        raise FileNotFoundError(
            f"there are no images in {folder.resolve()}; expected {root}/train/<class>/* and {root}/test/<class>/*"
        )
    return files


def _subfolders(folder: Path) -> list[str]:
    return sorted(entry.name for entry in folder.iterdir() if entry.is_dir()) if folder.is_dir() else []


def _decode(paths: list[Path], image_size: int | None) -> np.ndarray:
    pixels = []
    for path in paths:
        try:
            with Image.open(path) as image:
                rgb = image.convert("RGB")
        except OSError as error:
            raise ValueError(f"{path} is not an image that can be read ({error}); remove or replace it") from error
        pixels.append(np.asarray(rgb) if image_size is None else _resize(rgb, image_size))
    if shapes := {array.shape for array in pixels[1:]} - {pixels[0].shape}:
        raise ValueError(
            f"images have different sizes ({pixels[0].shape} and {shapes.pop()}); set the protocol's image_size"
        )
    height, width, _ = pixels[0].shape
    if height != width:
        raise ValueError(f"images of {height} × {width} pixels are not square; set the protocol's image_size")
    return np.stack(pixels)


def _resize(image: Image.Image, size: int) -> np.ndarray:
    method = Image.Resampling.BOX if min(image.size) >= size else Image.Resampling.BILINEAR
    return np.asarray(image.resize((size, size), method))


def _cache_folder() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME", "~/.cache")).expanduser() / "nases_env"
