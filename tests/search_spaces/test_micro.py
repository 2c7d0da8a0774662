"""v3's micro space: bins, what a key holds, and the way back from an architecture to a vector."""

import itertools
import json

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from nases_env import search_spaces
from nases_env.search_spaces import MacroSpace, MicroArchitecture, MicroSpace
from nases_env.search_spaces.micro import NODES, OPERATIONS, input_name, outputs

SPACE = MicroSpace()
few = settings(max_examples=40, deadline=None, database=None, suppress_health_check=[HealthCheck.filter_too_much])
edges_and_between = st.one_of(st.floats(0, 30, width=32), st.sampled_from([float(x) for x in range(31)]))
vectors = arrays(np.float64, 40, elements=edges_and_between)


def build(origin):
    return SPACE.architecture(SPACE.discretise(np.asarray(origin).reshape(1, -1))[0])


def from_choices(cell, other=None):
    """The architecture of cells as lists of nodes (input, operation, input, operation)."""
    row = np.array([cell, other or cell]).reshape(-1)
    return SPACE.architecture(row)


CHAIN = [(i + 1, 1, 0, 0) for i in range(NODES)]
"""Every node reads the one before it."""


def test_numbers_are_cut_into_equal_bins():
    names = [dimension.name for dimension in SPACE.dimensions[:4]]
    assert names == ["first_input", "first_operation", "second_input", "second_operation"]
    assert len(SPACE.dimensions) == SPACE.origin_size == 40
    for index, dimension in enumerate(SPACE.dimensions):
        node = index // 4 % NODES
        bins = 5 if "operation" in dimension.name else 2 + node
        np.testing.assert_allclose(np.diff(dimension.edges), 30 / bins)
        assert len(dimension.labels) == bins
    assert [dimension.layer for dimension in SPACE.dimensions[::4]] == list(range(1, 11))


@pytest.mark.parametrize(
    ("value", "operation"), [(0, 0), (6, 0), (6.001, 1), (12, 1), (18, 2), (24, 3), (24.1, 4), (30, 4)]
)
def test_a_number_on_an_edge_belongs_to_the_lower_bin(value, operation):
    origin = np.full(40, 1.0)
    origin[1] = value
    found = {edge.operation for node in build(origin).normal for edge in node}
    assert found == {OPERATIONS[0], OPERATIONS[operation]}


def test_the_first_node_reads_the_cells_before_and_the_last_one_any_node():
    origin = np.full(40, 30.0)
    cell = build(origin).normal
    assert {edge.input for edge in cell[0]} == {1}
    assert {edge.input for edge in cell[4]} == {5}
    assert [input_name(i) for i in range(4)] == ["cell-2", "cell-1", "node1", "node2"]


@few
@given(vectors)
def test_what_a_cell_gives_is_what_no_node_reads_and_no_node_is_dead(origin):
    for cell in (build(origin).normal, build(origin).reduction):
        reached = set(outputs(cell))
        assert NODES - 1 in reached
        for node in reversed(range(NODES)):
            if node in reached:
                reached |= {edge.input - 2 for edge in cell[node]}
        assert set(range(NODES)) <= reached


@few
@given(vectors, st.integers(0, 9))
def test_the_order_of_a_nodes_two_halves_does_not_matter(origin, node):
    exchanged = origin.copy().reshape(10, 2, 2)
    exchanged[node] = exchanged[node, ::-1]
    # Both halves of a node have the same bins.
    assert build(exchanged).key == build(origin).key


@few
@given(vectors, st.permutations(range(NODES)))
def test_the_numbers_of_the_nodes_do_not_matter(origin, places):
    architecture = build(origin)
    moved = {2 + old: 2 + new for old, new in enumerate(places)}
    nodes = [None] * NODES
    for old, new in enumerate(places):
        nodes[new] = [(moved.get(edge.input, edge.input), edge.operation) for edge in architecture.normal[old]]
    assume(all(source < 2 + new for new, node in enumerate(nodes) for source, _ in node))  # no node reads a later one
    cells = {"space": "micro", "normal": nodes, "reduction": architecture.reduction}
    assert MicroArchitecture.from_json(json.dumps(cells)) == architecture


def test_twice_the_same_node_is_not_one_node_read_twice():
    twins = [(0, 1, 1, 1), (0, 1, 1, 1), (0, 0, 1, 0), (0, 0, 2, 0), (0, 0, 3, 0)]
    shared = [(0, 1, 1, 1), (0, 1, 1, 1), (0, 0, 1, 0), (0, 0, 2, 0), (0, 0, 2, 0)]
    assert from_choices(twins).key != from_choices(shared).key


def test_what_makes_another_network_makes_another_key():
    keys = {from_choices(CHAIN).key}
    for node, place in itertools.product(range(NODES), range(4)):
        cell = [list(each) for each in CHAIN]
        cell[node][place] = cell[node][place] + 1 if place % 2 else max(0, cell[node][place] - 1)
        if cell[node] != list(CHAIN[node]):
            keys.add(from_choices(cell).key)
    changed = sum(list(each) != [0, 0, 0, 0] for each in CHAIN) * 3  # every place but the second input, 0 already
    assert len(keys) == 1 + changed


def test_the_cells_are_told_apart():
    other = [(0, 2, 0, 2)] * NODES
    assert from_choices(CHAIN, other).key != from_choices(other, CHAIN).key


@few
@given(vectors, vectors)
def test_rows_architectures_and_keys_are_equal_together(first, second):
    rows = SPACE.discretise(np.stack([first, second]))
    one, other = (SPACE.architecture(row) for row in rows)
    assert np.array_equal(*rows) == (one == other) == (one.key == other.key)


@few
@given(vectors)
def test_json_rows_and_vectors_bring_the_same_architecture_back(origin):
    architecture = build(origin)
    assert SPACE.from_json(architecture.to_json()) == architecture
    assert search_spaces.from_json(architecture.to_json()) == architecture
    assert SPACE.architecture(SPACE.row(architecture)) == architecture
    assert build(SPACE.origin_of(architecture)) == architecture


def test_rows_are_described_as_their_architectures_are():
    rows = SPACE.discretise(SPACE.sample(np.random.default_rng(0), 50))
    architectures = [SPACE.architecture(row) for row in rows]
    assert SPACE.describe(rows) == ([str(a) for a in architectures], [a.key for a in architectures])


def test_a_vectors_row_does_not_depend_on_the_others():
    origins = SPACE.sample(np.random.default_rng(0), 50)
    rows = SPACE.discretise(origins)
    for origin, row in zip(origins, rows, strict=True):
        np.testing.assert_array_equal(SPACE.discretise(origin[None])[0], row)
    assert SPACE.discretise(np.empty((0, 40))).shape == (0, 40)
    many = np.tile(origins, (50, 1))  # more than are in memory together
    np.testing.assert_array_equal(SPACE.discretise(many), np.tile(rows, (50, 1)))


def test_text_names_every_nodes_halves():
    text = str(from_choices(CHAIN))
    assert text.startswith("normal: identity(cell-2) + separable_3x3(cell-1), ")
    assert "identity(cell-2) + separable_3x3(node4); reduction: " in text


def test_decisions_are_the_columns_of_a_row():
    row = SPACE.row(from_choices(CHAIN))[None]
    decisions = SPACE.decisions(row)
    assert {name: values.shape for name, values in decisions.items()} == {"input": (1, 20), "operation": (1, 20)}
    assert decisions["operation"].max() == 1


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"space": "macro"}, "its space is 'macro'"),
        ({"normal": []}, "0 nodes instead of 5"),
        ({"normal": [[[2, "identity"], [0, "identity"]]] * 5}, "node 1 reads input 2 of 0 to 1"),
        ({"normal": [[[0, "pool"], [0, "identity"]]] * 5}, "no operation 'pool'; there are identity"),
        ({"reduction": None}, "nodes are None, not a list"),
    ],
)
def test_text_that_is_no_architecture_is_refused(change, words):
    fields = json.loads(from_choices(CHAIN).to_json()) | change
    with pytest.raises(ValueError, match=words):
        SPACE.from_json(json.dumps(fields))


def test_architectures_of_the_other_space_are_refused():
    macro = MacroSpace()
    other = macro.architecture(macro.discretise(macro.sample(np.random.default_rng(0), 1))[0])
    with pytest.raises(ValueError, match="expected a micro architecture"):
        SPACE.row(other)
    with pytest.raises(ValueError, match="its space is 'macro'"):
        SPACE.from_json(other.to_json())


def test_make_knows_both_spaces_and_the_rules_that_they_have():
    assert search_spaces.make("micro").origin_size == 40
    with pytest.raises(ValueError, match="micro space has no rules 'published'"):
        search_spaces.make("micro", "published")
    with pytest.raises(ValueError, match=r"no search space 'nano'.*macro.*micro"):
        search_spaces.make("nano")
