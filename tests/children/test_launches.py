"""How many operations a training step takes on a device where each of them costs the host its time."""

import numpy as np
import pytest
import torch
from torch import nn

from nases_env import search_spaces
from nases_env.children import build
from nases_env.children.presets import resolve
from nases_env.search_spaces import MacroArchitecture
from tests.children import launches


def step(architecture):
    """What a step of the architecture's child takes under v1's protocol, and its normalisations and convolutions."""
    model = build.skeleton(architecture, resolve("v1-search"), 3, 10, device="meta")
    images = torch.empty(128, 3, 32, 32, device="meta").contiguous(memory_format=torch.channels_last)
    norms, convolutions = (
        sum(isinstance(module, kind) for module in model.modules()) for kind in (nn.BatchNorm2d, nn.Conv2d)
    )
    return launches.of_a_step(model, images), norms, convolutions


def random(space, number):
    space = search_spaces.make(space)
    return space.architecture(space.discretise(space.sample(np.random.default_rng(0), number + 1))[number])


@pytest.mark.parametrize(
    ("architecture", "most"),
    [
        pytest.param(MacroArchitecture.published(), 580, id="published"),
        pytest.param(random("macro", 0), 250, id="random 0"),
        pytest.param(random("macro", 1), 265, id="random 1"),
        pytest.param(random("macro", 2), 255, id="random 2"),
    ],
)
def test_a_step_takes_no_more_operations_than_it_needs(architecture, most):
    counted, norms, convolutions = step(architecture)
    assert counted["convolution"] == counted["convolution_backward"] == convolutions
    assert counted["native_batch_norm"] == counted["native_batch_norm_backward"] == norms
    assert counted.total() <= most, counted.most_common()


@pytest.mark.parametrize("architecture", [MacroArchitecture.published(), random("micro", 0)], ids=["macro", "micro"])
def test_no_batches_are_counted_and_no_pixels_cut_out_in_a_step(architecture):
    counted, _, _ = step(architecture)
    assert not counted.keys() & {"add_", "slice_backward"}
