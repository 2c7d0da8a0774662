"""Crop, flip and cutout, compared with windows cut by hand."""

import weakref

import pytest
import torch

from nases_env.children import augmentation


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def crop_and_flip(padded, size, flip, generator):
    """A window out of every image, in their order."""
    return augmentation.crop_and_flip(padded, torch.arange(len(padded)), torch.arange(size), flip, generator)


def numbered(count, channels=2, size=5):
    """Images whose every pixel is another number, none of them 0."""
    return torch.arange(1.0, count * channels * size * size + 1).reshape(count, channels, size, size)


def windows(padded, size):
    """Every window of one padded image (C, H, W), plain and mirrored: (top, left, mirrored) → pixels."""
    found = {}
    for top in range(padded.shape[1] - size + 1):
        for left in range(padded.shape[2] - size + 1):
            window = padded[:, top : top + size, left : left + size]
            found[top, left, False] = window
            found[top, left, True] = window.flip(2)
    return found


def places(padded, cropped):
    """For every image, which of its own windows it became."""
    found = []
    for image, result in zip(padded, cropped, strict=True):
        matches = [place for place, window in windows(image, result.shape[-1]).items() if torch.equal(window, result)]
        assert len(matches) == 1
        found.append(matches[0])
    return found


def test_padding_is_a_frame_of_zeros():
    images = numbered(3)
    padded = augmentation.pad(images, 2)
    assert padded.shape == (3, 2, 9, 9)
    assert torch.equal(padded[:, :, 2:7, 2:7], images)
    assert padded.count_nonzero() == images.numel()


def test_padding_by_nothing_changes_nothing():
    assert torch.equal(augmentation.pad(numbered(3), 0), numbered(3))


def test_images_are_padded_once_for_each_width_and_their_frames_go_with_them():
    images, others = numbered(3), numbered(3)
    first = augmentation.pad_once(images, 2)
    assert torch.equal(first, augmentation.pad(images, 2))
    assert augmentation.pad_once(images, 2) is first
    assert augmentation.pad_once(images, 1).shape[-1] == 7
    assert augmentation.pad_once(others, 2) is not first  # equal, but not the same
    held = weakref.ref(first)
    del first, images
    assert held() is None


@pytest.mark.parametrize("flip", [False, True])
def test_every_crop_is_a_window_of_its_own_image(flip):
    padded = augmentation.pad(numbered(400), 2)
    cropped = crop_and_flip(padded, 5, flip, generator())
    assert cropped.shape == (400, 2, 5, 5)
    # 5 × 5 offsets, each of 400 images: one is missed with probability below 25 · 0.96⁴⁰⁰ = 2e-6.
    found = places(padded, cropped)
    assert {place[:2] for place in found} == {(top, left) for top in range(5) for left in range(5)}
    assert {place[2] for place in found} == ({False, True} if flip else {False})


def test_offsets_are_uniform_and_half_of_the_images_are_mirrored():
    padded = augmentation.pad(numbered(3000, channels=1, size=4), 1)
    found = places(padded, crop_and_flip(padded, 4, True, generator()))
    mirrored = sum(place[2] for place in found) / 3000
    assert mirrored == pytest.approx(0.5, abs=0.04)  # 4 deviations
    for offset in {place[:2] for place in found}:
        share = sum(place[:2] == offset for place in found) / 3000
        assert share == pytest.approx(1 / 9, abs=0.025)


def test_without_padding_only_the_mirror_is_left():
    images = numbered(50)
    assert torch.equal(crop_and_flip(images, 5, False, generator()), images)
    found = places(images, crop_and_flip(images, 5, True, generator()))
    assert set(found) == {(0, 0, False), (0, 0, True)}


def test_a_batch_is_cropped_as_if_it_were_all_there_is():
    padded, batch = augmentation.pad(numbered(50), 2), torch.tensor([7, 49, 0, 7])
    found = augmentation.crop_and_flip(padded, batch, torch.arange(5), True, generator())
    assert torch.equal(found, crop_and_flip(padded[batch], 5, True, generator()))


@pytest.mark.parametrize("flip", [False, True])
def test_crops_follow_their_generator(flip):
    padded = augmentation.pad(numbered(50), 2)
    first, again, other = (crop_and_flip(padded, 5, flip, generator(seed)) for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_cropping_keeps_the_images_channels_last_and_as_they_were():
    padded = augmentation.pad(numbered(10), 2)
    before = padded.clone()
    cropped = crop_and_flip(padded, 5, True, generator())
    assert cropped.is_contiguous(memory_format=torch.channels_last)
    assert torch.equal(padded, before)


def intervals(length, side):
    """Where a square of that side centred on any pixel covers a line of that length."""
    starts = [centre - side // 2 for centre in range(length)]
    return {(max(start, 0), min(start + side, length)) for start in starts}


def hole(mask):
    """(first, last + 1) of the true entries, which have to be one run."""
    indices = mask.nonzero().flatten().tolist()
    assert indices == list(range(indices[0], indices[-1] + 1))
    return indices[0], indices[-1] + 1


@pytest.mark.parametrize("side", [1, 2, 3, 4, 16])
def test_cutout_zeroes_one_square_clipped_at_the_border(side):
    images = numbered(600, channels=2, size=8)
    cut = augmentation.cutout(images, side, generator())
    rows, columns = set(), set()
    for image, result in zip(images, cut, strict=True):
        zero = (result == 0).all(dim=0)
        row, column = hole(zero.any(dim=1)), hole(zero.any(dim=0))
        expected = image.clone()
        expected[:, row[0] : row[1], column[0] : column[1]] = 0
        assert torch.equal(result, expected)
        rows.add(row)
        columns.add(column)
    # Its centre may be any pixel, in both directions.
    assert rows == columns == intervals(8, side)


def test_cutout_follows_its_generator_and_leaves_its_input():
    images = numbered(50, size=8)
    first, again, other = (augmentation.cutout(images, 4, generator(seed)) for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert torch.equal(images, numbered(50, size=8))


def test_rows_and_columns_of_the_cutout_are_drawn_apart():
    cut = augmentation.cutout(torch.ones(200, 1, 8, 8), 1, generator())
    holes = (cut[:, 0] == 0).nonzero()[:, 1:]
    assert (holes[:, 0] != holes[:, 1]).any()


def test_augmentation_leaves_torchs_global_random_state_alone():
    before = torch.get_rng_state()
    crop_and_flip(augmentation.pad(numbered(5), 1), 5, True, generator())
    augmentation.cutout(numbered(5), 2, generator())
    assert torch.equal(torch.get_rng_state(), before)
