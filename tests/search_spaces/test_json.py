"""The JSON of architectures, whoever wrote it: what is read, and what is refused in words of bounded length."""

import json

import numpy as np
import pytest

from nases_env import search_spaces
from nases_env.search_spaces import MacroSpace, MicroSpace

SPACES = {"paper": MacroSpace("paper"), "published": MacroSpace("published"), "micro": MicroSpace()}
every_space = pytest.mark.parametrize("name", SPACES)


def architectures(name, count=50):
    space = SPACES[name]
    return [space.architecture(row) for row in space.discretise(space.sample(np.random.default_rng(0), count))]


def text_of(name, **changes):
    """JSON of an architecture with some fields changed."""
    fields = json.loads(architectures(name, 1)[0].to_json())
    return json.dumps(fields | {field: change(fields[field]) for field, change in changes.items()})


def check_refused(text, words=""):
    """By every way of reading, in a sentence of bounded length that says what was expected."""
    for read in (search_spaces.from_json, *(type(a).from_json for name in SPACES for a in architectures(name, 1))):
        with pytest.raises(ValueError, match="not an? .*architecture: .*expected") as error:
            read(text)
        assert len(str(error.value)) < 1000
    with pytest.raises(ValueError, match=words):
        search_spaces.from_json(text)


@every_space
def test_everything_that_is_written_is_read(name):
    for architecture in architectures(name):
        assert search_spaces.from_json(architecture.to_json()) == architecture
        assert SPACES[name].from_json(json.dumps(json.loads(architecture.to_json()), indent=2)) == architecture


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (None, "of type NoneType"),
        (b"{}", "of type bytes"),
        (3, "of type int"),
        ("", "Expecting value"),
        ("[]", "no JSON object"),
        ("{}", "the key 'space'"),
        ('"space"', "no JSON object"),
        ('{"space": []}', r"not \[\]"),
        ('{"space": "nano"}', "not 'nano'"),
        ('{"space": "micro", "space": "macro"}', "twice"),
        ("[" * 100_000, "nested too deep"),
        ('{"space":' * 100_000, "nested too deep"),
        ('{"space": ' + "1" * 5000 + "}", "digits"),
        ('{"space": NaN}', "NaN is no number"),
        ('{"space": "' + "x" * 10**6 + '"}', "characters"),
    ],
)
def test_text_that_names_no_space_is_refused(text, words):
    check_refused(text, words)


@every_space
def test_keys_that_are_too_many_or_missing_are_refused(name):
    fields = json.loads(architectures(name, 1)[0].to_json())
    check_refused(json.dumps(fields | {"comment": "mine"}), "its keys are .*'comment'.* instead of")
    for key in fields.keys() - {"space"}:
        check_refused(json.dumps({other: value for other, value in fields.items() if other != key}), "its keys are")


@pytest.mark.parametrize("rules", ["paper", "published"])
@pytest.mark.parametrize(
    ("links", "words"),
    [
        ("", "links are '', not a list"),
        ({}, "not a list"),
        (None, "not a list"),
        (["12"], "link '12' is no pair"),
        ([[1, 2], [1, 2]], r"\[1, 2\] stands in it twice"),
        ([[2, 1]], "no pair"),
        ([[1, 1]], "no pair"),
        ([[True, 2]], "no pair"),
        ([[1.0, 2]], "no pair"),
        ([[1, 2, 3]], "no pair"),
        ([[1, 10**30]], "no pair"),
        ([[[1], 2]], "no pair"),
        ([[1, 2]] * 10**4, "twice"),
    ],
)
def test_links_that_are_none_are_refused(rules, links, words):
    check_refused(text_of(rules, links=lambda _: links), words)


@pytest.mark.parametrize("rules", ["paper", "published"])
def test_links_may_stand_in_any_order(rules):
    links = json.loads(text_of(rules))["links"]
    expected = architectures(rules, 1)[0]
    assert search_spaces.from_json(text_of(rules, links=lambda links: links[::-1])) == expected
    assert len(links) > 1


@pytest.mark.parametrize("rules", ["paper", "published"])
@pytest.mark.parametrize("place", [0, 3])
@pytest.mark.parametrize(
    ("layer", "words"),
    [
        (["convolution", 3.0, 10], "size 3.0"),
        (["convolution", 3, 10.0], "10.0 filters"),
        (["convolution", True, 10], "size True"),
        (["convolution", 3, True], "True filters"),
        (["max_pool", "3", 10], "size '3'"),
        (["separable", 3, 10**30], "filters of 10"),
        (["separable", 4, 10], "size 4"),
        (["convolution", 3], "2 parts of a layer"),
        (["convolution", 3, 10, 1], "4 parts of a layer"),
        ("abc", "parts of a layer .* are 'abc', not a list"),
        ({"a": 1, "b": 2, "c": 3}, "not a list"),
        ([["convolution"], 3, 10], r"no operation \['convolution'\]"),
        (["x" * 10**6, 3, 10], "no operation 'xxx"),
    ],
)
def test_layers_that_are_none_are_refused(rules, place, layer, words):
    check_refused(text_of(rules, layers=lambda layers: [*layers[:place], layer, *layers[place + 1 :]]), words)


@pytest.mark.parametrize("layers", ["", {}, None, 15, "abcdefghijklmno", [], [["convolution", 3, 10]] * 10**4])
def test_layers_that_are_not_fifteen_are_refused(layers):
    check_refused(text_of("paper", layers=lambda _: layers), "layers")


@pytest.mark.parametrize(("rules", "words"), [([], r"\[\]"), (None, "None"), ("x" * 10**6, "'xxx"), ({}, "{}")])
def test_rules_that_do_not_exist_are_refused(rules, words):
    check_refused(text_of("paper", rules=lambda _: rules), f"no macro rules {words}")


@pytest.mark.parametrize(
    ("half", "words"),
    [
        ([True, "identity"], "input True"),
        ([1.0, "identity"], "input 1.0"),
        ([-1, "identity"], "input -1"),
        ([10**30, "identity"], "input 1000"),
        (["0", "identity"], "input '0'"),
        ([0, ["identity"]], r"no operation \['identity'\]"),
        ([0], "1 parts of a node's half"),
        ("ab", "are 'ab', not a list"),
        ({"a": 1, "b": 2}, "not a list"),
        (None, "not a list"),
    ],
)
def test_halves_of_nodes_that_are_none_are_refused(half, words):
    check_refused(text_of("micro", reduction=lambda nodes: [[half, [0, "identity"]], *nodes[1:]]), words)


@pytest.mark.parametrize("cell", ["", None, {}, "abcde", [], [[]] * 5, ["ab"] * 5, [[[0, "identity"]]] * 5, 3])
def test_cells_that_are_none_are_refused(cell):
    check_refused(text_of("micro", normal=lambda _: cell), "node")
