"""Data: the digits' split, CIFAR-10 that is missing, and what a child sees of them."""

import ast
import dataclasses

import numpy as np
import pytest
import torch

from agents.search.overrides import parse_overrides
from nases_env.children import datasets
from nases_env.children.presets import resolve

DIGITS = resolve("digits")


def load(protocol=DIGITS, dataset="digits", data_dir="nowhere"):
    return datasets.load(dataset, str(data_dir), protocol, "cpu")


def rows(images):
    """Pixels and label of every image, sorted: equal for equal collections, whatever their order."""
    flat = np.concatenate([images.pixels.reshape(len(images.labels), -1), images.labels[:, None]], axis=1)
    return flat[np.lexsort(flat.T)]


# --- digits


def test_digits_have_897_450_and_450_images():
    data = load()
    assert (len(data.train), len(data.validation)) == (897, 450)
    assert data.train.images.shape == (897, 1, 8, 8)
    assert data.validation.images.shape == (450, 1, 8, 8)
    test = datasets.load_test("digits", "nowhere", datasets.load("digits", "nowhere", DIGITS, "cpu"))
    assert test.images.shape == (450, 1, 8, 8)
    assert data.classes == 10
    assert data.class_names == tuple("0123456789")


def test_final_digits_train_on_1347_images_and_hold_none_out():
    data = load(resolve("digits-final"))
    assert data.train.images.shape == (1347, 1, 8, 8)
    assert data.validation is None


def test_tensors_are_float32_images_and_int64_labels():
    data = load()
    for part in (data.train, data.validation):
        assert part.images.dtype == torch.float32
        assert part.labels.dtype == torch.int64
        assert len(part.images) == len(part.labels) == len(part)
        assert part.images.permute(0, 2, 3, 1).is_contiguous()  # NHWC in memory


def test_training_and_test_digits_are_all_of_them_once():
    from sklearn.datasets import load_digits

    parts = [datasets.read("digits", "", part) for part in ("train", "test")]
    assert [len(part.labels) for part in parts] == [1347, 450]
    together = datasets.Images(*(np.concatenate([getattr(p, name) for p in parts]) for name in ("pixels", "labels")))
    digits = load_digits()
    pixels = np.round(digits.images[..., None] * 255 / 16).astype(np.uint8)
    # No two of the 1,797 are alike, so equal collections mean disjoint parts.
    assert len(np.unique(rows(together), axis=0)) == 1797
    assert np.array_equal(rows(together), rows(datasets.Images(pixels, digits.target)))


def unstandardised(data, part):
    pixels = part.images.permute(0, 2, 3, 1).numpy() * data.deviation + data.mean
    return datasets.Images(np.round(pixels * 255).astype(np.uint8), part.labels.numpy())


def test_training_and_validation_digits_are_the_training_part_once():
    data = load()
    parts = [unstandardised(data, part) for part in (data.train, data.validation)]
    together = datasets.Images(*(np.concatenate([getattr(p, name) for p in parts]) for name in ("pixels", "labels")))
    assert np.array_equal(rows(together), rows(datasets.read("digits", "", "train")))


def test_training_images_are_standardised_per_channel():
    data = load()
    assert float(data.train.images.mean()) == pytest.approx(0, abs=1e-5)
    assert float(data.train.images.std(correction=0)) == pytest.approx(1, abs=1e-5)


def test_held_out_images_are_standardised_like_the_training_images():
    data = load()
    test = datasets.load_test("digits", "nowhere", datasets.load("digits", "nowhere", DIGITS, "cpu"))
    black = -float(data.mean[0] / data.deviation[0])
    for part in (data.train, data.validation, test):
        assert float(part.images.min()) == pytest.approx(black, abs=1e-6)
        assert float(part.images.max()) == pytest.approx(float((1 - data.mean[0]) / data.deviation[0]), abs=1e-6)
    assert np.array_equal(rows(unstandardised(data, test)), rows(datasets.read("digits", "", "test")))


def test_split_keeps_the_shares_of_the_classes():
    data = load()
    test = datasets.load_test("digits", "nowhere", datasets.load("digits", "nowhere", DIGITS, "cpu"))
    counts = np.stack([np.bincount(part.labels, minlength=10) for part in (data.train, data.validation, test)])
    expected = counts.sum(axis=0) * np.array([[897], [450], [450]]) / 1797
    assert np.abs(counts - expected).max() < 2


def test_split_without_stratification_is_another_one():
    stratified, plain = load(), load(resolve({"preset": "digits", "stratified": False}))
    assert (len(plain.train), len(plain.validation)) == (897, 450)
    assert stratified.digest != plain.digest


def test_validation_images_do_not_depend_on_how_many_are_trained_on():
    few, many = (load(resolve({"preset": "digits", "train_images": count})) for count in (64, 500))
    assert (len(few.train), len(many.train)) == (64, 500)
    first, second = (unstandardised(data, data.validation) for data in (few, many))
    assert np.array_equal(first.labels, second.labels)
    assert np.array_equal(first.pixels, second.pixels)


def test_all_images_that_are_left_can_be_trained_on():
    data = load(resolve({"preset": "digits", "train_images": None, "validation_images": 300}))
    assert (len(data.train), len(data.validation)) == (1047, 300)


def test_split_seed_changes_the_split_and_nothing_else_does():
    first, second = load(), load(resolve({"preset": "digits", "split_seed": 1}))
    assert first.digest != second.digest
    assert not torch.equal(first.validation.labels, second.validation.labels)
    other = load(resolve({"preset": "digits", "epochs": 9, "width": 0.5, "crop_padding": 3}))
    assert other.digest == first.digest
    assert torch.equal(other.train.images, first.train.images)


def test_digest_names_every_pixel_and_label_of_both_parts(monkeypatch):
    # Not stratified, or a changed label would move other images too.
    plain = resolve({"preset": "digits", "stratified": False})
    images, data = datasets.read("digits", "", "train"), load(plain)
    digests = {data.digest}
    for part in (data.train, data.validation):
        first = unstandardised(data, part).pixels[0]
        (index,) = np.flatnonzero((images.pixels == first).all(axis=(1, 2, 3)))
        for changed in (images.pixels.copy(), images.labels.copy()):
            changed[index] = changed[index] ^ 1 if changed.ndim > 1 else (changed[index] + 1) % 10
            other = dataclasses.replace(images, **{"pixels" if changed.ndim > 1 else "labels": changed})
            monkeypatch.setattr(datasets, "read", lambda *_, other=other: other)
            datasets._loaded.clear()
            digests.add(load(plain).digest)
    datasets._loaded.clear()
    assert len(digests) == 5


def test_data_are_loaded_once_per_process():
    assert load() is load()


def block_means(pixels):
    """2 × 2 blocks of (N, H, W, C) averaged."""
    count, height, width, channels = pixels.shape
    return pixels.reshape(count, height // 2, 2, width // 2, 2, channels).mean(axis=(2, 4))


def test_digits_can_be_averaged_down():
    images, small = (datasets.read("digits", "", "train", size) for size in (8, 4))
    assert small.pixels.shape == (1347, 4, 4, 1)
    # Pillow rounds after the rows and again after the columns.
    assert np.abs(small.pixels - block_means(images.pixels)).max() <= 1
    assert np.array_equal(small.labels, images.labels)
    assert load(resolve({"preset": "digits", "image_size": 4})).train.images.shape == (897, 1, 4, 4)


@pytest.mark.parametrize(
    "fields",
    [
        {"train_images": 898},
        {"train_images": 1347, "validation_images": 450},
        {"train_images": None, "validation_images": 1347},
        {"validation_images": 2000},
    ],
)
def test_too_few_images_are_refused_with_both_counts(fields):
    protocol = resolve({"preset": "digits", **fields})
    wanted = f"train_images={protocol.train_images} and validation_images={protocol.validation_images}"
    with pytest.raises(ValueError, match=f"1347 training images.*{wanted}"):
        load(protocol)


def made_up(*sizes):
    """Images of classes of these sizes."""
    labels = np.repeat(np.arange(len(sizes)), sizes)
    return datasets.Images(np.zeros((len(labels), 2, 2, 1), dtype=np.uint8), labels, tuple(map(str, labels)))


@pytest.mark.parametrize(
    ("preset", "sizes", "validation"),
    [
        ("cifar10-mini", (500, 500), 250),
        ("v1-search", (500, 500), 250),
        ("cifar10-mini", (3,) * 10, 10),  # one validation image a class
        ("cifar10-mini", (2,) * 10, 10),
        ("cifar10-mini", (1, 8), 2),  # a single image is in one part only: not stratified
        ("v1-search", (1, 2), 1),
    ],
)
def test_what_the_error_of_too_few_images_proposes_works(preset, sizes, validation):
    with pytest.raises(ValueError, match="use for example") as error:
        datasets.split(made_up(*sizes), resolve(preset))
    words, _, in_python = str(error.value).partition("--overrides ")[2].partition(", in Python protocol=")
    from_command = resolve({"preset": preset, **parse_overrides(words.split())})
    assert resolve(ast.literal_eval(in_python.replace("PRESET", repr(preset)))) == from_command
    train, held_out = datasets.split(made_up(*sizes), from_command)
    assert (len(train.labels), len(held_out.labels)) == (sum(sizes) - validation, validation)


def test_final_protocols_are_told_to_train_on_all_images():
    with pytest.raises(ValueError, match="--overrides train_images=20 validation_images=0,"):
        datasets.split(made_up(10, 10), resolve({"preset": "digits-final", "train_images": 30}))


def test_two_images_cannot_be_split_and_more_are_asked_for():
    with pytest.raises(ValueError, match="validation_images=3000; add images$"):
        datasets.split(made_up(1, 1), resolve("cifar10-mini"))


def test_unknown_dataset_is_refused_with_the_known_ones():
    with pytest.raises(ValueError, match="'mnist'.*cifar10, digits or imagefolder:PATH"):
        load(dataset="mnist")


@pytest.mark.parametrize("dataset", [None, 3, b"digits", "imagefolder:", "imagefolder"])
def test_what_is_no_name_of_a_dataset_is_refused(dataset):
    with pytest.raises(ValueError, match=r"no dataset .*imagefolder:PATH"):
        load(dataset=dataset)


def test_a_split_too_small_for_its_classes_says_what_to_change():
    with pytest.raises(ValueError, match="train_images.*stratified"):
        load(resolve({"preset": "digits", "train_images": 890}))


# --- CIFAR-10


def test_missing_cifar10_names_the_folder_and_the_fix(tmp_path, monkeypatch):
    def unavailable(*_, **__):
        raise RuntimeError("no network here")

    monkeypatch.setattr("torchvision.datasets.CIFAR10", unavailable)
    folder = str((tmp_path / "cifar").resolve())
    with pytest.raises(FileNotFoundError, match=r"no network here.*cifar-10-python\.tar\.gz.*data_dir") as error:
        load(resolve("v1-search"), "cifar10", folder)
    assert folder in str(error.value)
    assert "imagefolder:PATH" in str(error.value)


class FakeCIFAR10:
    """60 images to train, 20 to test."""

    classes = [f"class {i}" for i in range(10)]

    def __init__(self, folder, train, download):
        assert folder == "folder"
        assert download
        rng = np.random.default_rng(train)
        self.data = rng.integers(0, 256, (60 if train else 20, 32, 32, 3), dtype=np.uint8)
        self.targets = (np.arange(len(self.data)) % 10).tolist()


@pytest.fixture
def fake_cifar10(monkeypatch):
    monkeypatch.setattr("torchvision.datasets.CIFAR10", FakeCIFAR10)
    datasets._loaded.clear()
    yield
    datasets._loaded.clear()


def test_cifar10_is_read_as_torchvision_has_it(fake_cifar10):
    for part, count in (("train", 60), ("test", 20)):
        images = datasets.read("cifar10", "folder", part)
        original = FakeCIFAR10("folder", part == "train", True)
        assert images.pixels.shape == (count, 32, 32, 3)
        assert np.array_equal(images.pixels, original.data)
        assert images.labels.tolist() == original.targets
        assert images.class_names == tuple(original.classes)


def test_cifar10_is_averaged_down_to_the_protocols_image_size(fake_cifar10):
    original = FakeCIFAR10("folder", True, True).data
    small = datasets.read("cifar10", "folder", "train", 16).pixels
    assert small.shape == (60, 16, 16, 3)
    assert np.abs(small - block_means(original)).max() <= 1


def test_a_final_protocol_trains_on_all_of_cifar10_and_the_test_part_is_opened_apart(fake_cifar10):
    protocol = resolve("v1-final")
    data = load(protocol, "cifar10", "folder")
    assert (len(data.train), data.validation, data.classes) == (60, None, 10)
    assert len(datasets.load_test("cifar10", "folder", datasets.load("cifar10", "folder", protocol, "cpu"))) == 20


def test_a_search_never_reads_the_test_part(fake_cifar10, monkeypatch):
    opened = []
    whole = datasets.read
    monkeypatch.setattr(
        datasets, "read", lambda name, folder, part, size: opened.append(part) or whole(name, folder, part, size)
    )
    load(resolve({"preset": "cifar10-mini", "train_images": 30, "validation_images": 20}), "cifar10", "folder")
    assert opened == ["train"]


def test_too_few_cifar10_images_are_refused(fake_cifar10):
    with pytest.raises(ValueError, match="60 training images; the protocol asks for train_images=45000"):
        load(resolve("v1-search"), "cifar10", "folder")


def test_data_are_read_once_while_somebody_holds_them_and_kept_by_nobody_else(monkeypatch):
    datasets._loaded.clear()
    loads, read = [], datasets._load
    monkeypatch.setattr(datasets, "_load", lambda *key: loads.append(key) or read(*key))
    first = load()
    assert load() is first and len(loads) == 1
    del first
    assert not datasets._loaded
    load()
    assert len(loads) == 2


def test_a_source_reads_the_same_data_again_and_refuses_others():
    data = load()
    source = datasets.DataSource("digits", "nowhere", DIGITS.split(), data.digest)
    again = source.read("cpu", torch.float32)
    assert again is not data and torch.equal(again.train.images, data.train.images)
    other = dataclasses.replace(source, split=dataclasses.replace(source.split, split_seed=1))
    with pytest.raises(ValueError, match="give every process the same files"):
        other.read("cpu", torch.float32)
    with pytest.raises(ValueError, match=r"the images of digits have the digest another here; expected \w{12}"):
        source.check(dataclasses.replace(data, digest="another"))
