"""Sizes by arithmetic are those of the child that is built."""

import dataclasses

import numpy as np
import pytest

from nases_env.children import build
from nases_env.children.micro_sizes import MicroSizes, cell_order
from nases_env.children.padding import count_parameters
from nases_env.children.presets import PRESETS
from nases_env.search_spaces import MicroSpace

SPACE = MicroSpace()


@pytest.mark.parametrize(
    ("preset", "changes", "image"),
    [
        ("digits-micro", {}, (8, 1, 10)),
        ("v3-search", {}, (32, 3, 10)),
        ("v3-final", {"stage_cells": 2}, (32, 3, 10)),
        ("digits-micro-final", {"added_filters": 20, "width": 0.3, "width_multiple": 4}, (9, 2, 3)),
        ("digits-micro", {"stage_cells": 3, "channel_multiple": 1}, (7, 1, 4)),
    ],
)
def test_networks_have_the_sizes_of_their_children(preset, changes, image):
    protocol, (side, channels, classes) = dataclasses.replace(PRESETS[preset], **changes), image
    rows = SPACE.discretise(SPACE.sample(np.random.default_rng(1), 25))
    sizes = MicroSizes(SPACE, protocol, side, channels, classes)
    parameters, flops = sizes.totals(sizes.layout(rows))
    children = [build.skeleton(SPACE.architecture(row), protocol, channels, classes, device="meta") for row in rows]
    assert parameters.tolist() == [count_parameters(child) for child in children]
    assert flops.tolist() == [child.flops(side) for child in children]
    assert parameters.dtype == flops.dtype == np.int64
    reduces = [cell.reduces for cell in children[0].cells]
    assert reduces == [bool(cell) for cell in cell_order(protocol)]


def test_a_cell_gives_the_nodes_that_no_node_reads():
    (row,) = SPACE.discretise(np.zeros((1, SPACE.origin_size)))  # five nodes that each read the cell before the last
    row.reshape(2, 5, 2, 2)[1, 1:, 0, 0] = [2, 3, 4, 5]  # the reduction cell is a chain
    layout = MicroSizes(SPACE, PRESETS["digits-micro"], 8, 1, 10).layout(row[None])
    np.testing.assert_array_equal(layout.ends[0], [[True] * 5, [False] * 4 + [True]])
