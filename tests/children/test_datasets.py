"""Data: the digits' split, folders of images, CIFAR-10 that is missing, and what a child sees of them."""

import numpy as np
import pytest
import torch
from PIL import Image

from nases_env.children import datasets
from nases_env.children.protocol import resolve

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
    test = datasets.load_test("digits", "nowhere", DIGITS, "cpu")
    assert test.images.shape == (450, 1, 8, 8)
    assert data.classes == 10


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
    test = datasets.load_test("digits", "nowhere", DIGITS, "cpu")
    black = -float(data.mean[0] / data.deviation[0])
    for part in (data.train, data.validation, test):
        assert float(part.images.min()) == pytest.approx(black, abs=1e-6)
        assert float(part.images.max()) == pytest.approx(float((1 - data.mean[0]) / data.deviation[0]), abs=1e-6)
    assert np.array_equal(rows(unstandardised(data, test)), rows(datasets.read("digits", "", "test")))


def test_split_keeps_the_shares_of_the_classes():
    data = load()
    test = datasets.load_test("digits", "nowhere", DIGITS, "cpu")
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
            other = datasets.Images(*((changed, images.labels) if changed.ndim > 1 else (images.pixels, changed)))
            monkeypatch.setattr(datasets, "read", lambda *_, other=other: other)
            datasets._load.cache_clear()
            digests.add(load(plain).digest)
    datasets._load.cache_clear()
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


def test_unknown_dataset_is_refused_with_the_known_ones():
    with pytest.raises(ValueError, match="'mnist'.*cifar10, digits or imagefolder:PATH"):
        load(dataset="mnist")


# --- folders of images


@pytest.fixture
def root(tmp_path, monkeypatch):
    """A folder for images; what is decoded from it is cached beside it."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    datasets._load.cache_clear()
    return tmp_path / "images"


def pixels(seed, height=4, width=4):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def put(path, array):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array).save(path)
    return array


def fill(root, part="train", classes=("cat", "dog"), count=3, height=4, width=4):
    """count images a class, by path, each of its own seed."""
    names = [f"{part}/{name}/{i}.png" for name in classes for i in range(count)]
    return [put(root / name, pixels(seed, height, width)) for seed, name in enumerate(names)]


def read(root, part="train", image_size=None):
    return datasets.read(f"imagefolder:{root}", "", part, image_size)


def test_folder_gives_its_images_and_the_classes_in_alphabetical_order(root):
    written = fill(root, classes=("cat", "ant", "dog"))
    images = read(root)
    assert images.pixels.dtype == np.uint8
    order = [3, 4, 5, 0, 1, 2, 6, 7, 8]  # ant, cat, dog
    assert np.array_equal(images.pixels, np.stack(written)[order])
    assert images.labels.tolist() == [0, 0, 0, 1, 1, 1, 2, 2, 2]
    assert images.labels.dtype == np.int64


def test_train_and_test_folders_are_read_apart(root):
    train, test = fill(root, "train", count=2), fill(root, "test", count=1)
    put(root / "test" / "cat" / "0.png", pixels(99))
    assert np.array_equal(read(root, "train").pixels, np.stack(train))
    assert np.array_equal(read(root, "test").pixels, np.stack([pixels(99), test[1]]))


def test_grey_images_become_three_channels(root):
    grey = put(root / "train" / "cat" / "0.png", pixels(0)[:, :, 0])
    assert np.array_equal(read(root).pixels, np.stack([grey] * 3, axis=2)[None])


def test_images_are_averaged_down_by_blocks(root):
    # Multiples of 4 leave nothing to round.
    image = put(root / "train" / "cat" / "0.png", pixels(0) // 4 * 4)
    assert np.array_equal(read(root, image_size=2).pixels, block_means(image[None]))


def test_images_of_any_size_are_brought_to_image_size(root):
    put(root / "train" / "cat" / "large.png", np.full((12, 10, 3), 200, dtype=np.uint8))
    put(root / "train" / "cat" / "small.png", np.full((3, 3, 3), 100, dtype=np.uint8))
    images = read(root, image_size=6)
    assert images.pixels.shape == (2, 6, 6, 3)
    assert images.pixels[0].min() == images.pixels[0].max() == 200
    assert images.pixels[1].min() == images.pixels[1].max() == 100


def test_different_sizes_without_image_size_name_the_field(root):
    fill(root, count=1)
    put(root / "train" / "dog" / "wide.png", pixels(5, 4, 6))
    with pytest.raises(ValueError, match=r"different sizes.*\(4, 4, 3\).*\(4, 6, 3\).*image_size"):
        read(root)


def test_missing_folder_says_what_was_expected(root):
    with pytest.raises(FileNotFoundError, match=r"no images in .*images/train; expected .*/train/<class>/\*"):
        read(root)


def test_missing_test_part_says_what_was_expected(root):
    fill(root)
    with pytest.raises(FileNotFoundError, match=r"no images in .*images/test"):
        read(root, "test")


@pytest.mark.parametrize("content", [b"", b"not an image", "truncated"])
def test_broken_file_is_named(root, content):
    fill(root)
    broken = root / "train" / "dog" / "1.png"
    broken.write_bytes(broken.read_bytes()[:60] if content == "truncated" else content)
    with pytest.raises(ValueError, match=r"dog/1\.png is not an image that can be read.*remove or replace"):
        read(root)


def test_second_read_does_not_decode_again(root, monkeypatch):
    fill(root)
    first = read(root)
    monkeypatch.setattr(datasets, "_decode", lambda *_: pytest.fail("decoded again"))
    second = read(root)
    assert np.array_equal(second.pixels, first.pixels)
    assert np.array_equal(second.labels, first.labels)


def test_changed_added_and_removed_files_are_decoded_again(root):
    fill(root)
    before = read(root)
    put(root / "train" / "cat" / "1.png", pixels(77))
    changed = read(root)
    assert np.array_equal(changed.pixels[1], pixels(77))
    assert np.array_equal(changed.pixels[2], before.pixels[2])
    put(root / "train" / "cat" / "3.png", pixels(78))
    assert read(root).labels.tolist() == [0, 0, 0, 0, 1, 1, 1]
    (root / "train" / "dog" / "0.png").unlink()
    assert read(root).labels.tolist() == [0, 0, 0, 0, 1, 1]


def test_an_image_moved_to_another_class_has_that_class(root):
    fill(root)
    before = read(root).labels.tolist()
    (root / "train" / "dog" / "moved.png").write_bytes((root / "train" / "cat" / "0.png").read_bytes())
    (root / "train" / "cat" / "0.png").unlink()
    assert (before, read(root).labels.tolist()) == ([0, 0, 0, 1, 1, 1], [0, 0, 1, 1, 1, 1])


def test_a_class_has_the_same_number_in_both_parts(root):
    fill(root)
    fill(root, "test", classes=("dog",), count=2)
    assert read(root, "test").labels.tolist() == [1, 1]


def test_a_test_class_that_cannot_be_learned_is_named(root):
    fill(root)
    fill(root, "test", classes=("cow",))
    with pytest.raises(ValueError, match="'cow'"):
        read(root, "test")


def test_empty_class_folders_say_what_was_expected(root):
    (root / "train" / "cat").mkdir(parents=True)
    with pytest.raises(FileNotFoundError, match="no images"):
        read(root)


def test_images_that_are_not_square_name_the_field(root):
    fill(root, height=4, width=6)
    with pytest.raises(ValueError, match="4 × 6 pixels.*image_size"):
        read(root)
    assert read(root, image_size=4).pixels.shape[1:3] == (4, 4)


def test_a_split_too_small_for_its_classes_says_what_to_change():
    with pytest.raises(ValueError, match="train_images.*stratified"):
        load(resolve({"preset": "digits", "train_images": 890}))


def test_every_image_size_is_cached_on_its_own(root):
    fill(root)
    assert [read(root, image_size=size).pixels.shape[1] for size in (2, 3, None, 2)] == [2, 3, 4, 2]


def test_folder_becomes_the_data_of_a_child(root):
    fill(root, count=20, height=6, width=6)
    protocol = resolve({"preset": "digits", "train_images": 24, "validation_images": 10})
    data = load(protocol, f"imagefolder:{root}")
    assert data.train.images.shape == (24, 3, 6, 6)
    assert data.validation.images.shape == (10, 3, 6, 6)
    assert data.classes == 2
    assert np.bincount(data.train.labels).tolist() == [12, 12]
    np.testing.assert_allclose(data.train.images.mean(dim=(0, 2, 3)), 0, atol=1e-5)
    np.testing.assert_allclose(data.train.images.std(dim=(0, 2, 3), correction=0), 1, atol=1e-5)


def test_a_channel_without_contrast_gives_zeros_and_no_nan(root):
    for i in range(8):
        image = pixels(i)
        image[:, :, 1] = 40
        put(root / "train" / "ab"[i % 2] / f"{i}.png", image)
    data = load(resolve({"preset": "digits", "train_images": 4, "validation_images": 4}), f"imagefolder:{root}")
    for part in (data.train, data.validation):
        assert torch.isfinite(part.images).all()
        assert part.images[:, 1].abs().max() < 1
        assert part.images[:, 0].abs().max() > 1


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

    def __init__(self, folder, train, download):
        assert folder == "folder"
        assert download
        rng = np.random.default_rng(train)
        self.data = rng.integers(0, 256, (60 if train else 20, 32, 32, 3), dtype=np.uint8)
        self.targets = (np.arange(len(self.data)) % 10).tolist()


@pytest.fixture
def fake_cifar10(monkeypatch):
    monkeypatch.setattr("torchvision.datasets.CIFAR10", FakeCIFAR10)
    datasets._load.cache_clear()
    yield
    datasets._load.cache_clear()


def test_cifar10_is_read_as_torchvision_has_it(fake_cifar10):
    for part, count in (("train", 60), ("test", 20)):
        images = datasets.read("cifar10", "folder", part)
        original = FakeCIFAR10("folder", part == "train", True)
        assert images.pixels.shape == (count, 32, 32, 3)
        assert np.array_equal(images.pixels, original.data)
        assert images.labels.tolist() == original.targets


def test_cifar10_is_averaged_down_to_the_protocols_image_size(fake_cifar10):
    original = FakeCIFAR10("folder", True, True).data
    small = datasets.read("cifar10", "folder", "train", 16).pixels
    assert small.shape == (60, 16, 16, 3)
    assert np.abs(small - block_means(original)).max() <= 1


def test_a_final_protocol_trains_on_all_of_cifar10_and_the_test_part_is_opened_apart(fake_cifar10):
    protocol = resolve("v1-final")
    data = load(protocol, "cifar10", "folder")
    assert (len(data.train), data.validation, data.classes) == (60, None, 10)
    assert len(datasets.load_test("cifar10", "folder", protocol, "cpu")) == 20


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
