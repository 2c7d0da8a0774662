from __future__ import annotations

import dataclasses
import re
import subprocess
import sys

import numpy as np
import pytest

from nases_env import rendering
from nases_env.search_spaces.macro import MacroArchitecture, MacroSpace


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


def test_different_architectures_give_different_pixels():
    first, second = (rendering.picture(random_architecture(seed)) for seed in (0, 1))
    assert (first != second).any()


def test_one_link_more_changes_the_picture():
    architecture = dataclasses.replace(random_architecture(0), links=())
    linked = dataclasses.replace(architecture, links=((3, 9),))
    headroom = slice(50, 400)  # between the headline, which names the key, and the boxes
    assert (rendering.picture(architecture)[headroom] == 255).all()
    assert (rendering.picture(linked)[headroom] != 255).any()


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
