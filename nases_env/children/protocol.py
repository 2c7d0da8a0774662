"""Everything that is done to a child: data, split, size, optimisation, precision, limits."""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal, get_args, get_type_hints

from nases_env.children.ranges import RANGES, REDUCTIONS
from nases_env.words import shown

Preset = Literal[
    "v1-search", "v1-final", "v3-search", "v3-final", "digits", "digits-final", "cifar10-mini", "cifar10-mini-final",
    "digits-micro", "digits-micro-final", "cifar10-mini-micro", "cifar10-mini-micro-final",
]  # fmt: skip


@dataclass(frozen=True)
class Protocol:
    """How a child is trained and measured. The defaults are v1's search (section 4.2), in float32.

    Raises:
        ValueError: If a field is not in its range, see `ranges.RANGES`, or is none of its words.
    """

    name: Preset = "v1-search"
    """The preset this started from."""
    final: Literal[Preset, ""] = ""
    """The preset that retrains the best child; empty when this is itself a final protocol."""

    image_size: int | None = None
    """Images are averaged down to this many pixels a side; None: as they are."""
    train_images: int | None = 45_000
    """Images to train on, drawn from the training part; None: all that are left."""
    validation_images: int = 5_000
    """Images held out of the training part; 0: train on everything and measure on the test part (final)."""
    split_seed: int = 0
    """Seed of the split, the same for every search."""
    stratified: bool = False
    """Whether both parts of the split keep the shares of the classes."""

    crop_padding: int = 4
    """Zeros around a training image before it is cropped at random."""
    flip: bool = True
    """Whether training images are mirrored at random."""
    cutout: int = 0
    """Side of a square of zeros put on a training image at random; 0: none."""

    epochs: int = 10
    """Passes over the training images."""
    batch_size: int = 128
    """Images per step; an epoch's last batch may be smaller."""
    learning_rate: float = 0.05
    """Highest learning rate, at the first step."""
    final_learning_rate: float = 0.001
    """Lowest, at the last step; cosine in between."""
    restart_period: int | None = None
    """Epochs of the first of several cosines, each twice as long as the one before (v3: 10); None: one cosine."""
    momentum: float = 0.9
    """Nesterov momentum."""
    weight_decay: float = 1e-4
    """On all parameters."""
    train_accuracy: Literal["clean", "running"] = "clean"
    """ACC_tr of Eq. 1: a pass without augmentation over as many training images as there are validation images, or the
    last epoch's running accuracy."""

    width: float = 1.0
    """Factor on every layer's filters."""
    width_multiple: int = 1
    """Filters are rounded to a multiple of this."""
    added_filters: int = 0
    """Filters added to every layer before the factor (Table 2: 0, 100, 150)."""
    reductions: tuple[int, ...] = (5, 10)
    """Layers, 1-based, after which a 2×2 max pool halves every output (`paper` rules only)."""

    stage_cells: int = 5
    """Normal cells in each of the three stages (micro space only, N)."""
    cell_filters: int = 40
    """Filters of a node in the first stage before the factor; every reduction doubles them (micro space only, F)."""
    drop_path: float = 0.0
    """Chance to drop an operation's output in the last cell at the end of training, growing along both (micro only)."""
    auxiliary_weight: float = 0.0
    """Weight of the loss of a second classifier behind the last reduction; 0: there is none (micro space only)."""

    precision: Literal["float32", "bfloat16"] = "float32"
    """`bfloat16`: autocast on CUDA; on a CPU always float32."""
    channel_multiple: int = 8
    """Channels are padded in memory with zeros to a multiple of this, which changes speed and rounding only."""
    threads: int | None = None
    """CPU threads, so that neither core count nor neighbours change a result; None: all cores."""
    max_parameters: int | None = None
    """A child with more is a failure."""
    max_flops: int | None = None
    """A child with more FLOPs an image is a failure."""
    max_seconds: int | None = None
    """A child that trains longer is a failure; None: no limit."""
    hang_seconds: int = 60
    """So long after max_seconds, a worker process that does not answer is killed."""
    crash_retries: int = 1
    """How often a child is tried again whose worker process died."""
    checkpoint_retry: bool = True
    """Whether a child that runs out of memory is tried again with activation checkpointing."""

    def __post_init__(self):
        layers = isinstance(self.reductions, list | tuple) and len(self.reductions) <= REDUCTIONS
        layers = layers and all(type(at) is int and 1 <= at <= REDUCTIONS for at in self.reductions)
        self._check("reductions", layers, f"a list of layers, at most {REDUCTIONS}, each from 1 to {REDUCTIONS}")
        object.__setattr__(self, "reductions", tuple(self.reductions))  # JSON has lists
        for name, allowed in RANGES.items():
            value = getattr(self, name)
            self._check(name, allowed.holds(value), str(allowed))
            if not allowed.whole:
                object.__setattr__(self, name, float(value))  # 1 and 1.0 are one protocol
        for name in ("stratified", "flip", "checkpoint_retry"):
            self._check(name, type(getattr(self, name)) is bool, "true or false")
        for name in ("name", "final", "train_accuracy", "precision"):
            value, words = getattr(self, name), _words()[name]
            self._check(name, isinstance(value, str) and value in words, f"one of {', '.join(map(repr, words))}")
        self._check("width", self.width > 0, "above 0")
        if self.restart_period:
            self._check_cycles(self.restart_period)
        if not 0 < self.final_learning_rate <= self.learning_rate:
            raise ValueError(
                f"protocol fields final_learning_rate and learning_rate are {self.final_learning_rate} and "
                f"{self.learning_rate}; expected 0 < final_learning_rate <= learning_rate"
            )

    def result_fields(self) -> dict[str, Any]:
        """What decides a child's result: equal fields on equal data give equal accuracies."""
        defaults = {field.name: field.default for field in dataclasses.fields(self)}
        return {
            name: value
            for name, value in dataclasses.asdict(self).items()
            if name not in NO_RESULT and not (name in LATER and value == defaults[name])
        }

    def data_only(self) -> Protocol:
        """What decides which images are trained and measured on; everything else as it is by default."""
        names = ("image_size", "train_images", "validation_images", "split_seed", "stratified")
        return Protocol(**{name: getattr(self, name) for name in names})

    def _check_cycles(self, period: int) -> None:
        cycle = cycle_of(self.epochs, period)
        before, after = ((2**count - 1) * period for count in (cycle, cycle + 1))
        if self.epochs != before:
            nearest = f"{before} or {after}" if before else f"{after}"
            raise ValueError(
                f"protocol fields epochs and restart_period are {self.epochs} and {period}: the last cosine would not "
                f"end; the nearest epochs that end one are {nearest}, or choose another restart_period"
            )

    def _check(self, name: str, holds: bool, expected: str) -> None:
        if not holds:
            raise ValueError(f"protocol field {name} is {shown(getattr(self, name))}; expected {expected}")

    def filters(self, filters: int) -> int:
        """Channels of a layer that the architecture gives so many filters."""
        scaled = round((filters + self.added_filters) * self.width / self.width_multiple)
        return max(scaled, 1) * self.width_multiple


def cycle_of(epoch: int, period: int) -> int:
    """In which cosine an epoch is, both from 0, if the first is so many epochs and each twice as long as the last."""
    return (epoch // period + 1).bit_length() - 1


@cache
def _words() -> dict[str, tuple[str, ...]]:
    """What the fields that are words can be."""
    return {name: get_args(hint) for name, hint in get_type_hints(Protocol).items()}


NO_RESULT = ("name", "final", "max_seconds", "hang_seconds", "crash_retries", "checkpoint_retry")
"""Fields that change no result, only what it is called and whether a child gets one on this machine."""

LATER = ("restart_period", "stage_cells", "cell_filters", "drop_path", "auxiliary_weight")
"""Fields that did not exist once. Where they have their defaults, a result is what it was before they did."""

DATASETS = ("cifar10", "digits")
FOLDER = "imagefolder:"

_DIGITS = Protocol(
    name="digits",
    final="digits-final",
    train_images=897,
    validation_images=450,
    stratified=True,
    crop_padding=1,
    flip=False,
    epochs=3,
    batch_size=64,
    width=0.125,
    width_multiple=8,
    threads=1,
)
_MINI = Protocol(
    name="cifar10-mini",
    final="cifar10-mini-final",
    image_size=16,
    train_images=9_000,
    validation_images=3_000,
    stratified=True,
    crop_padding=2,
    epochs=3,
    batch_size=64,
    width=0.125,
    width_multiple=8,
    threads=1,
)
_MICRO: dict[str, Any] = {"stage_cells": 1, "cell_filters": 8, "width": 1.0, "width_multiple": 1}
"""v3's cells in small."""
_DIGITS_MICRO = dataclasses.replace(_DIGITS, name="digits-micro", final="digits-micro-final", **_MICRO)
_MINI_MICRO = dataclasses.replace(_MINI, name="cifar10-mini-micro", final="cifar10-mini-micro-final", **_MICRO)
_V1 = Protocol(final="v1-final", precision="bfloat16")
_V3 = dataclasses.replace(_V1, name="v3-search", final="v3-final", epochs=70, restart_period=10)
_FINAL: dict[str, Any] = {"final": "", "train_images": None, "validation_images": 0}

PRESETS: dict[str, Protocol] = {
    protocol.name: protocol
    for protocol in (
        _V1,
        dataclasses.replace(_V1, name="v1-final", epochs=700, **_FINAL),
        _V3,
        dataclasses.replace(_V3, name="v3-final", epochs=630, drop_path=0.2, auxiliary_weight=0.4, **_FINAL),
        _DIGITS,
        dataclasses.replace(_DIGITS, name="digits-final", epochs=30, width=0.25, **_FINAL),
        _MINI,
        dataclasses.replace(_MINI, name="cifar10-mini-final", epochs=10, **_FINAL),
        _DIGITS_MICRO,
        dataclasses.replace(_DIGITS_MICRO, name="digits-micro-final", epochs=30, cell_filters=16, **_FINAL),
        _MINI_MICRO,
        dataclasses.replace(_MINI_MICRO, name="cifar10-mini-micro-final", epochs=10, **_FINAL),
    )
}


NO_CARRYING = (*NO_RESULT, "restart_period")
"""A search's time limit is none for a final training, nor do its cosines end where a final training does."""
FINAL = tuple(protocol.name for protocol in PRESETS.values() if not protocol.final)


def final_protocol(search: Protocol, preset: str | None, overrides: Mapping[str, Any]) -> Protocol:
    """The protocol that retrains the best child of a search.

    What the search changed of its own preset is changed here too, unless the final preset changes it itself.

    Args:
        search: The search's protocol.
        preset: The final preset; None: the one that the search's names.
        overrides: Fields to change after that.

    Raises:
        ValueError: If the preset or a field does not exist, or the protocol holds images out.
    """
    name = preset or search.final
    final, own = resolve(name), PRESETS[search.name]
    carried = {
        field.name: getattr(search, field.name)
        for field in dataclasses.fields(Protocol)
        if field.name not in NO_CARRYING
        and getattr(search, field.name) != getattr(own, field.name) == getattr(final, field.name)
    }
    protocol = resolve({"preset": name, **carried, **overrides})
    if protocol.validation_images:
        raise ValueError(f"protocol {name!r} holds images out for a search; final ones are {', '.join(FINAL)}")
    return protocol


def parse_overrides(texts: Iterable[str]) -> dict[str, Any]:
    """Fields to override from a command line's `field=value`; values are JSON, or else taken as words.

    Raises:
        ValueError: If there is no `=`.
    """
    overrides = {}
    for text in texts:
        name, separator, value = text.partition("=")
        if not separator:
            raise ValueError(f"{text!r} overrides nothing; expected field=value, for example epochs=2")
        try:
            overrides[name] = json.loads(value)
        except ValueError:
            overrides[name] = value
    return overrides


def check_dataset(dataset: str) -> str:
    """The data set's name, if it can be one.

    Raises:
        ValueError: If it cannot.
    """
    named = isinstance(dataset, str) and (dataset in DATASETS or dataset.removeprefix(FOLDER) not in ("", dataset))
    if not named:
        raise ValueError(f"there is no dataset {dataset!r}; choose {', '.join(DATASETS)} or {FOLDER}PATH")
    return dataset


def absolute(dataset: str) -> str:
    """The data set's name; an image folder by its absolute path, `~` expanded, so that it is found from anywhere."""
    if not dataset.startswith(FOLDER):
        return dataset
    return FOLDER + os.path.realpath(os.path.expanduser(dataset.removeprefix(FOLDER)))


def resolve(protocol: str | Mapping[str, Any] | Protocol) -> Protocol:
    """The protocol that a name, or a mapping with the key `preset` and any fields to override, stands for.

    Raises:
        ValueError: If there is no such preset or field, or a value is out of range.
    """
    if isinstance(protocol, Protocol):
        return protocol
    if not isinstance(protocol, str | Mapping):
        raise ValueError(
            f"the protocol is {shown(protocol)}; expected a preset's name or a mapping with the key 'preset'"
        )
    overrides = {"preset": protocol} if isinstance(protocol, str) else dict(protocol)
    preset = overrides.pop("preset", None)
    if not isinstance(preset, str) or preset not in PRESETS:
        raise ValueError(f"there is no protocol preset {shown(preset)}; choose one of {', '.join(PRESETS)}")
    known = {field.name for field in dataclasses.fields(Protocol)} - {"name"}
    if unknown := sorted(overrides.keys() - known, key=str):
        raise ValueError(f"a protocol has no fields {shown(unknown)}; it has {sorted(known)}")
    return dataclasses.replace(PRESETS[preset], **overrides)
