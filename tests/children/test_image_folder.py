"""Folders of images: what is listed, told and refused, what is cached, and what a child sees of them."""

import os
import resource
import warnings

import numpy as np
import pytest
import torch
from PIL import Image

from nases_env.children import datasets, image_files, image_folder
from nases_env.children.presets import resolve


@pytest.fixture
def root(tmp_path, monkeypatch):
    """A folder for images; what is decoded from it is cached beside it."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    datasets._loaded.clear()
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


def read(root, part="train", image_size=None, channels=None):
    return datasets.read(f"imagefolder:{root}", "", part, image_size, channels)


def test_folder_gives_its_images_and_the_classes_in_alphabetical_order(root):
    written = fill(root, classes=("cat", "ant", "dog"))
    images = read(root)
    assert images.pixels.dtype == np.uint8
    order = [3, 4, 5, 0, 1, 2, 6, 7, 8]  # ant, cat, dog
    assert np.array_equal(images.pixels, np.stack(written)[order])
    assert images.labels.tolist() == [0, 0, 0, 1, 1, 1, 2, 2, 2]
    assert images.labels.dtype == np.int64


def test_decoding_that_takes_long_shows_how_far_it_is(root, monkeypatch, capsys):
    fill(root)
    monkeypatch.setattr(image_folder, "SILENT_SECONDS", 0.0)
    read(root)
    assert "decoding images: " in capsys.readouterr().err
    read(root)  # from the cache
    assert capsys.readouterr().err == ""


def test_decoding_a_few_images_is_silent(root, capsys):
    fill(root)
    read(root)
    assert capsys.readouterr().err == ""


def test_train_and_test_folders_are_read_apart(root):
    train, test = fill(root, "train", count=2), fill(root, "test", count=1)
    put(root / "test" / "cat" / "0.png", pixels(99))
    assert np.array_equal(read(root, "train").pixels, np.stack(train))
    assert np.array_equal(read(root, "test").pixels, np.stack([pixels(99), test[1]]))


def test_images_are_averaged_down_by_blocks(root):
    # Multiples of 4 leave nothing to round.
    images = [put(root / "train" / name / "0.png", pixels(i) // 4 * 4) for i, name in enumerate(("cat", "dog"))]
    means = np.stack(images).reshape(2, 2, 2, 2, 2, 3).mean(axis=(2, 4))
    assert np.array_equal(read(root, image_size=2).pixels, means)


def test_images_of_any_size_are_brought_to_image_size(root):
    put(root / "train" / "cat" / "large.png", np.full((12, 10, 3), 200, dtype=np.uint8))
    put(root / "train" / "dog" / "small.png", np.full((3, 3, 3), 100, dtype=np.uint8))
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
    monkeypatch.setattr(image_files, "read", lambda *_: pytest.fail("decoded again"))
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


def test_every_image_size_is_cached_on_its_own(root):
    fill(root)
    assert [read(root, image_size=size).pixels.shape[1] for size in (2, 3, None, 2)] == [2, 3, 4, 2]


def test_folder_becomes_the_data_of_a_child(root):
    fill(root, count=20, height=6, width=6)
    protocol = resolve({"preset": "digits", "train_images": 24, "validation_images": 10})
    data = datasets.load(f"imagefolder:{root}", "", protocol, "cpu")
    assert data.train.images.shape == (24, 3, 6, 6)
    assert data.validation.images.shape == (10, 3, 6, 6)
    assert (data.classes, data.class_names) == (2, ("cat", "dog"))
    assert np.bincount(data.train.labels).tolist() == [12, 12]
    np.testing.assert_allclose(data.train.images.mean(dim=(0, 2, 3)), 0, atol=1e-5)
    np.testing.assert_allclose(data.train.images.std(dim=(0, 2, 3), correction=0), 1, atol=1e-5)


def test_a_channel_without_contrast_gives_zeros_and_no_nan(root):
    for i in range(8):
        image = pixels(i)
        image[:, :, 1] = 40
        put(root / "train" / "ab"[i % 2] / f"{i}.png", image)
    protocol = resolve({"preset": "digits", "train_images": 4, "validation_images": 4})
    data = datasets.load(f"imagefolder:{root}", "", protocol, "cpu")
    for part in (data.train, data.validation):
        assert torch.isfinite(part.images).all()
        assert part.images[:, 1].abs().max() < 1
        assert part.images[:, 0].abs().max() > 1


# --- channels


def test_grey_folders_have_one_channel_and_their_test_parts_too(root):
    for part in ("train", "test"):
        for i, name in enumerate(("cat", "dog")):
            put(root / part / name / "0.png", pixels(i)[:, :, 0])
    put(root / "test" / "cat" / "1.png", pixels(5))
    assert read(root).pixels.shape == (2, 4, 4, 1)
    assert read(root, "test", None, 1).pixels.shape == (3, 4, 4, 1)
    protocol = resolve({"preset": "digits-final", "stratified": False})
    data = datasets.load(f"imagefolder:{root}", "", protocol, "cpu")
    assert data.train.images.shape == (2, 1, 4, 4)
    assert datasets.load_test(
        f"imagefolder:{root}", "", datasets.load(f"imagefolder:{root}", "", protocol, "cpu")
    ).images.shape == (3, 1, 4, 4)


def test_one_colour_image_gives_all_three_channels(root):
    grey = put(root / "train" / "cat" / "0.png", pixels(0)[:, :, 0])
    colour = put(root / "train" / "dog" / "0.png", pixels(1))
    assert np.array_equal(read(root).pixels, np.stack([np.stack([grey] * 3, axis=2), colour]))


def test_grey_test_images_have_the_training_images_channels(root):
    fill(root)
    fill(root, "test", count=1)
    put(root / "test" / "cat" / "0.png", pixels(0)[:, :, 0])
    put(root / "test" / "dog" / "0.png", pixels(1)[:, :, 0])
    protocol = resolve({"preset": "digits", "train_images": 4, "validation_images": 2})
    assert datasets.load_test(
        f"imagefolder:{root}", "", datasets.load(f"imagefolder:{root}", "", protocol, "cpu")
    ).images.shape == (2, 3, 4, 4)


def test_one_file_is_decoded_as_its_folder_is(root):
    put(root / "train" / "cat" / "0.png", pixels(0, 9, 5)[:, :, 0])
    put(root / "train" / "dog" / "0.png", pixels(1, 6, 8))
    for path, expected in zip(sorted(root.glob("train/*/*")), read(root, image_size=4).pixels, strict=True):
        assert np.array_equal(image_files.decode(path, 4, 3), expected)


# --- which folders and files count


def test_hidden_folder_is_no_class_and_hidden_file_no_image(root):
    fill(root)
    put(root / "train" / ".ipynb_checkpoints" / "0.png", pixels(9))
    put(root / "train" / "cat" / "._0.png", pixels(9))
    (root / "train" / "cat" / ".DS_Store").write_bytes(b"")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        images = read(root)
    assert images.class_names == ("cat", "dog")
    assert images.labels.tolist() == [0, 0, 0, 1, 1, 1]


def test_what_has_no_images_suffix_is_passed_over_and_told_once_with_a_count(root):
    fill(root)
    (root / "train" / "cat" / "notes.txt").write_text("cats")
    (root / "train" / "dog" / "Thumbs.db").write_bytes(b"")
    put(root / "train" / "dog" / "more.png" / "0.png", pixels(9))
    os.mkfifo(root / "train" / "dog" / "pipe")
    (root / "train" / "README.md").write_text("no class")
    with pytest.warns(UserWarning, match=r"entries passed over .*: 4, for example .*cat/notes\.txt") as told:
        assert len(read(root).labels) == 6
    assert len(told) == 1


def test_an_image_beside_the_class_folders_is_passed_over_and_told(root):
    fill(root)
    put(root / "train" / "lost.png", pixels(9))
    with pytest.warns(UserWarning, match=r"no images in a class's folder: 1, for example .*train/lost\.png"):
        assert len(read(root).labels) == 6


def test_suffixes_may_be_in_capitals(root):
    fill(root)
    (root / "train" / "cat" / "0.png").rename(root / "train" / "cat" / "0.PNG")
    assert len(read(root).labels) == 6


def test_a_folder_without_any_image_suffix_tells_what_was_passed_over(root):
    fill(root)
    for path in root.glob("train/*/*"):
        path.rename(path.with_suffix(""))
    with pytest.raises(FileNotFoundError, match=r"no images in .*\(entries passed over .*: 6, .*cat/0\); expected"):
        read(root)


def test_a_class_without_images_is_refused(root):
    fill(root)
    (root / "train" / "empty").mkdir()
    (root / "train" / "empty" / "list.txt").write_text("")
    with pytest.raises(ValueError, match=r"no images of the classes \['empty'\] \(entries .*: 1, .*remove the folders"):
        read(root)


def test_a_single_class_is_refused(root):
    fill(root, classes=("cat",))
    with pytest.raises(ValueError, match=r"train has only the class 'cat'.*at least two.*add a folder"):
        read(root)


def test_a_class_that_the_test_part_lacks_is_told_when_the_training_part_is_loaded(root):
    fill(root, classes=("ant", "cat", "dog"))
    fill(root, "test", classes=("cat",), count=1)
    (root / "test" / "cat" / "0.png").write_bytes(b"never opened")
    (root / "test" / "dog").mkdir()
    with pytest.warns(UserWarning, match=r"test has no images of the classes \['ant', 'dog'\]"):
        read(root)


def test_no_test_part_is_not_told(root):
    fill(root)
    (root / "test" / ".hidden").mkdir(parents=True)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        read(root)


def test_a_test_class_that_cannot_be_learned_is_found_without_opening_images(root, monkeypatch):
    fill(root)
    fill(root, "test", classes=("cat", "cow"))
    monkeypatch.setattr(Image, "open", lambda *_: pytest.fail("opened"))
    with pytest.raises(ValueError, match=r"'cow'.*add images of them"):
        datasets.check_test_part(f"imagefolder:{root}")


@pytest.mark.parametrize("make", [os.mkfifo, lambda path: path.symlink_to(path)])
def test_pipes_and_loops_are_named_before_anything_is_decoded(root, make, monkeypatch):
    fill(root)
    make(root / "train" / "cat" / "odd.png")
    monkeypatch.setattr(Image, "open", lambda *_: pytest.fail("opened"))
    with pytest.raises(ValueError, match=r"cat/odd\.png is not an image that can be read"):
        read(root)


def test_a_class_that_is_a_link_to_nowhere_is_named(root):
    fill(root)
    (root / "train" / "ant").symlink_to(root / "away")
    with pytest.raises(ValueError, match=r"train/ant is a link that leads nowhere"):
        read(root)


def test_a_folder_that_may_not_be_read_is_named(root, monkeypatch):
    fill(root)
    whole = type(root).iterdir

    def refuse(path):
        if path.name == "dog":
            raise PermissionError(13, "Permission denied")
        return whole(path)

    monkeypatch.setattr(type(root), "iterdir", refuse)
    with pytest.raises(OSError, match=r"folder .*train/dog cannot be listed \(Permission denied\); allow"):
        read(root)


def test_names_in_no_known_encoding_are_read(root):
    fill(root)
    os.rename(root / "train" / "cat" / "0.png", os.fsencode(root / "train" / "cat") + b"/\xff.png")
    assert len(read(root).labels) == 6


def test_a_class_whose_name_is_no_text_is_refused(root):
    fill(root)
    os.rename(root / "train" / "cat", os.fsencode(root / "train") + b"/c\xff")
    with pytest.raises(ValueError, match="name 'c.udcff' is no text; rename the folder"):
        read(root)


def test_the_home_folder_is_expanded(root, monkeypatch):
    fill(root)
    fill(root, "test")
    monkeypatch.setenv("HOME", str(root.parent))
    assert len(datasets.read("imagefolder:~/images", "", "train").labels) == 6
    datasets.check_test_part("imagefolder:~/images")


def test_several_frames_are_told_once_with_a_count(root):
    fill(root)
    frames = [Image.new("RGB", (4, 4), colour) for colour in ("red", "blue")]
    for name in ("cat", "dog"):
        frames[0].save(root / "train" / name / "moving.gif", save_all=True, append_images=frames[1:])
    with pytest.warns(UserWarning, match=r"several frames, .*: 2, for example .*cat/moving\.gif") as told:
        read(root)
    assert len(told) == 1


# --- the cache


def cached(root):
    return sorted((root.parent / "cache" / "nases_env").iterdir())


@pytest.mark.parametrize("change", ["RULES", "pillow"])
def test_arrays_of_other_rules_are_not_used(root, monkeypatch, change):
    fill(root)
    read(root)
    monkeypatch.setattr(*((image_folder, "RULES", 0) if change == "RULES" else ("PIL.__version__", "0")))
    read(root)
    assert len(cached(root)) == 2


def test_other_channels_are_cached_on_their_own(root):
    for name in ("cat", "dog"):
        put(root / "train" / name / "0.png", pixels(0)[:, :, 0])
    assert [read(root, channels=count).pixels.shape[3] for count in (3, None, 1, 3)] == [3, 1, 1, 3]


def test_a_class_that_is_added_moves_the_labels_of_a_cached_test_part(root):
    fill(root)
    fill(root, "test", count=1)
    before = read(root, "test").labels.tolist()
    fill(root, classes=("ant",))
    assert (before, read(root, "test").labels.tolist()) == ([0, 1], [1, 2])


def _whole(array):
    return lambda path: np.savez(path, pixels=array)


@pytest.mark.parametrize(
    "damage",
    [
        lambda path: path.write_bytes(b""),
        lambda path: path.write_bytes(b"no zip file at all"),
        lambda path: path.write_bytes(path.read_bytes()[:-40]),
        lambda path: path.write_bytes(path.read_bytes()[:200] + b"\xaa" + path.read_bytes()[201:]),
        lambda path: np.savez(path, images=np.zeros(3)),
        lambda path: (np.save(path.with_suffix(".npy"), np.zeros(3)), path.with_suffix(".npy").rename(path)),
        _whole(np.zeros((6, 4, 4, 3))),
        _whole(np.zeros((5, 4, 4, 3), dtype=np.uint8)),
        _whole(np.zeros((6, 4, 5, 3), dtype=np.uint8)),
        _whole(np.zeros((6, 4, 4, 2), dtype=np.uint8)),
        _whole(np.zeros((6, 4, 4), dtype=np.uint8)),
    ],
)
def test_a_damaged_cache_file_is_replaced(root, damage):
    fill(root)
    first = read(root)
    (path,) = cached(root)
    whole = path.read_bytes()
    damage(path)
    assert np.array_equal(read(root).pixels, first.pixels)
    assert cached(root) == [path] and len(path.read_bytes()) == len(whole)


def test_a_cache_of_another_size_is_not_used(root):
    fill(root)
    expected = read(root, image_size=2)
    (path,) = cached(root)
    np.savez(path, pixels=np.zeros((6, 3, 3, 3), dtype=np.uint8))
    assert np.array_equal(read(root, image_size=2).pixels, expected.pixels)


def test_a_file_in_the_way_of_the_cache_is_told_and_passed_over(root):
    fill(root)
    (root.parent / "cache").write_text("")
    with pytest.warns(UserWarning, match=r"cannot be kept in .*cache/nases_env/.*XDG_CACHE_HOME"):
        assert len(read(root).labels) == 6


def test_a_folder_in_the_way_of_the_array_is_told_and_passed_over(root):
    fill(root)
    read(root)
    (path,) = cached(root)
    path.unlink()
    (path / "x").mkdir(parents=True)
    with pytest.warns(UserWarning, match="cannot be kept"):
        assert len(read(root).labels) == 6
    assert cached(root) == [path]


def test_a_full_disk_is_told_and_leaves_no_partial_file(root):
    fill(root)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, limits[1]))
    try:
        with pytest.warns(UserWarning, match=r"cannot be kept in .*File too large"):
            images = read(root)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert len(images.labels) == 6 and cached(root) == []


def test_an_interrupted_write_leaves_no_partial_file(root, monkeypatch):
    fill(root)

    def interrupt(path, **_):
        path.write_bytes(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr(np, "savez", interrupt)
    with pytest.raises(KeyboardInterrupt):
        read(root)
    assert cached(root) == []


def test_without_a_home_folder_nothing_is_kept(root, monkeypatch):
    fill(root)

    def nowhere(_):
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(type(root), "expanduser", nowhere)
    with pytest.warns(UserWarning, match="cannot be kept in a cache.*no home folder"):
        assert len(read(root).labels) == 6


def test_an_empty_cache_setting_means_the_home_folder(root, monkeypatch):
    fill(root)
    monkeypatch.setenv("XDG_CACHE_HOME", "")
    monkeypatch.setenv("HOME", str(root.parent / "home"))
    read(root)
    assert len(list((root.parent / "home" / ".cache" / "nases_env").iterdir())) == 1
