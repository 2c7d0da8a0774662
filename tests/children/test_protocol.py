"""Protocols: presets, overrides, what is refused, and how filters are rounded."""

import dataclasses
import hashlib
import json
import math
from typing import get_args

import numpy as np
import pytest

from nases_env.children.protocol import PRESETS, Preset, Protocol, cycle_of, final_protocol, parse_overrides, resolve
from nases_env.children.ranges import RANGES


@pytest.mark.parametrize("name", sorted(PRESETS))
def test_a_name_stands_for_its_preset(name):
    assert resolve(name) == PRESETS[name]
    assert resolve({"preset": name}) == PRESETS[name]
    assert PRESETS[name].name == name


def test_a_protocol_stands_for_itself():
    protocol = dataclasses.replace(PRESETS["digits"], epochs=7)
    assert resolve(protocol) is protocol


def test_fields_of_a_mapping_override_the_preset():
    protocol = resolve({"preset": "digits", "epochs": 3, "width": 0.5})
    assert protocol == dataclasses.replace(PRESETS["digits"], epochs=3, width=0.5)


def test_overrides_are_left_as_they_were():
    overrides = {"preset": "digits", "epochs": 3}
    resolve(overrides)
    assert overrides == {"preset": "digits", "epochs": 3}


@pytest.mark.parametrize("name", sorted(PRESETS))
def test_final_of_every_preset_is_a_final_preset(name):
    final = PRESETS[name].final
    if PRESETS[name].validation_images:
        assert PRESETS[final].validation_images == 0
        assert PRESETS[final].train_images is None
        assert PRESETS[final].image_size == PRESETS[name].image_size
    else:
        assert final == ""


def test_v1_search_is_the_papers_protocol():
    protocol = resolve("v1-search")
    assert (protocol.train_images, protocol.validation_images) == (45_000, 5_000)
    assert (protocol.crop_padding, protocol.flip, protocol.cutout) == (4, True, 0)
    assert (protocol.epochs, protocol.batch_size) == (10, 128)
    assert (protocol.learning_rate, protocol.final_learning_rate) == (0.05, 0.001)
    assert (protocol.momentum, protocol.weight_decay) == (0.9, 1e-4)
    assert (protocol.width, protocol.added_filters, protocol.reductions) == (1.0, 0, (5, 10))
    assert resolve("v1-final").epochs == 700


def test_cpu_presets_fix_their_threads():
    assert [name for name, protocol in PRESETS.items() if protocol.threads is None] == [
        "v1-search",
        "v1-final",
        "v3-search",
        "v3-final",
    ]


def test_protocol_survives_json():
    protocol = resolve({"preset": "v1-search", "reductions": [3, 7, 11]})
    fields = json.loads(json.dumps(dataclasses.asdict(protocol)))
    assert isinstance(fields["reductions"], list)
    assert Protocol(**fields) == protocol
    assert hash(Protocol(**fields)) == hash(protocol)


def test_json_lists_become_tuples():
    assert resolve({"preset": "digits", "reductions": [2, 4]}).reductions == (2, 4)
    assert resolve({"preset": "digits", "reductions": []}).reductions == ()


@pytest.mark.parametrize("given", ["imagenet", {"preset": "imagenet"}, {"epochs": 3}, {}])
def test_unknown_preset_is_refused_with_the_known_ones(given):
    with pytest.raises(ValueError, match="there is no protocol preset.*v1-search.*digits.*cifar10-mini"):
        resolve(given)


@pytest.mark.parametrize("field", ["epoch", "name", "Epochs"])
def test_unknown_field_is_refused_with_the_known_ones(field):
    with pytest.raises(ValueError, match=rf"no fields \['{field}'\]; it has \[.*'epochs'.*'width'"):
        resolve({"preset": "digits", field: 1})


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


@pytest.mark.parametrize("given", [7, None, ["digits"]])
def test_what_is_neither_a_name_nor_a_mapping_is_refused(given):
    with pytest.raises(ValueError, match="expected a preset's name or a mapping"):
        resolve(given)


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


def test_a_searchs_limits_in_time_are_none_for_the_final_training():
    search = resolve({"preset": "digits", "max_seconds": 60, "image_size": 6})
    final = final_protocol(search, None, {})
    assert (final.max_seconds, final.image_size) == (None, 6)
    assert final_protocol(search, None, {"max_seconds": 9}).max_seconds == 9


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
    "given",
    [{"preset": []}, {"preset": {}}, {"preset": None}, {1: 2}, {"preset": "digits", 1: 2, "x": 3}, (), object()],
)
def test_odd_mappings_are_refused_in_words(given):
    with pytest.raises(ValueError, match="there is no protocol preset|a protocol has no fields|the protocol is"):
        resolve(given)


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
