"""Features of micro architectures: exact sizes, and what a share, an influence and an untrained output are."""

import numpy as np
import pytest

from nases_env.children import build
from nases_env.children.padding import count_parameters
from nases_env.children.presets import PRESETS
from nases_env.search_spaces import MicroSpace
from nases_env.search_spaces.micro import OPERATIONS
from nases_env.surrogates.features import ImageShape
from nases_env.surrogates.micro import DECAYS, MicroFeatures

SPACE, PROTOCOL, DIGITS = MicroSpace(), PRESETS["digits-micro"], ImageShape(8, 1, 10)
FEATURES = MicroFeatures(SPACE, PROTOCOL, DIGITS)
IDENTITY, SEPARABLE, _, AVERAGE, MAX = range(len(OPERATIONS))


@pytest.fixture(scope="module")
def micro_rows():
    """300 uniform networks."""
    return SPACE.discretise(SPACE.sample(np.random.default_rng(0), 300))


def twice(*nodes):
    """A row whose two cells both have these nodes, (input, operation, input, operation) each."""
    return np.array([nodes, nodes]).reshape(1, -1)


def chain(operation):
    """Cells whose nodes read the one before twice; the first one reads the last cell."""
    return twice(*((source, operation) * 2 for source in (1, 2, 3, 4, 5)))


def side_by_side(operation):
    """Cells whose five nodes all read both cells before."""
    return twice(*[(0, operation, 1, operation)] * 5)


def groups(row):
    return FEATURES._groups(FEATURES._sizes.layout(row))


@pytest.mark.parametrize(("preset", "images"), [("digits-micro", DIGITS), ("v3-search", ImageShape(31, 3, 7))])
def test_sizes_are_exactly_those_of_the_built_children(preset, images, micro_rows):
    _, parameters, flops = MicroFeatures(SPACE, PRESETS[preset], images)(micro_rows[:10])
    for row, counted, operations in zip(micro_rows, parameters, flops, strict=False):
        child = build.skeleton(SPACE.architecture(row), PRESETS[preset], images.channels, images.classes, device="meta")
        assert (counted, operations) == (count_parameters(child), child.flops(images.side))


def test_a_rows_features_do_not_depend_on_the_others(micro_rows):
    together = FEATURES(micro_rows)
    for piece in (slice(0, 1), slice(7, 9), slice(100, 230)):
        for one, all_of_them in zip(FEATURES(micro_rows[piece]), together, strict=True):
            np.testing.assert_array_equal(one, all_of_them[piece])


def test_features_are_finite_numbers(micro_rows):
    extremes = np.concatenate([make(operation) for make in (chain, side_by_side) for operation in range(5)])
    features, *_ = FEATURES(np.concatenate([micro_rows, extremes]))
    assert features.shape == (len(micro_rows) + 10, FEATURES.count)
    assert features.dtype == np.float64 and np.isfinite(features).all()


def test_rows_are_those_of_their_architectures(micro_rows):
    again = np.stack([SPACE.row(SPACE.architecture(row)) for row in micro_rows])
    np.testing.assert_array_equal(FEATURES(again)[0], FEATURES(micro_rows)[0])


def test_choices_are_one_hot(micro_rows):
    choices = FEATURES.choices(micro_rows)
    assert choices.shape == (len(micro_rows), SPACE.bins().sum()) and set(np.unique(choices)) == {0, 1}
    assert (choices.sum(axis=1) == SPACE.origin_size).all()


@pytest.mark.parametrize("make", [chain, side_by_side])
@pytest.mark.parametrize("operation", range(len(OPERATIONS)))
def test_influence_is_shared_out_whole(make, operation):
    influence = groups(make(operation))["influence of operations by what they read"].reshape(2, 3, 5)
    assert influence.sum(axis=1)[:, operation].tolist() == pytest.approx([1 if make is side_by_side else 5] * 2)
    assert np.delete(influence, operation, axis=2).sum() == 0


def test_in_a_chain_the_last_node_is_all_a_cell_gives():
    found = groups(chain(SEPARABLE))
    np.testing.assert_array_equal(found["ends"][0], [[1, 0]] * 2)
    np.testing.assert_allclose(found["influence of nodes"][0], np.ones((2, 5)))
    np.testing.assert_array_equal(found["operations"][0], [[0, 10, 0, 0, 0]] * 2)


def test_side_by_side_all_nodes_are_what_a_cell_gives():
    found = groups(side_by_side(SEPARABLE))
    np.testing.assert_allclose(found["ends"][0], [[5, np.log(5)]] * 2)
    np.testing.assert_allclose(found["influence of nodes"][0], np.full((2, 5), 0.2))


def test_every_operation_on_the_way_weakens_the_one_signal():
    signals = groups(chain(SEPARABLE))["classifier_signals"][0]
    np.testing.assert_allclose(signals[:4], DECAYS[0] ** np.array([25, 0, 25, 0]))  # five cells of five nodes
    two_before = groups(side_by_side(SEPARABLE))["classifier_signals"][0, 0]
    a, path = DECAYS[0], [1, 1]
    for _ in range(5):
        path.append(a * (path[-1] + path[-2]) / 2)
    assert two_before == pytest.approx(path[-1])


def test_more_influence_is_with_what_varies_more():
    """Node 2 adds up node 1, whose variance is twice an input's, and an input."""
    row = side_by_side(IDENTITY)
    row.reshape(2, 5, 2, 2)[:, 1, 1, 0] = 2
    nodes = groups(row)["influence of nodes"][0]
    assert (nodes[:, 1] > nodes[:, 2]).all() and nodes[0, 2] == nodes[0, 3]
