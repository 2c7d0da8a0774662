"""v1's macro space: every threshold, what a key holds, and the way back from an architecture to a vector."""

import hashlib
import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from nases_env import search_spaces
from nases_env.search_spaces import MacroArchitecture, MacroLayer, MacroSpace
from nases_env.search_spaces.macro import OPERATIONS, PAIRS

RULES = ("paper", "published")
FIELD = {"filters": 0, "filter_size": 1, "kernel_type": 2, "coefficient": 3}
few = settings(max_examples=40, deadline=None, database=None)

numbers = st.floats(0, 30, width=32)
# Distances of exactly 3 or 4 and values on thresholds are where a comparison goes wrong.
tricky = st.one_of(numbers, st.sampled_from([float(x) for x in range(31)]), st.just(np.nextafter(3.0, 4.0)))
vectors = arrays(np.float64, 60, elements=tricky)


def build(rules, origin):
    space = MacroSpace(rules)
    return space.architecture(space.discretise(np.asarray(origin).reshape(1, -1))[0])


def vector(layers=(), **everywhere):
    """All numbers 12 unless `everywhere` or, per 1-based layer, `layers` says otherwise."""
    origin = np.full((15, 4), 12.0)
    for field, value in everywhere.items():
        origin[:, FIELD[field]] = value
    for layer, fields in dict(layers).items():
        for field, value in fields.items():
            origin[layer - 1, FIELD[field]] = value
    return origin


def fifth_layer(rules, **fields):
    return build(rules, vector({5: fields})).layers[4]


def above(value, dtype=np.float64):
    return float(np.nextafter(dtype(value), dtype(np.inf)))


TYPE_BOUNDARIES = {"paper": (7, 15, 22), "published": (4, 19, 24)}
SIZE_BOUNDARIES = {"paper": (10, 20), "published": (14,)}
SIZES = {"paper": (3, 5, 7), "published": (3, 5)}


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("rules", RULES)
def test_kernel_type_changes_just_above_each_threshold(rules, dtype):
    for below, threshold in enumerate(TYPE_BOUNDARIES[rules]):
        assert fifth_layer(rules, kernel_type=threshold).operation == OPERATIONS[below]
        assert fifth_layer(rules, kernel_type=above(threshold, dtype)).operation == OPERATIONS[below + 1]


@pytest.mark.parametrize("rules", RULES)
def test_kernel_type_order_is_that_of_the_appendix(rules):
    first, second, third = TYPE_BOUNDARIES[rules]
    values = (0, first, above(first), second, above(second), third, above(third), 30)
    names = [fifth_layer(rules, kernel_type=value).operation for value in values]
    expected = ["separable", "convolution", "max_pool", "average_pool"]
    assert names == [name for name in expected for _ in range(2)]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("rules", RULES)
def test_filter_size_changes_just_above_each_threshold(rules, dtype):
    for below, threshold in enumerate(SIZE_BOUNDARIES[rules]):
        assert fifth_layer(rules, filter_size=threshold).size == SIZES[rules][below]
        assert fifth_layer(rules, filter_size=above(threshold, dtype)).size == SIZES[rules][below + 1]


@pytest.mark.parametrize("rules", RULES)
def test_filter_size_at_both_ends(rules):
    assert fifth_layer(rules, filter_size=0).size == 3
    assert fifth_layer(rules, filter_size=30).size == SIZES[rules][-1]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("rules", RULES)
def test_filters_are_ten_times_the_number_rounded_up(rules, dtype):
    for whole in (1, 2, 10, 17, 29):
        assert fifth_layer(rules, filters=whole).filters == 10 * whole
        assert fifth_layer(rules, filters=above(whole, dtype)).filters == 10 * (whole + 1)
    assert fifth_layer(rules, filters=30).filters == 300


@pytest.mark.parametrize("rules", RULES)
@pytest.mark.parametrize("value", [0.0, above(0.0), 0.5, 1.0])
def test_a_layer_has_at_least_ten_filters(rules, value):
    assert fifth_layer(rules, filters=value).filters == 10


def linked(rules, early, late):
    """Whether layers 4 and 9 are linked if their coefficients are these and all others are far away."""
    far = 30.0 if max(early, late) <= 20 else 0.0
    origin = vector({4: {"coefficient": early}, 9: {"coefficient": late}}, coefficient=far)
    return (4, 9) in build(rules, origin).links


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("rules", "distance"), [("paper", 3), ("published", 4)])
def test_layers_are_linked_up_to_the_link_distance_and_not_just_above(rules, distance, dtype):
    for base in (0 if rules == "paper" else 1, 10, 16):
        edge = base + distance
        assert linked(rules, base, edge)
        assert linked(rules, edge, base)
        assert not linked(rules, base, above(edge, dtype))
        assert not linked(rules, above(edge, dtype), base)


def test_published_rules_round_coefficients_up_before_they_compare():
    assert linked("published", 9.1, 14.0)  # 10 and 14, though they lie 4.9 apart
    assert not linked("published", 10.0, 14.1)  # 10 and 15, though they lie 4.1 apart
    assert not linked("paper", 9.1, 14.0)


def test_published_rules_raise_numbers_to_at_least_one():
    assert linked("published", 0.0, 5.0)  # 1 and 5
    assert not linked("published", 0.0, 5.5)  # 1 and 6


@pytest.mark.parametrize("rules", RULES)
@pytest.mark.parametrize("value", [0.0, 30.0])
def test_vectors_at_the_ends_of_the_range(rules, value):
    architecture = build(rules, np.full(60, value))
    size, filters = (3, 10) if value == 0 else (SIZES[rules][-1], 300)
    rest = MacroLayer("separable" if value == 0 else "average_pool", size, filters)
    if rules == "published" and value == 30:
        rest = MacroLayer("average_pool", 0, 0)
    assert architecture.layers == (MacroLayer("convolution", size, filters), *[rest] * 14)
    assert len(architecture.links) == 105


@pytest.mark.parametrize("rules", RULES)
def test_links_are_one_based_and_sorted(rules):
    coefficients = {1: 0.0, 15: 1.0, 2: 10.0, 3: 11.0, 8: 12.0}
    others = {layer: 30.0 for layer in range(1, 16) if layer not in coefficients}
    origin = vector({layer: {"coefficient": c} for layer, c in {**others, **coefficients}.items()})
    links = build(rules, origin).links
    assert links[0] == (1, 15)
    assert [link for link in links if 2 in link] == [(2, 3), (2, 8)]
    assert list(links) == sorted(links)
    assert build(rules, origin).sources[7] == (1, 2)  # 0-based: behind layer 8 come layers 2 and 3
    assert build(rules, origin).sources[14][0] == 0


@pytest.mark.parametrize("rules", RULES)
def test_first_layer_is_a_convolution_and_its_type_is_not_in_the_key(rules):
    architectures = [build(rules, vector({1: {"kernel_type": value}})) for value in (0, 7, 12, 20, 30)]
    assert {architecture.layers[0].operation for architecture in architectures} == {"convolution"}
    assert len({architecture.key for architecture in architectures}) == 1
    assert len(set(architectures)) == 1


@pytest.mark.parametrize("rules", RULES)
def test_first_layers_size_and_filters_are_in_the_key_even_if_its_type_is_a_pool(rules):
    fields = ({}, {"filter_size": 30}, {"filters": 30})
    keys = {build(rules, vector({1: {"kernel_type": 30, **field}})).key for field in fields}
    assert len(keys) == 3


@pytest.mark.parametrize("pool", [21, 29])
def test_published_pools_ignore_filters_and_size(pool):
    fields = ({}, {"filter_size": 30}, {"filters": 30}, {"filters": 0})
    architectures = [build("published", vector({6: {"kernel_type": pool, **field}})) for field in fields]
    assert len({architecture.key for architecture in architectures}) == 1
    assert len(set(architectures)) == 1
    assert architectures[0].layers[5][1:] == (0, 0)


@pytest.mark.parametrize("pool", [21, 29])
def test_paper_pools_use_filters_and_size(pool):
    fields = ({}, {"filter_size": 30}, {"filters": 30}, {"filters": 0})
    keys = {build("paper", vector({6: {"kernel_type": pool, **field}})).key for field in fields}
    assert len(keys) == 4


@pytest.mark.parametrize("rules", RULES)
def test_convolutions_use_filters_and_size(rules):
    fields = ({}, {"filter_size": 30}, {"filters": 30}, {"coefficient": 30}, {"kernel_type": 0})
    assert len({build(rules, vector({6: field})).key for field in fields}) == 5


def test_key_is_sixteen_hexadecimal_digits_and_tells_the_rules_apart():
    keys = {build(rules, vector()).key for rules in RULES}
    assert len(keys) == 2
    assert all(len(key) == 16 and set(key) <= set("0123456789abcdef") for key in keys)


@pytest.mark.parametrize("rules", RULES)
@few
@given(origin=vectors, seed=st.integers(0, 2**32 - 1))
def test_vectors_of_the_same_bins_mean_the_same_network(rules, origin, seed):
    # Down to the lower edge of the unit interval (k, k + 1] no threshold but a link is crossed.
    origin = np.ceil(origin)
    inside = origin - np.random.default_rng(seed).uniform(0, 0.999, 60)
    inside[3::4] = origin[3::4]
    inside = np.maximum(inside, 0)
    space = MacroSpace(rules)
    assert np.array_equal(space.discretise(inside[None]), space.discretise(origin[None]))
    assert build(rules, inside) == build(rules, origin)
    assert build(rules, inside).key == build(rules, origin).key


@pytest.mark.parametrize("rules", RULES)
@few
@given(first=vectors, second=vectors)
def test_rows_architectures_and_keys_are_equal_together(rules, first, second):
    rows = MacroSpace(rules).discretise(np.stack([first, second]))
    same = np.array_equal(*rows)
    assert (build(rules, first) == build(rules, second)) == same
    assert (build(rules, first).key == build(rules, second).key) == same


@pytest.mark.parametrize("rules", RULES)
@few
@given(origin=vectors)
def test_json_brings_the_same_architecture_back(rules, origin):
    architecture = build(rules, origin)
    back = MacroSpace(rules).from_json(architecture.to_json())
    assert back == architecture
    assert back.to_json() == architecture.to_json()
    assert back.key == architecture.key


def test_json_has_the_documented_fields():
    architecture = build("paper", vector({2: {"kernel_type": 30}}, filter_size=30, filters=2))
    fields = json.loads(architecture.to_json())
    assert set(fields) == {"space", "rules", "layers", "links"}
    assert (fields["space"], fields["rules"]) == ("macro", "paper")
    assert fields["layers"][:2] == [["convolution", 7, 20], ["average_pool", 7, 20]]
    assert fields["links"][:2] == [[1, 2], [1, 3]]


def test_json_is_made_canonical_when_it_is_read():
    architecture = build("published", vector({3: {"kernel_type": 30}}))
    fields = json.loads(architecture.to_json())
    fields["layers"][2] = ["average_pool", 5, 200]
    fields["layers"][0][0] = "separable"
    fields["links"] = fields["links"][::-1]
    assert MacroArchitecture.from_json(json.dumps(fields, indent=1)) == architecture


def broken(**changes):
    fields = json.loads(build("paper", vector()).to_json())
    for name, change in changes.items():
        fields[name] = change(fields[name])
    return json.dumps(fields)


@pytest.mark.parametrize("rules", ["paper", "published"])
def test_rows_are_described_as_their_architectures_are(rules):
    space = MacroSpace(rules)
    rows = space.discretise(space.sample(np.random.default_rng(0), 200))
    architectures = [space.architecture(row) for row in rows]
    texts, keys = space.describe(rows)
    assert texts == [str(architecture) for architecture in architectures]
    assert keys == [architecture.key for architecture in architectures]
    for row, architecture in zip(rows, architectures, strict=True):
        np.testing.assert_array_equal(space.row(architecture), row)


def test_a_key_is_that_of_the_json():
    """Journals and tables keep keys: they must not change."""
    architecture = MacroArchitecture.published()
    assert architecture.key == hashlib.sha256(architecture.to_json().encode()).hexdigest()[:16]
    fields = {"space": "macro", "rules": "published", "layers": architecture.layers, "links": architecture.links}
    assert architecture.to_json() == json.dumps(fields, separators=(",", ":"))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "null",
        "[]",
        "{}",
        broken(rules=lambda _: "ours"),
        broken(layers=lambda layers: layers[:14]),
        broken(layers=lambda layers: [["identity", 3, 10], *layers[1:]]),
        broken(layers=lambda layers: [["convolution", 4, 10], *layers[1:]]),
        broken(layers=lambda layers: [["convolution", 3, 15], *layers[1:]]),
        broken(layers=lambda layers: [["convolution", 3, 310], *layers[1:]]),
        broken(layers=lambda layers: [["convolution", 3, 0], *layers[1:]]),
        broken(layers=lambda layers: [["convolution", 3], *layers[1:]]),
        broken(links=lambda _: [[2, 1]]),
        broken(links=lambda _: [[1, 16]]),
        broken(links=lambda _: [[1]]),
        broken(links=lambda _: None),
    ],
)
def test_text_that_is_no_architecture_is_refused_with_what_was_expected(text):
    with pytest.raises(ValueError, match=r"not a macro architecture.*expected the JSON of") as error:
        MacroArchitecture.from_json(text)
    assert repr(text)[:40] in str(error.value)


def test_architecture_of_other_rules_is_refused():
    architecture = MacroArchitecture.published()
    with pytest.raises(ValueError, match="'published' rules.*'paper' rules"):
        MacroSpace("paper").from_json(architecture.to_json())
    with pytest.raises(ValueError, match="'paper' rules"):
        MacroSpace("paper").origin_of(architecture)


@pytest.mark.parametrize("rules", RULES)
@settings(max_examples=100, deadline=None, database=None)
@given(origin=vectors)
def test_origin_of_means_the_architecture_it_was_given(rules, origin):
    architecture = build(rules, origin)
    back = MacroSpace(rules).origin_of(architecture)
    assert back.dtype == np.float32
    assert back.shape == (60,)
    assert back.min() >= 0
    assert back.max() <= 30
    assert build(rules, back) == architecture


def test_origin_of_the_published_architecture():
    architecture = MacroArchitecture.published()
    assert build("published", MacroSpace("published").origin_of(architecture)) == architecture


def with_links(rules, links):
    fields = json.loads(build(rules, vector()).to_json())
    return MacroArchitecture.from_json(json.dumps({**fields, "links": links}))


@pytest.mark.parametrize("rules", RULES)
def test_origin_of_refuses_links_that_no_coefficients_give(rules):
    rest = [[early, late] for early in range(5, 16) for late in range(early + 1, 16)]  # one heap elsewhere
    square = [[1, 2], [2, 3], [3, 4], [1, 4]]
    star = [[1, 2], [1, 3], [1, 4]]
    line = [[1, 2], [2, 3], [3, 4]]
    for links in (square, star):
        with pytest.raises(ValueError, match="no connection coefficients give the links"):
            MacroSpace(rules).origin_of(with_links(rules, links + rest))
    MacroSpace(rules).origin_of(with_links(rules, line + rest))


@pytest.mark.parametrize("rules", RULES)
def test_origin_of_refuses_links_that_need_more_room_than_the_range_has(rules):
    # 15 layers without a link, each more than 3 (4) from the next.
    with pytest.raises(ValueError, match="the space ends at 30"):
        MacroSpace(rules).origin_of(with_links(rules, []))


@pytest.mark.parametrize("rules", RULES)
def test_sample_is_uniform_on_the_range_and_follows_its_generator(rules):
    space = MacroSpace(rules)
    sample = space.sample(np.random.default_rng(3), 4000)
    assert sample.dtype == np.float32
    assert sample.shape == (4000, 60)
    assert sample.min() >= 0
    assert sample.max() <= 30
    # 240,000 numbers: the mean's deviation is 0.018.
    assert sample.mean() == pytest.approx(15, abs=0.1)
    assert sample.var() == pytest.approx(75, abs=1)
    assert np.array_equal(sample, space.sample(np.random.default_rng(3), 4000))
    assert not np.array_equal(sample[:10], space.sample(np.random.default_rng(4), 10))


@pytest.mark.parametrize("origins", [np.zeros(60), np.zeros((2, 59)), np.zeros((1, 15, 4)), np.zeros((0, 61))])
def test_vectors_of_the_wrong_shape_are_refused_with_both_shapes(origins):
    with pytest.raises(ValueError, match=r"have shape \(.*expected \(K, 60\)"):
        MacroSpace().discretise(origins)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 31.0, -1.0, above(30), -above(0)])
@pytest.mark.parametrize("rules", RULES)
def test_numbers_outside_the_range_are_refused(rules, value):
    origins = np.full((3, 60), 10.0)
    origins[1, 17] = value
    with pytest.raises(ValueError, match=r"numbers in \[0, 30\]"):
        MacroSpace(rules).discretise(origins)


def test_no_vectors_give_no_rows():
    assert MacroSpace().discretise(np.zeros((0, 60))).shape == (0, 150)


def test_row_has_operations_sizes_tens_of_filters_and_links():
    origin = vector({2: {"kernel_type": 22, "filter_size": 30, "filters": 4.5}}, coefficient=30)
    origin[[0, 1], 3] = 0  # layers 1 and 2 are linked, all others among each other
    row = MacroSpace("paper").discretise(origin.reshape(1, -1))[0]
    assert row.shape == (150,)
    assert row[:3].tolist() == [1, 2, 1]
    assert row[15:18].tolist() == [5, 7, 5]
    assert row[30:33].tolist() == [12, 5, 12]
    links = dict(zip(PAIRS, row[45:].tolist(), strict=True))
    assert links[0, 1] == 1
    assert links[0, 2] == links[1, 14] == 0
    assert links[2, 3] == links[13, 14] == 1


@pytest.mark.parametrize("rules", RULES)
def test_dimensions_name_the_numbers_in_their_order(rules):
    dimensions = MacroSpace(rules).dimensions
    assert MacroSpace(rules).origin_size == len(dimensions) == 60
    names = [dimension.name for dimension in dimensions]
    assert names == ["filters", "filter_size", "kernel_type", "connection_coefficient"] * 15
    assert [dimension.layer for dimension in dimensions] == [i // 4 + 1 for i in range(60)]
    for dimension in dimensions:
        assert (dimension.edges[0], dimension.edges[-1]) == (0, 30)
        assert list(dimension.edges) == sorted(set(dimension.edges))


def test_centres_are_the_middles_of_the_bins():
    dimension = MacroSpace("paper").dimensions[2]
    assert dimension.edges == (0, 7, 15, 22, 30)
    assert dimension.centres.tolist() == [3.5, 11, 18.5, 26]


@pytest.mark.parametrize("rules", RULES)
def test_origin_of_choices_lands_in_the_chosen_bins(rules):
    space = MacroSpace(rules)
    bins = np.array([len(dimension.centres) for dimension in space.dimensions])
    choices = np.random.default_rng(0).integers(0, bins, (500, 60))
    origins = space.origin(choices)
    assert origins.dtype == np.float32
    assert origins.shape == (500, 60)
    rows = space.discretise(origins)
    filters, sizes, types, coefficients = np.moveaxis(choices.reshape(500, 15, 4), 2, 0)
    assert np.array_equal(rows[:, 1:15], types[:, 1:])
    used = np.ones((500, 15), dtype=bool) if rules == "paper" else rows[:, :15] < 2
    assert np.array_equal(rows[:, 15:30][used], np.array(SIZES[rules])[sizes][used])
    assert np.array_equal(rows[:, 30:45][used], (filters + 1)[used])
    # Ten even bins of width 3, and a value belongs to the bin whose upper edge it does not exceed.
    assert np.array_equal(np.ceil(origins[:, 3::4] / 3) - 1, coefficients)


def test_origin_takes_one_choice_vector_as_well():
    space = MacroSpace()
    assert np.array_equal(space.origin(np.zeros(60, dtype=int)), np.tile([0.5, 5, 3.5, 1.5], 15)[None])


def test_published_architecture_is_the_one_in_the_paper():
    architecture = MacroArchitecture.published()
    assert architecture.rules == "published"
    # Kernel type 20 would be a pool: layer 1 is a convolution anyway.
    assert architecture.layers[0] == MacroLayer("convolution", 5, 150)
    assert architecture.layers[3] == MacroLayer("convolution", 3, 120)
    assert architecture.layers[6] == MacroLayer("max_pool", 0, 0)
    assert architecture.layers[14] == MacroLayer("convolution", 5, 200)
    assert [layer.operation for layer in architecture.layers].count("max_pool") == 2
    assert (1, 2) in architecture.links  # coefficients 13 and 13
    assert (2, 3) not in architecture.links  # 13 and 7
    assert (8, 15) not in architecture.links  # 10 and 16


def test_str_shows_operations_sizes_filters_and_links():
    coefficients = {1: 0.0, 2: 1.0, 3: 2.0}
    layers = {layer: {"coefficient": 30.0} for layer in range(4, 16)}
    layers |= {layer: {"coefficient": c} for layer, c in coefficients.items()}
    layers[2]["kernel_type"] = 21
    paper = str(build("paper", vector(layers, filter_size=1))).split(", ")
    assert paper[:3] == ["convolution 3x3 120", "max_pool 3x3 120 +1", "convolution 3x3 120 +1 +2"]
    published = str(build("published", vector(layers, filter_size=1))).split(", ")
    assert published[1] == "max_pool +1"


def test_unknown_space_or_rules_are_refused_with_the_known_ones():
    with pytest.raises(ValueError, match="'micro-x'.*macro, micro"):
        search_spaces.make("micro-x")
    with pytest.raises(ValueError, match="'ours'.*paper.*published"):
        search_spaces.make("macro", "ours")


def test_make_gives_paper_rules_by_default():
    assert search_spaces.make().rules_name == "paper"
    assert search_spaces.make("macro", "published").rules_name == "published"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda fields: fields.update(space="micro"), "micro"),
        (lambda fields: fields["layers"].__setitem__(0, ["max_pool", 0, 0]), "max_pool has size 0"),
    ],
)
def test_json_of_another_space_or_of_an_impossible_first_layer_is_refused(change, words):
    fields = json.loads(MacroArchitecture.published().to_json())
    change(fields)
    with pytest.raises(ValueError, match=words):
        MacroArchitecture.from_json(json.dumps(fields))


def test_filters_that_a_published_pool_does_not_use_do_not_matter():
    published = MacroArchitecture.published()
    fields = json.loads(published.to_json())
    fields["layers"][6][2] = 10**30
    assert MacroArchitecture.from_json(json.dumps(fields)) == published
