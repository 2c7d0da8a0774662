"""What JSON from somebody else may say."""

import json

import numpy as np
import pytest

from nases_env.untrusted import DEEPEST, check_size, check_types, numbers, parse_json


def test_json_of_numbers_texts_and_lists_is_read():
    value = {"a": [1, 2.5, None, True], "b": {"c": "ü"}}
    assert parse_json(json.dumps(value).encode()) == value


@pytest.mark.parametrize("number", ["NaN", "-Infinity", "1e999"])
def test_numbers_that_are_not_finite_are_refused(number):
    with pytest.raises(ValueError, match="no finite number"):
        parse_json(f'{{"a": [{number}]}}'.encode())


@pytest.mark.parametrize("depth", [DEEPEST + 1, 900, 100_000])
@pytest.mark.parametrize("brackets", ["[]", ('{"a":', "}")])
def test_deep_nesting_is_refused_whether_or_not_python_can_read_it(depth, brackets):
    opening, closing = brackets
    text = opening * depth + ("1" if opening != "[" else "") + closing * depth
    with pytest.raises(ValueError, match=f"more than {DEEPEST} deep"):
        parse_json(text.encode())


def test_nesting_up_to_the_limit_is_read():
    assert parse_json(b"[" * DEEPEST + b"]" * DEEPEST)


@pytest.mark.parametrize("data", [b"", b"{", b"\xff\xfe\xfa", b"\x00" * 20, b"1" * 5000])
def test_what_is_no_json_is_a_value_error(data):
    with pytest.raises(ValueError, match="."):
        parse_json(data)


def test_numbers_become_an_array():
    found = numbers([[1, 2.5], [-3, 0]], (2, 2), "matrix")
    assert found.dtype == np.float64
    np.testing.assert_array_equal(found, [[1, 2.5], [-3, 0]])


@pytest.mark.parametrize("value", [None, 1, "12", [1], [1, "2"], [1, True], [1, None], [1, [2]], {"a": 1}, [1, 2, 3]])
def test_anything_but_numbers_of_the_shape_is_refused(value):
    with pytest.raises(ValueError, match=r"pair has to be a list of numbers of shape \(2,\)"):
        numbers(value, (2,), "pair")


@pytest.mark.parametrize("value", [1e7, -1e7, 10**400])
def test_absurd_numbers_are_refused(value):
    with pytest.raises(ValueError, match="pair holds numbers beyond"):
        numbers([0.0, value], (2,), "pair")


@pytest.mark.parametrize("value", [0, -1, 10**9, 1.0, True, "1", None])
def test_a_size_is_a_whole_number_of_a_sane_size(value):
    with pytest.raises(ValueError, match="channels is .*expected a whole number from 1 to 1000000"):
        check_size(value, "channels")


def test_missing_and_wrong_fields_are_named():
    types = {"a": int, "b": str}
    check_types({"a": 1, "b": "x", "c": None}, types)
    check_types({"a": 1}, types, optional=True)
    with pytest.raises(ValueError, match="it lacks b"):
        check_types({"a": 1}, types)
    with pytest.raises(ValueError, match="a is a bool and not a int; b is a list and not a str"):
        check_types({"a": True, "b": []}, types)
    with pytest.raises(ValueError, match="it is a list"):
        check_types([], types)
