"""A child's protocol: the recipe that decides its result, and the execution that does not."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal, get_args, get_type_hints

from nases_env.children.ranges import RANGES, REDUCTIONS
from nases_env.words import shown

Preset = Literal[
    "v1-search", "v1-final", "v3-search", "v3-final", "digits", "digits-final", "cifar10-mini", "cifar10-mini-final",
    "digits-micro", "digits-micro-final", "cifar10-mini-micro", "cifar10-mini-micro-final",
]  # fmt: skip

ADDED_LATER = "added later"
"""Key in a field's metadata."""


def later(default: Any) -> Any:
    """A field that did not exist once. Where it has its default, a result is what it was before the field was there."""
    return dataclasses.field(default=default, metadata={ADDED_LATER: True})


@dataclass(frozen=True)
class Names:
    """What a protocol is called, and what follows it."""

    name: Preset = "v1-search"
    """The preset this started from."""
    final: Literal[Preset, ""] = ""
    """The preset that retrains the best child; empty when this is itself a final protocol."""


@dataclass(frozen=True)
class Split:
    """Which images a child is trained and measured on."""

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


@dataclass(frozen=True)
class Optimisation:
    """How the images are augmented and the weights trained."""

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
    restart_period: int | None = later(None)
    """Epochs of the first of several cosines, each twice as long as the one before (v3: 10); None: one cosine."""
    momentum: float = 0.9
    """Nesterov momentum."""
    weight_decay: float = 1e-4
    """On all parameters."""
    train_accuracy: Literal["clean", "running"] = "clean"
    """ACC_tr of Eq. 1: a pass without augmentation over as many training images as there are validation images, or the
    last epoch's running accuracy."""


@dataclass(frozen=True)
class Network:
    """How large a child is, whatever its search space."""

    width: float = 1.0
    """Factor on every layer's filters."""
    width_multiple: int = 1
    """Filters are rounded to a multiple of this."""
    added_filters: int = 0
    """Filters added to every layer before the factor (Table 2: 0, 100, 150)."""

    def filters(self, filters: int) -> int:
        """Channels of a layer that the architecture gives so many filters."""
        scaled = round((filters + self.added_filters) * self.width / self.width_multiple)
        return max(scaled, 1) * self.width_multiple


@dataclass(frozen=True)
class MacroNetwork:
    """What the macro space alone reads."""

    reductions: tuple[int, ...] = (5, 10)
    """Layers, 1-based, after which a 2×2 max pool halves every output (`paper` rules only)."""


@dataclass(frozen=True)
class MicroNetwork:
    """What the micro space alone reads."""

    stage_cells: int = later(5)
    """Normal cells in each of the three stages (N)."""
    cell_filters: int = later(40)
    """Filters of a node in the first stage before the factor; every reduction doubles them (F)."""
    drop_path: float = later(0.0)
    """Chance to drop an operation's output in the last cell at the end of training, growing along both."""
    auxiliary_weight: float = later(0.0)
    """Weight of the loss of a second classifier behind the last reduction; 0: there is none."""


@dataclass(frozen=True)
class Recipe(MicroNetwork, MacroNetwork, Network, Optimisation, Split):
    """What decides a child's result: equal recipes on equal data give equal accuracies."""

    precision: Literal["float32", "bfloat16"] = "float32"
    """`bfloat16`: autocast on CUDA; on a CPU always float32."""
    channel_multiple: int = 8
    """Channels are padded in memory with zeros to a multiple of this, on CUDA also the images' and those of several
    layers together, which changes speed and rounding only."""
    threads: int | None = None
    """CPU threads, so that neither core count nor neighbours change a result; None: all cores."""
    max_parameters: int | None = None
    """A child with more is a failure."""
    max_flops: int | None = None
    """A child with more FLOPs an image is a failure."""


@dataclass(frozen=True)
class Execution:
    """What changes no result, only whether and how fast a child gets one on this machine."""

    start_seconds: int = 300
    """So long the first worker process may take until it is ready; then none is expected to be."""
    max_seconds: int | None = None
    """A child that trains longer is a failure; None: no limit."""
    hang_seconds: int = 60
    """So long after max_seconds, a worker process that does not answer is killed."""
    crash_retries: int = 1
    """How often a child is tried again whose worker process died."""
    checkpoint_retry: bool = True
    """Whether a child that runs out of memory is tried again with activation checkpointing."""
    kernels: Literal["torch", "fastest"] = "torch"
    """How operations of a child are computed on CUDA that can be computed in several ways. `fastest`: in the quickest,
    which is measured in the first training step on a whole batch; cuDNN searches there too. Only rounding differs."""
    cuda_graph: bool = False
    """Whether a training step and the evaluation of a batch are each recorded once on CUDA and then repeated by one
    launch, as CUDA graphs: quicker where it is the launches that take the time. What is computed is the same, but that
    drop_path reads the progress of the training rounded to float32."""


@dataclass(frozen=True)
class Protocol(Execution, Recipe, Names):
    """How a child is trained and measured. The defaults are v1's search (section 4.2), in float32.

    All fields of its parts are its own; they stand in the order of the parts from the last to the first.

    Raises:
        ValueError: If a field is not in its range, see `ranges.RANGES`, or is none of its words.
    """

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
        for name in ("stratified", "flip", "checkpoint_retry", "cuda_graph"):
            self._check(name, type(getattr(self, name)) is bool, "true or false")
        for name in ("name", "final", "train_accuracy", "precision", "kernels"):
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
        """The recipe's fields, of which fingerprints are made. A later one is left out where it has its default."""
        fields = ((field, getattr(self, field.name)) for field in dataclasses.fields(Recipe))
        return {
            field.name: value for field, value in fields if ADDED_LATER not in field.metadata or value != field.default
        }

    def split(self) -> Split:
        """The part that decides which images are trained and measured on."""
        return Split(**{field.name: getattr(self, field.name) for field in dataclasses.fields(Split)})

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


def cycle_of(epoch: int, period: int) -> int:
    """Find the cosine that an epoch belongs to; both are counted from 0.

    The first cosine is `period` epochs long, and each is twice as long as the one before.
    """
    return (epoch // period + 1).bit_length() - 1


@cache
def _words() -> dict[str, tuple[str, ...]]:
    """What the fields that are words can be."""
    return {name: get_args(hint) for name, hint in get_type_hints(Protocol).items()}
