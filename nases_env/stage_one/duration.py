"""How many steps fit into a given time on this machine."""

from __future__ import annotations

import dataclasses
import math
import time

import torch

from nases_env.stage_one.pretraining import Pretraining
from nases_env.stage_one.settings import PretrainingSettings

TIMED_STEPS = 20
"""So many steps are timed of each phase, after as many that are not."""


def fit_minutes(settings: PretrainingSettings, minutes: float, device: str) -> PretrainingSettings:
    """The settings with as many steps as take about so many minutes here; the shares of their phases stay.

    Args:
        settings: The recipe.
        minutes: Time of the whole training, above 0.
        device: A torch device.
    """
    torch.set_num_threads(1)
    longer = dataclasses.replace(settings, steps=1000 * settings.steps, finetune_steps=1000 * settings.finetune_steps)
    starts = [0, *(math.ceil(share * longer.steps) for share in longer.batch_growth)]
    if longer.finetune_steps:
        starts.append(longer.steps)
    seconds = 0.0
    for start, end in zip(starts, [*starts[1:], longer.total_steps], strict=True):
        seconds += _seconds_per_step(longer, start, device) * (end - start)
    scale = minutes * 60 / seconds
    return dataclasses.replace(
        settings, steps=max(1, round(longer.steps * scale)), finetune_steps=round(longer.finetune_steps * scale)
    )


def _seconds_per_step(settings: PretrainingSettings, start: int, device: str) -> float:
    """Time the steps of the phase that begins with step `start`."""
    training = Pretraining(settings, device)
    training.step = start
    training.advance(TIMED_STEPS)
    begin = time.perf_counter()
    training.advance(TIMED_STEPS)
    float(training.train_loss)  # waits for a GPU
    return (time.perf_counter() - begin) / TIMED_STEPS
