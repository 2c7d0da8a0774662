"""Presets by name, overrides, what is refused, and the final protocol of a search."""

import dataclasses

import pytest

from nases_env.children.presets import PRESETS, final_protocol, resolve


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


@pytest.mark.parametrize("given", ["imagenet", {"preset": "imagenet"}, {"epochs": 3}, {}])
def test_unknown_preset_is_refused_with_the_known_ones(given):
    with pytest.raises(ValueError, match="there is no protocol preset.*v1-search.*digits.*cifar10-mini"):
        resolve(given)


@pytest.mark.parametrize("field", ["epoch", "name", "Epochs"])
def test_unknown_field_is_refused_with_the_known_ones(field):
    with pytest.raises(ValueError, match=rf"no fields \['{field}'\]; it has \[.*'epochs'.*'width'"):
        resolve({"preset": "digits", field: 1})


@pytest.mark.parametrize("given", [7, None, ["digits"]])
def test_what_is_neither_a_name_nor_a_mapping_is_refused(given):
    with pytest.raises(ValueError, match="expected a preset's name or a mapping"):
        resolve(given)


def test_a_searchs_limits_in_time_are_none_for_the_final_training():
    search = resolve({"preset": "digits", "max_seconds": 60, "image_size": 6})
    final = final_protocol(search, None, {})
    assert (final.max_seconds, final.image_size) == (None, 6)
    assert final_protocol(search, None, {"max_seconds": 9}).max_seconds == 9


@pytest.mark.parametrize(
    "given",
    [{"preset": []}, {"preset": {}}, {"preset": None}, {1: 2}, {"preset": "digits", 1: 2, "x": 3}, (), object()],
)
def test_odd_mappings_are_refused_in_words(given):
    with pytest.raises(ValueError, match="there is no protocol preset|a protocol has no fields|the protocol is"):
        resolve(given)


def test_a_searchs_cosines_and_retries_are_none_of_the_final_training():
    search = resolve({"preset": "v3-search", "epochs": 3, "restart_period": 1, "crash_retries": 7, "cutout": 3})
    final = final_protocol(search, None, {})
    assert (final.epochs, final.restart_period, final.crash_retries, final.cutout) == (630, 10, 1, 3)
