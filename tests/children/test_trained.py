"""A trained network that takes images as they are."""

import numpy as np
import pytest
import torch

from nases_env.children import build, datasets
from nases_env.children.presets import resolve
from tests.children.trained_folder import write_network


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("trained")
    data = datasets.load("digits", "", resolve("digits-final"), "cpu")
    write_network(folder, mean=data.mean.tolist(), deviation=data.deviation.tolist())
    return folder


@pytest.fixture
def model(folder):
    return build.load(folder)


@pytest.fixture(scope="module")
def images():
    return datasets.read("digits", "", "test").pixels


def test_it_knows_what_it_looks_at_and_what_it_answers(model):
    assert model.class_names == tuple(f"digit {label}" for label in range(10))
    assert (model.image_size, model.channels) == (8, 1)
    assert model.mean.shape == model.deviation.shape == (1,)


def test_images_are_standardised_as_those_it_was_trained_on(model, images):
    standardised = datasets.load_test("digits", "", datasets.load("digits", "", resolve("digits-final"), "cpu")).images
    with torch.no_grad():
        logits = model(standardised)
    assert torch.equal(model.probabilities(images), logits.softmax(dim=1))
    assert model.predict(images) == [model.class_names[label] for label in logits.argmax(dim=1)]


@pytest.mark.parametrize("kind", ["tensor", "floats", "doubles", "list", "reversed twice", "one"])
def test_images_may_come_in_many_ways(model, images, kind):
    given = {
        "tensor": torch.tensor(images),
        "floats": images / np.float32(255),
        "doubles": torch.tensor(images) / torch.tensor(255.0, dtype=torch.float64),
        "list": list(images),
        "reversed twice": images[::-1].copy()[::-1],
        "one": images[0],
    }[kind]
    expected = model.predict(images[:1] if kind == "one" else images)
    assert model.predict(given) == expected


def test_no_images_have_no_classes(model, images):
    assert model.predict(images[:0]) == []
    assert model.probabilities(images[:0]).shape == (0, 10)


def test_more_images_than_a_batch_are_predicted_in_order(model, images):
    many = np.concatenate([images] * 3)
    assert model.predict(many) == model.predict(images) * 3


def test_predictions_need_no_gradients_and_leave_a_training_as_it_was(model, images):
    model.train()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    found = model.probabilities(images)
    assert not found.requires_grad and model.training
    torch.testing.assert_close(found.sum(dim=1), torch.ones(len(images)))
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda images: images[..., 0], r"shape \(450, 8, 8\); expected \(N, height, width, channels\)"),
        (lambda images: images.transpose(0, 3, 1, 2), r"shape \(450, 1, 8, 8\)"),
        (lambda images: images[:, :4, :4], "8 × 8 pixels"),
        (lambda images: np.concatenate([images] * 3, axis=3), "channels=1"),
        (lambda images: images.astype(int), "hold torch.int64; expected uint8, or floats"),
        (lambda images: images.astype(np.float32), "floats from 0 to 255; expected floats from 0 to 1"),
        (lambda images: images * np.nan, "floats from nan"),
        (lambda images: "picture.png", "a str that is no array"),
        (lambda images: [[1], [2, 3]], "a list that is no array"),
    ],
)
def test_what_are_no_images_of_its_kind_say_so(model, images, change, words):
    with pytest.raises(ValueError, match=words):
        model.predict(change(images))


def test_without_a_recorded_size_any_square_is_taken(tmp_path, images):
    import json

    write_network(tmp_path)
    file = tmp_path / "network.json"
    fields = json.loads(file.read_text())
    for name in ("schema", "image_size"):
        del fields[name]
    file.write_text(json.dumps(fields))
    model = build.load(tmp_path)
    assert model.image_size is None
    assert len(model.predict(images[:, :6, :6])) == len(images)
    with pytest.raises(ValueError, match="square, of any size"):
        model.predict(images[:, :6])


def test_without_a_recorded_standardisation_it_says_so(tmp_path, images):
    import json

    write_network(tmp_path)
    file = tmp_path / "network.json"
    fields = json.loads(file.read_text())
    for name in ("schema", "mean", "deviation"):
        del fields[name]
    file.write_text(json.dumps(fields))
    with pytest.raises(ValueError, match="does not tell how images are standardised"):
        build.load(tmp_path).predict(images)
