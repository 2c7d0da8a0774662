"""Protocols: their parts, what is refused, and how filters are rounded."""

import dataclasses
import hashlib
import json
import math
from typing import get_args

import numpy as np
import pytest

from nases_env import search_spaces
from nases_env.children import build
from nases_env.children.presets import PRESETS, resolve
from nases_env.children.protocol import (
    Execution,
    MacroNetwork,
    MicroNetwork,
    Names,
    Preset,
    Protocol,
    Recipe,
    Split,
    cycle_of,
)
from nases_env.children.ranges import RANGES


def test_protocol_survives_json():
    protocol = resolve({"preset": "v1-search", "reductions": [3, 7, 11]})
    fields = json.loads(json.dumps(dataclasses.asdict(protocol)))
    assert isinstance(fields["reductions"], list)
    assert Protocol(**fields) == protocol
    assert hash(Protocol(**fields)) == hash(protocol)


def test_json_lists_become_tuples():
    assert resolve({"preset": "digits", "reductions": [2, 4]}).reductions == (2, 4)
    assert resolve({"preset": "digits", "reductions": []}).reductions == ()


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("epochs", 0),
        ("epochs", -1),
        ("epochs", 1.5),
        ("batch_size", 0),
        ("batch_size", "8"),
        ("width_multiple", 0),
        ("validation_images", -1),
        ("train_images", 0),
        ("image_size", 0),
        ("crop_padding", -1),
        ("cutout", -1),
        ("added_filters", -10),
        ("threads", 0),
        ("threads", -1),
        ("width", 0.0),
        ("width", -0.5),
        ("width", float("nan")),
        ("width", "wide"),
        ("precision", "float16"),
        ("train_accuracy", "last"),
        ("kernels", "mine"),
        ("learning_rate", 0.0),
        ("learning_rate", 1e-4),  # below the final one
        ("final_learning_rate", 0.0),
        ("final_learning_rate", -1.0),
        ("final_learning_rate", 0.06),
        ("final_learning_rate", float("nan")),
    ],
)
def test_value_out_of_range_is_refused_by_its_fields_name_with_what_was_expected(field, value):
    with pytest.raises(ValueError, match=f"protocol fields? .*{field}.* {value!r}.*expected"):
        resolve({"preset": "digits", field: value})


@pytest.mark.parametrize("field", ["epochs", "width_multiple"])
def test_one_is_enough(field):
    assert getattr(resolve({"preset": "digits", field: 1}), field) == 1


def test_learning_rate_may_stay_constant():
    assert resolve({"preset": "digits", "final_learning_rate": 0.05}).final_learning_rate == 0.05


@pytest.mark.parametrize(
    ("fields", "filters", "channels"),
    [
        ({}, 10, 10),
        ({}, 300, 300),
        ({"added_filters": 100}, 10, 110),
        ({"added_filters": 150}, 300, 450),
        ({"width": 0.5}, 30, 15),
        ({"width": 0.5, "added_filters": 10}, 10, 10),  # added before the factor
        ({"width": 0.03}, 10, 1),  # 0.3
        ({"width": 0.03}, 90, 3),  # 2.7
        ({"width": 2.0}, 70, 140),
        ({"width": 0.125, "width_multiple": 8}, 10, 8),  # 1.25: at least one multiple
        ({"width": 0.125, "width_multiple": 8}, 90, 8),  # 11.25: 8 is nearer than 16
        ({"width": 0.125, "width_multiple": 8}, 100, 16),  # 12.5
        ({"width": 0.125, "width_multiple": 8}, 300, 40),  # 37.5
        ({"width_multiple": 16}, 100, 96),
        ({"width_multiple": 16}, 110, 112),
    ],
)
def test_filters_are_added_scaled_and_rounded_to_a_multiple(fields, filters, channels):
    assert resolve({"preset": "v1-search", **fields}).filters(filters) == channels


def test_more_filters_never_give_fewer_channels():
    for protocol in PRESETS.values():
        channels = [protocol.filters(filters) for filters in range(10, 301, 10)]
        assert channels == sorted(channels)
        assert channels[0] >= 1


@pytest.mark.parametrize(("epochs", "nearest"), [(9, "10"), (15, "10 or 30"), (69, "30 or 70"), (71, "70 or 150")])
def test_epochs_that_end_no_cosine_are_refused_with_the_nearest_that_do(epochs, nearest):
    with pytest.raises(ValueError, match=f"epochs and restart_period are {epochs} and 10.*that end one are {nearest},"):
        resolve({"preset": "v3-search", "epochs": epochs})


@pytest.mark.parametrize(("epochs", "period"), [(10, 10), (30, 10), (70, 10), (630, 10), (3, 1), (9, 3), (5, None)])
def test_epochs_that_end_a_cosine_are_taken(epochs, period):
    assert resolve({"preset": "v3-search", "epochs": epochs, "restart_period": period}).epochs == epochs


def test_cosines_are_each_twice_as_long_as_the_one_before():
    assert [cycle_of(epoch, 10) for epoch in (0, 9, 10, 29, 30, 69, 70)] == [0, 0, 1, 1, 2, 2, 3]


class TestRanges:
    def test_every_number_of_a_protocol_has_a_range(self):
        numbers = {field.name for field in dataclasses.fields(Protocol) if field.type in ("int", "float", "int | None")}
        assert numbers == RANGES.keys()

    @pytest.mark.parametrize(
        "name", sorted(RANGES.keys() - {"learning_rate", "final_learning_rate", "restart_period", "epochs"})
    )
    def test_ends_of_a_range_are_taken_and_what_lies_beyond_is_refused(self, name):
        allowed = RANGES[name]
        lowest = allowed.lowest if name != "width" else 1e-9
        for value in (lowest, allowed.highest):
            assert getattr(resolve({"preset": "digits", name: value}), name) == value
        for value in (
            math.nextafter(allowed.lowest, -1),
            allowed.highest * 2 + 1,
            10**30,
            10**5000,
            math.nan,
            math.inf,
        ):
            with pytest.raises(ValueError, match=f"protocol field {name} is .*; expected a .*number from") as error:
                resolve({"preset": "digits", name: value})
            assert len(str(error.value)) < 400

    @pytest.mark.parametrize("name", RANGES)
    def test_what_is_no_number_is_refused(self, name):
        odd = [True, "", "x", [], {}, object(), np.int64(8)] + [None] * (not RANGES[name].optional)
        for value in odd + [2.5] * RANGES[name].whole:
            with pytest.raises(ValueError, match=f"protocol field {name} is .*; expected"):
                resolve({"preset": "digits", name: value})

    def test_momentum_and_dropped_paths_are_below_one(self):
        for name in ("momentum", "drop_path"):
            with pytest.raises(ValueError, match=f"{name} is 1.*expected a number from 0.0 to below 1"):
                resolve({"preset": "digits", name: 1})

    @pytest.mark.parametrize(
        "reductions", ["", "12", 5, None, [0], [101], [True], [1.0], ["5"], [10**30], [[5]], [1] * 101, {5: 10}]
    )
    def test_reductions_that_are_no_layers_are_refused(self, reductions):
        with pytest.raises(ValueError, match="protocol field reductions is .*; expected a list of layers"):
            resolve({"preset": "digits", "reductions": reductions})

    @pytest.mark.parametrize("value", ["mine", "", None, 3, [], {}, object(), "x" * 10**6])
    def test_name_and_final_are_those_of_presets(self, value):
        for name in ("name", "final"):
            if (name, value) == ("final", ""):
                continue
            with pytest.raises(ValueError, match=f"protocol field {name} is .*; expected one of 'v1-search', .*"):
                Protocol(**{name: value})

    def test_names_are_those_of_the_presets(self):
        assert set(get_args(Preset)) == PRESETS.keys()


@pytest.mark.parametrize(
    ("name", "known"),
    [
        ("v1-search", "fa51d6e7b8ce369e"),
        ("v3-search", "60f5c8725341fc82"),
        ("v3-final", "5c0894c85de0ab7d"),
        ("digits", "002b975993e7c57a"),
        ("cifar10-mini", "0f1398474b9659d0"),
        ("digits-micro", "cdcfd15ae6c2c389"),
    ],
)
def test_fields_that_decide_a_result_are_written_as_ever(name, known):
    """Fingerprints of evaluations that are kept are made of this text."""
    text = json.dumps(resolve(name).result_fields(), sort_keys=True)
    assert hashlib.sha256(text.encode()).hexdigest()[:16] == known


def names(part):
    return [field.name for field in dataclasses.fields(part)]


class TestParts:
    def test_a_protocol_is_written_flat_in_the_order_of_its_parts(self):
        assert list(dataclasses.asdict(PRESETS["digits"])) == names(Names) + names(Recipe) + names(Execution)
        assert names(Recipe)[:5] == names(Split)

    @pytest.mark.parametrize("name", names(Names) + names(Execution))
    def test_names_and_execution_decide_no_result(self, name):
        changes = {"name": "v3-search", "final": "digits-final", "checkpoint_retry": False}
        change = (changes | {"cuda_graph": True, "kernels": "fastest"}).get(name, 7)
        changed = dataclasses.replace(PRESETS["v1-search"], **{name: change})
        assert changed != PRESETS["v1-search"]
        assert changed.result_fields() == PRESETS["v1-search"].result_fields()

    @pytest.mark.parametrize("name", names(Recipe))
    def test_every_field_of_the_recipe_decides_a_result(self, name):
        changes = {"stratified": True, "flip": False, "reductions": [3], "train_accuracy": "running"}
        changes |= {"precision": "float32", "restart_period": 10, "final_learning_rate": 0.01}
        change = changes[name] if name in changes else 3 if RANGES[name].whole else 0.5
        changed = dataclasses.replace(PRESETS["v1-search"], **{name: change})
        assert changed.result_fields() != PRESETS["v1-search"].result_fields()

    def test_a_split_is_the_same_for_protocols_that_train_differently(self):
        digits = PRESETS["digits"]
        split = dataclasses.replace(digits, epochs=9, width=0.5, max_seconds=3).split()
        assert split == digits.split() != dataclasses.replace(digits, split_seed=1).split()

    @pytest.mark.parametrize(
        ("space", "foreign"),
        [
            ("macro", {"stage_cells": 2, "cell_filters": 9, "drop_path": 0.3, "auxiliary_weight": 0.4}),
            ("micro", {"reductions": [1, 2, 3]}),
        ],
    )
    def test_a_child_reads_no_field_of_the_other_space(self, space, foreign):
        part = MicroNetwork if space == "macro" else MacroNetwork
        assert foreign.keys() == set(names(part))
        made = search_spaces.make(space)
        (row,) = made.discretise(made.sample(np.random.default_rng(0), 1))
        plain, changed = (
            build.skeleton(made.architecture(row), resolve({"preset": "digits", **fields}), 1, 10, device="meta")
            for fields in ({}, foreign)
        )
        assert plain.flops(8) == changed.flops(8)
        assert [weight.shape for weight in plain.parameters()] == [weight.shape for weight in changed.parameters()]
