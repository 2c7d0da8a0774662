"""A trained network on disk: it comes back bit for bit, or is told to be damaged."""

import copy
import hashlib
import json
import random

import pytest
import safetensors.torch
import torch

from nases_env.children import build, network_file, padding
from tests.children.trained_folder import write_network


@pytest.fixture(params=["macro", "micro"])
def folder(request, tmp_path):
    write_network(tmp_path, request.param)
    return tmp_path


def change(folder, **changes):
    """Change fields of network.json; None takes one away."""
    file = folder / "network.json"
    fields = json.loads(file.read_text()) | changes
    file.write_text(json.dumps({name: value for name, value in fields.items() if value is not None}))


def change_weights(folder, edit):
    """Change the weights, and their hash with them."""
    file = folder / "model.safetensors"
    weights = safetensors.torch.load(file.read_bytes())
    edit(weights)
    safetensors.torch.save_file(weights, file)
    change(folder, weights_sha256=hashlib.sha256(file.read_bytes()).hexdigest())


def as_earlier(folder):
    """network.json as earlier versions wrote it."""
    change(folder, schema=None, weights_sha256=None, class_names=None, image_size=None)


@pytest.mark.parametrize("space", ["macro", "micro"])
def test_a_network_comes_back_with_its_outputs(space, tmp_path):
    child = write_network(tmp_path, space).eval()
    images = torch.randn(5, 1, 8, 8)
    model = build.load(tmp_path)
    torch.testing.assert_close(model(images), child(images), rtol=1e-4, atol=1e-4)  # padding changes rounding
    written, read = padding.state_dict(child), model.network.state_dict()
    assert written.keys() == read.keys() and all(torch.equal(read[name], written[name]) for name in read)
    assert not model.training
    assert all(parameter.requires_grad for parameter in model.parameters())
    torch.nn.functional.cross_entropy(model.train()(images), torch.zeros(5, dtype=torch.int64)).backward()
    assert all(parameter.grad is not None for parameter in model.parameters())


@pytest.mark.parametrize("earlier", [False, True])
def test_a_flipped_bit_is_told(folder, earlier):
    file = folder / "model.safetensors"
    data = bytearray(file.read_bytes())
    data[-3] ^= 1
    file.write_bytes(data)
    if earlier:
        as_earlier(folder)  # knew no hash
        build.load(folder)
    else:
        with pytest.raises(ValueError, match=r"model.safetensors has the hash .* damaged or another network's"):
            build.load(folder)


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
@pytest.mark.parametrize("earlier", [False, True])
def test_weights_that_are_not_finite_are_refused_also_where_the_hash_agrees(folder, number, earlier):
    change_weights(folder, lambda weights: weights["classifier.weight"].fill_(number))
    if earlier:
        as_earlier(folder)
    with pytest.raises(ValueError, match="not finite in classifier.weight"):
        build.load(folder)


def test_weights_of_another_type_are_refused(folder):
    change_weights(folder, lambda weights: weights.update({"classifier.bias": weights["classifier.bias"].double()}))
    with pytest.raises(ValueError, match=r"classifier.bias holds torch.float64; expected torch.float32"):
        build.load(folder)


def test_an_earlier_versions_file_is_read(folder):
    as_earlier(folder)
    model = build.load(folder)
    assert model.class_names == tuple("0123456789")
    assert model.image_size is None


def test_a_kill_between_the_files_leaves_no_network_of_other_weights(folder, monkeypatch):
    def killed(file, content):
        raise KeyboardInterrupt

    monkeypatch.setattr(network_file.files, "write_json", killed)
    with pytest.raises(KeyboardInterrupt):
        write_network(folder, "macro")
    with pytest.raises(FileNotFoundError, match=r"network.json is missing; nases train-final"):
        build.load(folder)


@pytest.mark.parametrize("name", ["network.json", "model.safetensors"])
@pytest.mark.parametrize("instead", ["nothing", "a folder"])
def test_a_missing_file_is_named(folder, name, instead):
    (folder / name).unlink()
    if instead == "a folder":
        (folder / name).mkdir()
    with pytest.raises(FileNotFoundError, match=f"{name} is missing; nases train-final writes it"):
        build.load(folder)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"schema": 2}, "written by a newer version: its schema is 2"),
        ({"surprise": 1}, "unknown fields surprise"),
        ({"channels": -1}, "channels is -1"),
        ({"channels": 10**9}, "channels is 1000000000"),
        ({"channels": 3}, "shape|tensors are not this network's"),
        ({"classes": 0}, "classes is 0"),
        ({"class_names": ["0"]}, "a list of 10 texts"),
        ({"class_names": [0] * 10}, "a list of 10 texts"),
        ({"image_size": 0}, "image_size is 0"),
        ({"mean": ["0.3"]}, "mean has to be a list of numbers"),
        ({"deviation": [0.0]}, "deviation has to be above 0"),
        ({"architecture": {"space": "none"}}, "not an architecture"),
        ({"protocol": {"preset": ["v1-final"]}}, "does not describe a network"),
        ({"protocol": {"preset": "v1-final", "width": 1e300}}, "protocol field width is"),
        ({"protocol": {"preset": "v1-final", "added_filters": 10**30}}, "protocol field added_filters is"),
        ({"protocol": {"preset": "digits-micro-final", "stage_cells": 10**9}}, "protocol field stage_cells is"),
    ],
)
def test_a_wrong_description_says_what_is_wrong(folder, changes, words):
    change(folder, **changes)
    with pytest.raises(ValueError, match=words):
        build.load(folder)


@pytest.mark.parametrize(
    "data", [b"", b"[]", b"{}", b"null", b"5", b"\xff\x00\x80", b'{"a":' * 100_000, b"[" * 100_000]
)
def test_what_is_no_description_says_so(folder, data):
    (folder / "network.json").write_bytes(data)
    with pytest.raises(ValueError, match="network.json does not describe a network"):
        build.load(folder)


def test_a_device_that_does_not_exist_is_told(folder):
    with pytest.raises(ValueError, match="tpu9000"):
        build.load(folder, "tpu9000")


@pytest.mark.parametrize("state", ["dtype", "device", "inference", "no_grad"])
def test_the_callers_torch_settings_change_nothing(folder, state):
    expected = build.load(folder)
    settings = {
        "device": lambda: torch.device("meta"),
        "inference": torch.inference_mode,
        "no_grad": torch.no_grad,
    }
    if state == "dtype":
        torch.set_default_dtype(torch.float64)
        try:
            model = build.load(folder)
        finally:
            torch.set_default_dtype(torch.float32)
    else:
        with settings[state]():
            model = build.load(folder)
    for parameter, other in zip(model.parameters(), expected.parameters(), strict=True):
        assert parameter.dtype == torch.float32 and parameter.requires_grad and not parameter.is_inference()
        assert torch.equal(parameter, other)


VALUES = (None, True, -1, 0, 10**9, 10**200, 1e308, -1.5, float("nan"), "", "paper", [], {}, [[]], {"a": 1}, 1e-320)


def places(value, path=()):
    """Paths to everything in JSON."""
    if path:
        yield path
    entries = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, inner in entries:
        yield from places(inner, (*path, name))


def changed_description(fields, rng):
    fields = copy.deepcopy(fields)
    for _ in range(rng.choice((1, 1, 2))):
        name = rng.choice([*fields])
        *path, last = rng.choice([(name, *rest) for rest in [(), *places(fields[name])]])
        holder = fields
        for step in path:
            holder = holder[step]
        if rng.random() < 0.8:
            holder[last] = copy.deepcopy(rng.choice(VALUES))
        elif len(fields) > 1:
            del holder[last]
    return json.dumps(fields).encode()


def changed_bytes(data, rng):
    changed, place = bytearray(data), rng.randrange(min(len(data), 2000))
    kind = rng.randrange(4)
    if kind == 0:
        changed[place] ^= 1 << rng.randrange(8)
    elif kind == 1:
        del changed[rng.randrange(len(changed)) :]
    elif kind == 2:
        changed[place : place + 8] = rng.randbytes(8)
    else:
        del changed[place : place + rng.randrange(1, 50)]
    return bytes(changed)


@pytest.mark.parametrize("count", [150, pytest.param(5000, marks=pytest.mark.slow)])
def test_any_damage_is_told_in_a_sentence(folder, count):
    rng = random.Random(count)
    network, weights = (folder / name for name in ("network.json", "model.safetensors"))
    whole, data = json.loads(network.read_text()), weights.read_bytes()
    told = 0
    for _ in range(count):
        changed, fields = data, whole
        if rng.random() < 0.3:
            changed = changed_bytes(data, rng)
            fields = whole | {"weights_sha256": hashlib.sha256(changed).hexdigest()}
        description = json.dumps(fields).encode() if changed != data else changed_description(whole, rng)
        network.write_bytes(description if rng.random() < 0.9 else changed_bytes(description, rng))
        weights.write_bytes(changed)
        try:
            build.load(folder)
        except (ValueError, FileNotFoundError) as error:
            told += len(str(error).split()) > 5
    assert told > count / 2
