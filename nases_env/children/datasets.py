"""Images and labels: torchvision's CIFAR-10, a folder of images, or scikit-learn's digits.

A search sees only the training part, split in two; the test part is read by the final training alone.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from weakref import WeakValueDictionary

import numpy as np
import torch
from PIL import Image

from nases_env.children import image_files, image_folder
from nases_env.children.dataset_names import FOLDER, absolute, check_dataset
from nases_env.children.image_folder import Part
from nases_env.children.protocol import Protocol, Split
from nases_env.children.tensors import ChildData, Tensors, image_type
from nases_env.children.torch_state import own_torch_state


@dataclass(frozen=True)
class Images:
    """Decoded images: uint8 (N, height, width, channels), and their classes, int64 (N,)."""

    pixels: np.ndarray
    labels: np.ndarray
    class_names: tuple[str, ...] = ()
    """Names of the classes in the order of their numbers; empty where they have none."""

    def subset(self, indices: np.ndarray) -> Images:
        """The images of these indices."""
        return Images(self.pixels[indices], self.labels[indices], self.class_names)


_loaded: WeakValueDictionary[tuple[str, str, Split, str, torch.dtype], ChildData] = WeakValueDictionary()
"""Data that somebody in this process holds, so that several environments on the same images hold them once."""


def load(dataset: str, data_dir: str, protocol: Protocol, device: str, children_on: str | None = None) -> ChildData:
    """The training part on the device, split as the protocol says. It is read once while somebody holds it.

    Args:
        dataset: `cifar10`, `digits` or `imagefolder:PATH`.
        data_dir: Folder of CIFAR-10.
        protocol: Its split and precision are read.
        device: Where the data are to be.
        children_on: The device that children are trained on; None: the same.

    Raises:
        FileNotFoundError: If the data are missing: what, where, how to get them.
        ValueError: If there is no such data set, or it has too few images.
    """
    key = (dataset, data_dir, protocol.split(), device, image_type(protocol, children_on or device))
    if (data := _loaded.get(key)) is None:
        data = _loaded[key] = _load(*key)
    return data


@dataclass(frozen=True)
class DataSource:
    """Where data come from, so that another process or host can read them once more, and what they have to be then."""

    dataset: str
    data_dir: str
    split: Split
    digest: str
    """Names the pixels, the labels and the split."""

    def read(self, device: str, images_as: torch.dtype) -> ChildData:
        """Read the data to a device, with images of this type.

        Raises:
            FileNotFoundError: If the data are missing here.
            ValueError: If they have another digest.
        """
        return self.check(_load(self.dataset, self.data_dir, self.split, device, images_as))

    def check(self, data: ChildData) -> ChildData:
        """The data, if they are those of this source.

        Raises:
            ValueError: If they have another digest.
        """
        if data.digest != self.digest:
            raise ValueError(
                f"the images of {self.dataset} have the digest {data.digest:.12} here; expected {self.digest:.12}. "
                "Children trained on them would be taken for those of other images: give every process the same files"
            )
        return data


@own_torch_state()
def _load(dataset: str, data_dir: str, protocol: Split, device: str, images_as: torch.dtype) -> ChildData:
    images = read(dataset, data_dir, "train", protocol.image_size)
    train, validation = split(images, protocol)
    scaled = train.pixels.reshape(-1, train.pixels.shape[-1]) / np.float32(255)
    mean = scaled.mean(axis=0, dtype=np.float64).astype(np.float32)
    deviation = np.maximum(scaled.std(axis=0, dtype=np.float64), 1e-6).astype(np.float32)
    digest = hashlib.sha256()
    for part in (train, validation):
        digest.update(part.pixels.tobytes() + part.labels.tobytes())
    return ChildData(
        train=_standardise(train, mean, deviation, device, images_as),
        validation=_standardise(validation, mean, deviation, device, images_as) if len(validation.labels) else None,
        mean=mean,
        deviation=deviation,
        class_names=images.class_names,
        digest=digest.hexdigest(),
    )


@own_torch_state()
def load_test(dataset: str, data_dir: str, trained_on: ChildData) -> Tensors:
    """The test part: size, channels, standardisation, device and type are those of the images that were trained on.

    Only a final training may open it, once.
    """
    images = trained_on.train.images
    test = read(dataset, data_dir, "test", images.shape[-1], channels=images.shape[1])
    return _standardise(test, trained_on.mean, trained_on.deviation, str(images.device), images.dtype)


def _standardise(
    images: Images, mean: np.ndarray, deviation: np.ndarray, device: str, images_as: torch.dtype
) -> Tensors:
    standardised = (images.pixels / np.float32(255) - mean) / deviation
    pixels = torch.from_numpy(standardised).to(device, images_as).permute(0, 3, 1, 2)
    return Tensors(pixels, torch.from_numpy(images.labels).to(device))


def read(dataset: str, data_dir: str, part: Part, image_size: int | None = None, channels: int | None = None) -> Images:
    """All images of one part of a data set.

    Args:
        dataset: `cifar10`, `digits` or `imagefolder:PATH`.
        data_dir: Folder of CIFAR-10.
        part: `train` or `test`.
        image_size: Pixels a side, to which images are averaged down; None: as they are.
        channels: To which an image folder's images are brought, 1 or 3; None: 1 if all are grey, else 3.
    """
    if check_dataset(dataset).startswith(FOLDER):
        return Images(*image_folder.read(_root(dataset), part, image_size, channels))
    images = _digits(part) if dataset == "digits" else _cifar10(data_dir, part)
    if image_size is None or images.pixels.shape[1:3] == (image_size, image_size):
        return images
    pictures = (Image.fromarray(pixels.squeeze()) for pixels in images.pixels)
    pixels = np.stack([image_files.to_array(picture, image_size) for picture in pictures])
    return dataclasses.replace(images, pixels=pixels)


def split(images: Images, protocol: Split) -> tuple[Images, Images]:
    """Training and validation images; the validation images do not depend on how many are trained on.

    Raises:
        ValueError: If there are too few images, with numbers that these images allow.
    """
    from sklearn.model_selection import train_test_split

    count, validation = len(images.labels), protocol.validation_images
    train = count - validation if protocol.train_images is None else protocol.train_images
    if train < 1 or train + validation > count:
        raise ValueError(
            f"the data have {count} training images; the protocol asks for train_images={protocol.train_images} "
            f"and validation_images={validation}; {_remedy(images.labels, protocol)}"
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
                "protocol's train_images or validation_images, or set stratified to false; "
                f"{_remedy(images.labels, protocol)}"
            ) from error

    held_out, rest = draw(np.arange(count), validation)
    chosen, _ = draw(rest, train)
    return images.subset(chosen), images.subset(held_out)


def _remedy(labels: np.ndarray, protocol: Split) -> str:
    """Which fields of the protocol would split these images: a quarter is held out, if anything is."""
    count, sizes = len(labels), np.unique(labels, return_counts=True)[1]
    stratified = protocol.stratified and sizes.min() >= 2
    held_out = max(count // 4, len(sizes) if stratified else 1) if protocol.validation_images else 0
    fields = {"train_images": count - held_out, "validation_images": held_out}
    if fields["train_images"] < 2:
        return "add images"
    if stratified != protocol.stratified:
        fields["stratified"] = False
    overrides = " ".join(f"{name}={json.dumps(value)}" for name, value in fields.items())
    return f"use for example --overrides {overrides}, in Python protocol={{'preset': PRESET, {str(fields)[1:]}"


def _digits(part: Part) -> Images:
    """scikit-learn's 1,797 digits of 8 × 8 pixels: 1,347 to train, 450 to test."""
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    digits = load_digits()
    parts = train_test_split(np.arange(len(digits.target)), test_size=450, random_state=0, stratify=digits.target)
    indices = parts[0 if part == "train" else 1]
    pixels = np.round(digits.images[indices, :, :, None] * (255 / 16)).astype(np.uint8)
    return Images(pixels, digits.target[indices].astype(np.int64), tuple(str(name) for name in digits.target_names))


def _cifar10(data_dir: str, part: Part) -> Images:
    from torchvision.datasets import CIFAR10

    try:
        data = CIFAR10(data_dir, train=part == "train", download=True)
    except Exception as error:  # torchvision raises many kinds: no network, wrong checksum, no permission
        raise FileNotFoundError(
            f"CIFAR-10 is neither in {Path(data_dir).resolve()} nor could it be downloaded ({error}); put "
            "cifar-10-python.tar.gz there, or name the folder that has it with data_dir (--data-dir), or use your "
            "own images with dataset='imagefolder:PATH' (--dataset imagefolder:PATH)"
        ) from error
    return Images(data.data, np.asarray(data.targets, dtype=np.int64), tuple(data.classes))


def check_test_part(dataset: str) -> None:
    """Whether there is a test part, without opening an image.

    Raises:
        FileNotFoundError: If an image folder has none.
        ValueError: If it has a class that the training part has not, or something other than a file where an image
            should be.
    """
    if dataset.startswith(FOLDER):
        image_folder.list_part(_root(dataset), "test")


def _root(dataset: str) -> Path:
    """An image folder's path."""
    return Path(absolute(dataset).removeprefix(FOLDER))
