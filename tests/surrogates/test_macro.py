"""Features of macro architectures: exact sizes, and what a share and an influence are."""

from dataclasses import replace

import numpy as np
import pytest

from nases_env.children import build
from nases_env.children.macro_sizes import MacroSizes
from nases_env.children.padding import count_parameters
from nases_env.children.presets import PRESETS
from nases_env.search_spaces.macro import LAYERS
from nases_env.surrogates.features import ImageShape
from nases_env.surrogates.macro import DECAYS, MacroFeatures

DIGITS = ImageShape(8, 1, 10)


def chain(space, filters=10, operation=10.0, size=5.0):
    """A row of 15 layers alike that read their predecessors only."""
    origin = np.tile([filters / 10, size, operation, 0.0], (LAYERS, 1))
    origin[:, 3] = np.arange(LAYERS) % 8 * 4  # links need another layer within 3
    row = space.discretise(origin.reshape(1, -1))[0]
    row[3 * LAYERS :] = 0
    return row


@pytest.mark.parametrize(
    ("preset", "images"),
    [
        ("digits", DIGITS),
        ("cifar10-mini", ImageShape(16, 3, 10)),
        ("v1-search", ImageShape(32, 3, 7)),
        ("digits", ImageShape(7, 1, 4)),
    ],
)
def test_sizes_are_exactly_those_of_the_built_children(preset, images, space, rows):
    protocol = replace(PRESETS[preset], reductions=(4, 9, 15)) if images.side == 7 else PRESETS[preset]
    _, parameters, flops = MacroFeatures(space, protocol, images)(rows[:40])
    for row, counted, operations in zip(rows, parameters, flops, strict=False):
        skeleton = build.skeleton(space.architecture(row), protocol, images.channels, images.classes, device="meta")
        assert (counted, operations) == (count_parameters(skeleton), skeleton.flops(images.side))


def test_a_rows_features_do_not_depend_on_the_others(space, protocol, rows):
    features = MacroFeatures(space, protocol, DIGITS)
    together = features(rows)
    for piece in (slice(0, 1), slice(7, 9), slice(100, 230)):
        for one, all_of_them in zip(features(rows[piece]), together, strict=True):
            np.testing.assert_array_equal(one, all_of_them[piece])


def test_features_are_finite_numbers(space, protocol, rows):
    make = MacroFeatures(space, protocol, DIGITS)
    features, *_ = make(rows)
    assert features.shape == (len(rows), make.count)
    assert features.dtype == np.float64 and np.isfinite(features).all()


def test_in_a_chain_every_layer_weakens_the_one_signal(protocol, space):
    groups = _groups(space, protocol, chain(space))
    np.testing.assert_allclose(groups["signal"][0], DECAYS[0] ** np.arange(1, LAYERS + 1))
    np.testing.assert_array_equal(groups["direct"][0], np.eye(LAYERS)[-1])
    np.testing.assert_array_equal(groups["log_narrowing"][0], [np.log(8), *[0] * (LAYERS - 1)])


def test_in_a_chain_every_layer_has_all_influence(protocol, space):
    influential = _groups(space, protocol, chain(space))["width, operations"].reshape(3, 13)[:, 5:9]
    np.testing.assert_allclose(influential, np.tile([0, 5, 0, 0], (3, 1)))  # five convolutions a stage


def test_a_link_to_the_classifier_halves_the_last_layers_share(protocol, space):
    row = chain(space)
    row[3 * LAYERS + _pair(2, 15)] = 1
    groups = _groups(space, protocol, row)
    np.testing.assert_allclose(groups["direct"][0, [1, 14]], [0.5, 0.5])
    assert groups["classifier_signals"][0, 0] == pytest.approx((DECAYS[0] ** 2 + DECAYS[0] ** 15) / 2)
    assert list(groups["totals"][0, 3:]) == [1, 1]  # links, links to the classifier


def _pair(early, late):
    from nases_env.search_spaces.macro import PAIRS

    return PAIRS.index((early - 1, late - 1))


def _groups(space, protocol, row):
    sizes = MacroSizes(space, protocol, *DIGITS)
    layout = sizes.layout(row[None])
    return MacroFeatures(space, protocol, DIGITS)._groups(layout, sizes.weights(layout))
