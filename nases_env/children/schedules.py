"""Learning rates: one cosine, or several of growing length (section 4.2; Loshchilov and Hutter 2017)."""

from __future__ import annotations

import math
import typing
from dataclasses import dataclass

from nases_env.children.protocol import Optimisation, cycle_of


class Schedule(typing.Protocol):
    """Tells how fast a training learns in each of its steps, which are counted from 0."""

    def learning_rate(self, step: int) -> float:
        """The learning rate of the step."""

    def progress(self, step: int) -> float:
        """The share of the training that is over before the step, in [0, 1)."""


@dataclass(frozen=True)
class Cosine:
    """A cosine from the first step of the training, or of a cycle, to its last."""

    recipe: Optimisation
    """Only its epochs, learning rates and restart_period are read."""
    steps: int
    """Steps of an epoch."""

    def learning_rate(self, step: int) -> float:  # noqa: D102
        recipe, period = self.recipe, self.recipe.restart_period
        epochs = recipe.epochs
        if period:
            cycle = cycle_of(step // self.steps, period)
            step, epochs = step - (2**cycle - 1) * period * self.steps, 2**cycle * period
        last = max(1, epochs * self.steps - 1)
        cosine = 0.5 * (1 + math.cos(math.pi * min(1.0, step / last)))
        return recipe.final_learning_rate + (recipe.learning_rate - recipe.final_learning_rate) * cosine

    def progress(self, step: int) -> float:  # noqa: D102
        return step / (self.recipe.epochs * self.steps)
