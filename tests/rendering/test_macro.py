from __future__ import annotations

import dataclasses
import re
import subprocess
import sys

import numpy as np
import pytest

from nases_env import rendering
from nases_env.search_spaces.macro import MacroArchitecture, MacroLayer, MacroSpace


def random_architecture(seed: int, rules: str = "paper") -> MacroArchitecture:
    space = MacroSpace(rules)
    return space.architecture(space.discretise(space.sample(np.random.default_rng(seed), 1))[0])


def rows(architecture: MacroArchitecture) -> list[list[str]]:
    """Number, operation, size, filters and links of each layer, as they stand in the table."""
    lines = rendering.table(architecture).splitlines()[2:]
    return [re.split(r" {2,}", line.strip()) for line in lines]


@pytest.fixture(scope="module")
def published() -> MacroArchitecture:
    return MacroArchitecture.published()


@pytest.fixture(scope="module")
def published_picture(published) -> np.ndarray:
    return rendering.picture(published)


@pytest.mark.parametrize("seed", range(3))
def test_table_has_operation_size_and_filters_of_every_layer(seed):
    names = {
        "separable": "separable conv",
        "convolution": "convolution",
        "max_pool": "max pool",
        "average_pool": "average pool",
    }
    architecture = random_architecture(seed)
    expected = [
        [str(number), names[layer.operation], f"{layer.size}x{layer.size}", str(layer.filters)]
        for number, layer in enumerate(architecture.layers, start=1)
    ]
    assert [row[:4] for row in rows(architecture)] == expected


def test_table_lists_links_at_the_layer_they_lead_to():
    architecture = dataclasses.replace(random_architecture(0), links=((1, 5), (2, 5), (4, 5), (14, 15)))
    expected = ["-"] * 15
    expected[4], expected[14] = "1, 2, 4", "14"
    assert [row[4] for row in rows(architecture)] == expected


def test_table_opens_with_space_rules_key_and_number_of_links(published):
    headline = rendering.table(published).splitlines()[0]
    assert headline == f"macro space, published rules, key {published.key}, 57 links"


def test_published_table_shows_pools_that_halve_and_keep_channels(published):
    pools = [row[:4] for row in rows(published) if row[1] == "max pool"]
    assert pools == [["7", "max pool", "2x2 /2", "-"], ["12", "max pool", "2x2 /2", "-"]]


def test_picture_is_colour_image_that_is_not_blank(published_picture):
    assert published_picture.dtype == np.uint8
    assert published_picture.shape == (700, 1500, 3)
    assert len(np.unique(published_picture.reshape(-1, 3), axis=0)) > 100


def test_nothing_touches_the_border_of_the_picture(published_picture):
    inner = published_picture[8:-8, 8:-8]
    assert (published_picture == 255).sum() - (inner == 255).sum() == published_picture.size - inner.size


def test_same_architecture_gives_same_pixels(published_picture):
    np.testing.assert_array_equal(rendering.picture(MacroArchitecture.published()), published_picture)


BOXES = slice(700 - 295, 700 - 145)
"""Rows of the boxes, which are between the links and the numbers of the layers."""


def columns(index: int) -> slice:
    """Columns of the box of layer `index`, 0-based, edges included."""
    centre = 135 + 85 * index
    return slice(centre - 28, centre + 28)


@pytest.mark.parametrize("change", [{"operation": "convolution"}, {"size": 7}, {"filters": 10}])
def test_another_layer_changes_its_own_box_and_nothing_else(change):
    architecture = dataclasses.replace(random_architecture(0), links=())
    layer = MacroLayer("average_pool", 3, 300)
    layers = [(*architecture.layers[:6], each, *architecture.layers[7:]) for each in (layer, layer._replace(**change))]
    first, second = (rendering.picture(dataclasses.replace(architecture, layers=each)) for each in layers)
    changed = (first != second).any(axis=2)[50:]  # below the headline, which names the key
    assert changed[BOXES.start - 50 : BOXES.stop - 50, columns(6)].any()
    changed[BOXES.start - 50 : BOXES.stop - 50, columns(6)] = False
    assert not changed.any()


@pytest.mark.parametrize(
    ("operation", "colour"),
    [
        ("separable", (0x7C, 0xC8, 0xA4)),
        ("convolution", (0x8D, 0xB8, 0xEC)),
        ("max_pool", (0xF2, 0xA3, 0x7E)),
        ("average_pool", (0xC9, 0xAE, 0xE6)),
    ],
)
@pytest.mark.parametrize("filters", [30, 150, 300])
def test_a_box_is_filled_with_its_operations_colour_as_high_as_it_has_filters(operation, colour, filters):
    architecture = random_architecture(0)
    layers = (*architecture.layers[:6], MacroLayer(operation, 3, filters), *architecture.layers[7:])
    picture = rendering.picture(dataclasses.replace(architecture, layers=layers))
    beside_the_text = picture[BOXES, columns(6).start + 5]
    filled = (beside_the_text == colour).all(axis=1)
    assert filled.sum() == pytest.approx(150 * filters / 300, abs=4)
    assert filled[-140 * filters // 300 : -3].all()  # from below


def test_one_link_more_is_an_arc_from_its_layer_to_the_gap_that_it_leads_to():
    architecture = dataclasses.replace(random_architecture(0), links=())
    linked = dataclasses.replace(architecture, links=((3, 9),))
    headroom = slice(50, 400)  # between the headline, which names the key, and the boxes
    assert (rendering.picture(architecture)[headroom] == 255).all()
    picture = rendering.picture(linked)[headroom]
    inked = np.flatnonzero((picture != 255).any(axis=(0, 2)))
    assert (inked[0], inked[-1]) == (pytest.approx(135 + 85 * 2, abs=3), pytest.approx(135 + 85 * 8.5, abs=5))
    assert (np.diff(inked) == 1).all()
    assert (picture == (0x2F, 0x9E, 0x3A)).all(axis=2).any()  # the colour of layer 3


@pytest.mark.parametrize("render", [rendering.table, rendering.picture])
def test_something_else_is_a_type_error(render):
    with pytest.raises(TypeError, match="of type str; expected one of MacroArchitecture"):
        render("convolution 3x3 10")


def test_rendering_imports_no_torch_and_no_pyplot():
    program = (
        "import sys; from nases_env import rendering; assert 'matplotlib' not in sys.modules;"
        "from nases_env.search_spaces.macro import MacroArchitecture;"
        "published = MacroArchitecture.published(); rendering.table(published); rendering.picture(published);"
        "assert not {'torch', 'torchvision', 'matplotlib.pyplot'} & sys.modules.keys()"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)
