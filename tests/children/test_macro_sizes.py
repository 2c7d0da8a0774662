"""Sizes by arithmetic are those of the child that is built."""

import dataclasses

import numpy as np
import pytest

from nases_env.children import build
from nases_env.children.macro_sizes import MacroSizes
from nases_env.children.padding import count_parameters
from nases_env.children.presets import PRESETS
from nases_env.search_spaces import MacroSpace

SPACE = MacroSpace()


@pytest.mark.parametrize(
    ("preset", "changes", "image"),
    [
        ("digits", {}, (8, 1, 10)),
        ("v1-search", {}, (32, 3, 10)),
        ("cifar10-mini", {"channel_multiple": 8}, (16, 3, 7)),
        ("digits-final", {"added_filters": 20, "width": 0.3, "width_multiple": 4}, (9, 2, 3)),
        ("digits", {"reductions": (4, 9, 15)}, (7, 1, 4)),
    ],
)
def test_fifty_networks_have_the_sizes_of_their_children(preset, changes, image):
    protocol, (side, channels, classes) = dataclasses.replace(PRESETS[preset], **changes), image
    rows = SPACE.discretise(SPACE.sample(np.random.default_rng(1), 50))
    sizes = MacroSizes(SPACE, protocol, side, channels, classes)
    layout = sizes.layout(rows)
    parameters, flops = sizes.totals(layout, sizes.weights(layout))
    children = [build.skeleton(SPACE.architecture(row), protocol, channels, classes, device="meta") for row in rows]
    assert parameters.tolist() == [count_parameters(child) for child in children]
    assert flops.tolist() == [child.flops(side) for child in children]
    assert parameters.dtype == flops.dtype == np.int64
