"""The numbers that a protocol's fields can be: generous, and none that torch, scikit-learn or a clock cannot take."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

UNDER_ONE = math.nextafter(1.0, 0.0)
SECONDS = 10**8
"""Three years: more than any child is waited for."""


class Range(NamedTuple):
    """The lowest and the highest value of a field; a field with a whole lowest value is a whole number."""

    lowest: float
    highest: float
    optional: bool = False
    """Whether the field can be None."""

    @property
    def whole(self) -> bool:
        """Whether the field is a whole number."""
        return isinstance(self.lowest, int)

    def holds(self, value: Any) -> bool:
        """Whether the field can have this value; true and false are no numbers."""
        if value is None:
            return self.optional
        return type(value) in ((int,) if self.whole else (int, float)) and self.lowest <= value <= self.highest

    def __str__(self) -> str:
        kind = "a whole number" if self.whole else "a number"
        highest = "below 1" if self.highest == UNDER_ONE else f"{self.highest:,}"
        return f"{kind} from {self.lowest:,} to {highest}{', or None' * self.optional}"


RANGES = {
    "image_size": Range(1, 512, optional=True),
    "train_images": Range(2, 10**9, optional=True),
    "validation_images": Range(0, 10**9),
    "split_seed": Range(0, 2**32 - 1),  # numpy's RandomState, which scikit-learn draws with, takes no more
    "crop_padding": Range(0, 64),  # all training images are padded at once
    "cutout": Range(0, 512),
    "epochs": Range(1, 10**6),
    "batch_size": Range(2, 10**6),
    "learning_rate": Range(0.0, 1e38),  # float32 ends there
    "final_learning_rate": Range(0.0, 1e38),
    "restart_period": Range(1, 10**6, optional=True),
    "momentum": Range(0.0, UNDER_ONE),  # from 1 on, a step never ends
    "weight_decay": Range(0.0, 1.0),  # the usual ones are below 0.01
    # The widest child of these, on images of 512 pixels a side, has fewer FLOPs than the 2⁶³ that an int64 holds.
    "width": Range(0.0, 64.0),
    "width_multiple": Range(1, 256),
    "added_filters": Range(0, 500),
    "stage_cells": Range(1, 20),
    "cell_filters": Range(1, 500),
    "channel_multiple": Range(1, 256),
    "drop_path": Range(0.0, UNDER_ONE),  # what is kept is divided by the chance to be kept
    "auxiliary_weight": Range(0.0, 100.0),
    "threads": Range(1, 1_024, optional=True),
    "max_parameters": Range(0, 10**18, optional=True),
    "max_flops": Range(0, 10**18, optional=True),
    "start_seconds": Range(1, SECONDS),
    "max_seconds": Range(1, SECONDS, optional=True),
    "hang_seconds": Range(1, SECONDS),
    "crash_retries": Range(0, 100),
}
REDUCTIONS = 100
"""So many layers can be named by `reductions`, up to this one; a macro architecture has 15."""
