"""Overrides on a command line."""

import pytest

from agents.search.overrides import parse_overrides
from nases_env.children.presets import resolve


def test_overrides_of_a_command_line_are_json_or_words():
    texts = ["epochs=2", "width=0.5", "flip=true", "reductions=[3, 6]", "threads=null", "train_accuracy=running"]
    fields = {"epochs": 2, "width": 0.5, "flip": True, "reductions": [3, 6], "threads": None}
    assert parse_overrides(texts) == {**fields, "train_accuracy": "running"}
    assert resolve({"preset": "digits", **parse_overrides(texts)}).reductions == (3, 6)


def test_only_the_first_equals_sign_of_an_override_counts():
    assert parse_overrides(["final=a=b", "cutout="]) == {"final": "a=b", "cutout": ""}
    assert parse_overrides([]) == {}


def test_an_override_without_a_value_is_refused_with_an_example():
    with pytest.raises(ValueError, match="'epochs' overrides nothing; expected field=value, for example epochs=2"):
        parse_overrides(["width=0.5", "epochs"])
