from __future__ import annotations

import numpy as np
import pytest

from nases_env import rendering
from nases_env.search_spaces import MicroArchitecture, MicroSpace
from nases_env.search_spaces.micro import outputs

SPACE = MicroSpace()


COLOURS = {
    "identity": (0x88, 0x88, 0x88),
    "separable_3x3": (0x2F, 0x9E, 0x3A),
    "separable_5x5": (0x1C, 0x5F, 0xC0),
    "average_pool_3x3": (0x91, 0x1E, 0xB4),
    "max_pool_3x3": (0xE8, 0x59, 0x0C),
}


def inked(pixels: np.ndarray, operation: str) -> int:
    """Pixels in the colour of an operation's arrows."""
    return int((pixels == COLOURS[operation]).all(axis=2).sum())


def architectures(count: int) -> list[MicroArchitecture]:
    return [SPACE.architecture(row) for row in SPACE.discretise(SPACE.sample(np.random.default_rng(0), count))]


def test_the_table_has_every_nodes_halves_and_what_a_cell_gives():
    (architecture,) = architectures(1)
    lines = rendering.table(architecture).splitlines()
    assert lines[0] == f"micro space, key {architecture.key}"
    for start, cell in ((2, architecture.normal), (10, architecture.reduction)):
        assert lines[start].endswith(" cell") and lines[start + 1].split() == ["node", "first", "second", "given"]
        for index, node in enumerate(cell):
            line = lines[start + 2 + index]
            assert line.split()[0] == str(index + 1)
            for edge in node:
                assert edge.operation.replace("_", " ") in line
            assert line.endswith("yes" if index in outputs(cell) else "-")


def test_the_picture_is_reproducible_and_tells_architectures_apart():
    first, second = architectures(2)
    picture = rendering.picture(first)
    assert (picture.shape, picture.dtype) == ((700, 1500, 3), np.uint8)
    np.testing.assert_array_equal(rendering.picture(first), picture)
    cells = slice(80, 560)  # without the headline, which names the key
    assert (rendering.picture(second)[cells] != picture[cells]).any(axis=2).mean() > 0.01
    assert (picture[:8] == 255).all() and (picture[-8:] == 255).all()


@pytest.mark.parametrize("half", [0, 1])
def test_another_operation_changes_the_picture_of_its_cell_alone(half):
    row = SPACE.row(architectures(1)[0])
    other = row.copy()
    other[20 * half + 17] = (other[20 * half + 17] + 1) % 5  # of the last node, which keeps its place
    first, second = (rendering.picture(SPACE.architecture(each))[80:560] for each in (row, other))
    changed = (first != second).any(axis=(0, 2))
    old, new = (list(COLOURS)[each[20 * half + 17]] for each in (row, other))
    assert inked(first, old) > inked(second, old) and inked(first, new) < inked(second, new)
    assert changed[750 * half : 750 * (half + 1)].any()
    assert not changed[750 * (1 - half) : 750 * (2 - half)].any()
