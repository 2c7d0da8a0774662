"""One image file as 8-bit pixels: modes, white, transparency, orientation, frames, and files that are refused."""

import os
import socket
import struct
import warnings
import zlib

import numpy as np
import pytest
from PIL import Image, features

from nases_env.children import image_files
from nases_env.children.image_files import decode

RAMP = np.arange(65536, dtype=np.uint16).reshape(256, 256)
EIGHT_BITS = ((RAMP.astype(np.int64) + 128) // 257).astype(np.uint8)[:, :, None]
"""The ramp divided by 257 and rounded."""
COLOURS = np.random.default_rng(0).integers(0, 256, (5, 7, 3), dtype=np.uint8)
GREY = COLOURS[:, :, 0]


def tiff(path, values, bits, photometric=1, sample_format=1):
    """An uncompressed grey TIFF, little-endian, of these bytes."""
    height, width = values.shape
    data = values.tobytes() if bits != 12 else _packed(values)
    tags = {
        256: width, 257: height, 258: bits, 259: 1, 262: photometric, 273: 8, 277: 1, 278: height, 279: len(data),
        339: sample_format,
    }  # fmt: skip
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in sorted(tags.items()))
    directory = struct.pack("<H", len(tags)) + entries + bytes(4)
    path.write_bytes(b"II*\0" + struct.pack("<I", 8 + len(data)) + data + directory)
    return path


def _packed(values):
    """Pairs of 12 bits in three bytes."""
    first, second = values.reshape(-1, 2).astype(np.uint16).T
    return np.stack([first >> 4, (first & 15) << 4 | second >> 8, second & 255], axis=1).astype(np.uint8).tobytes()


def png(path, rows, depth, colour_type, **chunks):
    """A PNG of these rows of bytes."""
    width = len(rows[0]) * 8 // depth // {0: 1, 2: 3, 4: 2}[colour_type]
    header = struct.pack(">IIBBBBB", width, len(rows), depth, colour_type, 0, 0, 0)
    data = zlib.compress(b"".join(b"\0" + row for row in rows))
    pairs = [(b"IHDR", header), *((k.encode(), v) for k, v in chunks.items()), (b"IDAT", data), (b"IEND", b"")]
    body = b"".join(struct.pack(">I", len(d)) + n + d + struct.pack(">I", zlib.crc32(n + d)) for n, d in pairs)
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + body)
    return path


def saved(path, array, mode=None, **keywords):
    image = array if isinstance(array, Image.Image) else Image.fromarray(array)
    (image if mode is None else image.convert(mode)).save(path, **keywords)
    return path


# --- what is white


@pytest.mark.parametrize("name", ["ramp.png", "ramp.tif", "ramp.pgm", "ramp.jp2"])
def test_sixteen_bits_are_divided_by_257(tmp_path, name):
    if name.endswith("jp2") and not features.check("jpg_2000"):
        pytest.skip("this Pillow reads no JPEG 2000")
    assert np.array_equal(decode(saved(tmp_path / name, RAMP)), EIGHT_BITS)


def test_big_endian_sixteen_bits_are_divided_by_257(tmp_path):
    image = Image.frombytes("I;16B", (256, 256), RAMP.astype(">u2").tobytes())
    assert np.array_equal(decode(saved(tmp_path / "ramp.tif", image)), EIGHT_BITS)


def test_twelve_bits_reach_from_black_to_white(tmp_path):
    values = np.arange(4096, dtype=np.uint16).reshape(64, 64)
    pixels = decode(tiff(tmp_path / "ramp.tif", values, bits=12))
    assert np.array_equal(pixels[:, :, 0], np.rint(values * (255 / 4095)))


def test_a_grey_map_with_its_own_white_reaches_that(tmp_path):
    path = tmp_path / "ramp.pgm"
    path.write_text("P2 3 1 1000\n0 500 1000\n")
    assert decode(path).ravel().tolist() == [0, 128, 255]


@pytest.mark.parametrize("bits", [8, 16, 32])
def test_where_zero_is_white_values_are_turned_round(tmp_path, bits):
    values = {8: np.uint8([[0, 255]]), 16: np.uint16([[0, 65535]]), 32: np.float32([[0, 1]])}[bits]
    path = tiff(tmp_path / "negative.tif", values, bits, photometric=0, sample_format=3 if bits == 32 else 1)
    assert decode(path).ravel().tolist() == [255, 0]


@pytest.mark.parametrize("suffix", ["tif", "pfm"])
def test_one_is_white_in_floating_point_images(tmp_path, suffix):
    shares = np.linspace(0, 1, 256, dtype=np.float32).reshape(16, 16)
    pixels = decode(saved(tmp_path / f"ramp.{suffix}", shares))
    assert np.array_equal(pixels.ravel(), np.arange(256))


@pytest.mark.parametrize("value", [1.01, -0.01, 255, np.nan, np.inf])
def test_floating_point_values_outside_0_to_1_are_refused(tmp_path, value):
    path = saved(tmp_path / "wrong.tif", np.array([[0.5, value]], dtype=np.float32))
    with pytest.raises(ValueError, match=r"wrong\.tif .*its values reach from .*expected 0 \(black\) to 1 \(white\)"):
        decode(path)


@pytest.mark.parametrize(
    ("kind", "sample_format", "words"),
    [("i1", 2, "signed"), ("i2", 2, "signed"), ("i4", 2, "signed"), ("u4", 1, "32 bits.*save it with 8 or 16 bits")],
)
def test_integers_without_a_stated_white_are_refused(tmp_path, kind, sample_format, words):
    values = np.array([[0, 100]], dtype=kind)
    path = tiff(tmp_path / "deep.tif", values, 8 * values.itemsize, sample_format=sample_format)
    with pytest.raises(ValueError, match=rf"deep\.tif is not an image that can be read \(.*{words}"):
        decode(path)


def test_astronomical_integers_are_refused(tmp_path):
    cards = ["SIMPLE  =                    T", "BITPIX  =                   16", "NAXIS   =                    2"]
    cards += ["NAXIS1  =                    2", "NAXIS2  =                    1", "END"]
    path = tmp_path / "sky.fits"
    path.write_bytes("".join(card.ljust(80) for card in cards).ljust(2880).encode() + bytes(2880))
    with pytest.raises(ValueError, match=r"sky\.fits .*do not tell which is white"):
        decode(path)


# --- other modes


@pytest.mark.parametrize(
    ("name", "mode"),
    [("a.png", "1"), ("a.png", "L"), ("a.tif", "L"), ("a.gif", "L"), ("a.png", "LA"), ("a.tif", "LA"), ("a.png", "P")],
)
def test_grey_files_have_one_channel(tmp_path, name, mode):
    image = Image.fromarray(GREY).convert(mode)
    expected = np.array(image.convert("L"))
    pixels = decode(saved(tmp_path / name, image))
    assert pixels.shape == (5, 7, 1) and pixels.dtype == np.uint8
    assert np.array_equal(pixels[:, :, 0], expected)


def test_grey_of_sixteen_bits_with_transparency_has_one_channel(tmp_path):
    row = np.array([0, 65535, 20000, 65535, 20000, 0], dtype=">u2").tobytes()
    assert decode(png(tmp_path / "a.png", [row], 16, 4)).tolist() == [[[0], [78], [255]]]


@pytest.mark.parametrize(
    ("name", "mode"),
    [
        ("a.png", "RGB"), ("a.png", "RGBA"), ("a.tif", "RGBX"), ("a.tif", "CMYK"), ("a.tif", "YCbCr"), ("a.png", "P"),
        ("a.tif", "LAB"),
    ],
)  # fmt: skip
def test_colour_files_have_three_channels(tmp_path, name, mode):
    image = Image.fromarray(COLOURS).convert(mode)
    path = saved(tmp_path / name, image)
    try:
        with Image.open(path) as stored:
            expected = np.array(stored.convert("RGB"))
    except OSError:
        pytest.skip("this version of Pillow cannot read what it wrote")  # YCbCr TIFF files before 12
    pixels = decode(path)
    assert np.array_equal(pixels, expected)
    if mode not in ("P", "LAB"):
        assert np.abs(pixels.astype(int) - COLOURS).max() <= 3


def test_a_colour_image_that_shows_grey_keeps_three_channels(tmp_path):
    assert decode(saved(tmp_path / "a.jpg", np.stack([GREY] * 3, axis=2))).shape == (5, 7, 3)


def test_a_palette_with_a_colour_that_is_used_has_three_channels(tmp_path):
    image = Image.fromarray(np.uint8([[0, 1]]), "P")
    image.putpalette([9, 9, 9, 9, 9, 10])
    assert decode(saved(tmp_path / "a.png", image)).tolist() == [[[9, 9, 9], [9, 9, 10]]]


@pytest.mark.parametrize("mode", ["La", "RGBa", "PA", "HSV", "I;16L", "I;16N"])
def test_modes_of_rare_formats_become_eight_bits(mode, monkeypatch, tmp_path):
    """Whatever plugin makes them."""
    path = saved(tmp_path / "a.png", GREY)
    image = Image.new("RGBA" if mode == "RGBa" else "L", (2, 2), "white")
    for step in {"La": ["LA", "La"], "PA": ["RGBA", "PA"], "HSV": ["RGB", "HSV"]}.get(mode, [mode]):
        image = image.convert(step) if not mode.startswith("I;16") else Image.new(mode, (2, 2), 65535)
    image.tile = []
    monkeypatch.setattr(Image, "open", lambda _: image)
    assert set(decode(path).ravel()) == {255}


# --- channels and size that are asked for


def test_grey_becomes_colour_and_colour_grey_where_channels_are_given(tmp_path):
    grey, colour = saved(tmp_path / "grey.png", GREY), saved(tmp_path / "colour.png", COLOURS)
    assert np.array_equal(decode(grey, channels=3), np.stack([GREY] * 3, axis=2))
    luma = COLOURS @ np.array([0.299, 0.587, 0.114])
    assert np.abs(decode(colour, channels=1)[:, :, 0] - luma).max() <= 1


@pytest.mark.parametrize("channels", [None, 1, 3])
def test_images_are_brought_to_the_size(tmp_path, channels):
    pixels = decode(saved(tmp_path / "a.png", np.full((12, 10, 3), 200, dtype=np.uint8)), 6, channels)
    assert pixels.shape == (6, 6, channels or 3) and set(pixels.ravel()) == {200}
    pixels[0] = 0  # a copy that can be written


def test_other_channels_are_refused(tmp_path):
    with pytest.raises(ValueError, match=r"channels is 4; expected 1 \(grey\), 3"):
        decode(saved(tmp_path / "a.png", GREY), channels=4)


# --- transparency


@pytest.mark.parametrize("suffix", ["png", "tif", "webp"])
def test_transparent_colours_are_composed_on_white(tmp_path, suffix):
    image = np.uint8([[[200, 100, 0, 255], [200, 100, 0, 0], [200, 100, 0, 51]]])
    keywords = {"lossless": True, "exact": True} if suffix == "webp" else {}
    pixels = decode(saved(tmp_path / f"a.{suffix}", image, **keywords))
    assert pixels.tolist() == [[[200, 100, 0], [255, 255, 255], [244, 224, 204]]]


def test_opaque_colours_stay_as_they_are(tmp_path):
    image = np.dstack([COLOURS, np.full(GREY.shape, 255, dtype=np.uint8)])
    assert np.array_equal(decode(saved(tmp_path / "a.png", image)), COLOURS)


def test_transparent_grey_is_composed_on_white(tmp_path):
    image = Image.merge("LA", [Image.fromarray(np.uint8([[0, 0, 0]])), Image.fromarray(np.uint8([[255, 0, 51]]))])
    assert decode(saved(tmp_path / "a.png", image)).ravel().tolist() == [0, 255, 204]


@pytest.mark.parametrize("suffix", ["png", "gif"])
def test_a_transparent_colour_of_a_palette_is_white(tmp_path, suffix):
    image = Image.fromarray(np.uint8([[0, 1]]), "P")
    image.putpalette([250, 0, 0, 0, 0, 250])
    path = saved(tmp_path / f"a.{suffix}", image, transparency=1)
    assert decode(path).tolist() == [[[250, 0, 0], [255, 255, 255]]]


def test_a_palette_with_shares_of_transparency_is_composed_on_white(tmp_path):
    image = Image.fromarray(np.uint8([[0, 1]]), "P")
    image.putpalette([250, 0, 0, 0, 0, 0])
    path = saved(tmp_path / "a.png", image, transparency=bytes([255, 51]))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert decode(path).tolist() == [[[250, 0, 0], [204, 204, 204]]]


@pytest.mark.parametrize(
    ("array", "transparency"),
    [
        (np.uint8([[7, 9]]), 7),
        (np.uint16([[1799, 2313]]), 1799),
        (np.array([[True, False]]), 255),
        (np.uint8([[[7, 7, 7], [9, 9, 9]]]), (7, 7, 7)),
    ],
)
def test_the_one_transparent_colour_of_a_png_is_white(tmp_path, array, transparency):
    pixels = decode(saved(tmp_path / "a.png", array, transparency=transparency))
    assert set(pixels[0, 0]) == {255} and set(pixels[0, 1]) <= {0, 9}


@pytest.mark.parametrize(
    ("depth", "colour_type", "row", "transparent"),
    [(2, 0, b"\x1b", b"\0\1"), (4, 0, b"\x12", b"\0\1"), (16, 2, b"\1\2" * 3, b"\1\2" * 3)],
)
def test_a_transparent_colour_of_another_depth_is_refused(tmp_path, depth, colour_type, row, transparent):
    path = png(tmp_path / "a.png", [row], depth, colour_type, tRNS=transparent)
    with pytest.raises(ValueError, match=r"a\.png .*transparent colour is of another depth.*save it as RGBA"):
        decode(path)
    decode(png(tmp_path / "opaque.png", [row], depth, colour_type))


# --- orientation and frames


@pytest.mark.parametrize(
    ("suffix", "keywords"),
    [
        ("png", {}),
        ("tif", {}),
        ("tif", {"compression": "tiff_lzw"}),
        ("webp", {"lossless": True}),
        ("jpg", {"quality": 100}),
    ],
)
@pytest.mark.parametrize(("orientation", "quarters"), [(1, 0), (3, 2), (6, -1), (8, 1)])
def test_images_are_turned_upright(tmp_path, suffix, keywords, orientation, quarters):
    exif = Image.Exif()
    exif[0x0112] = orientation
    image = np.repeat(np.repeat(np.uint8([[0, 80], [160, 240], [40, 120]]), 8, axis=0), 8, axis=1)
    path = saved(tmp_path / f"a.{suffix}", np.stack([image] * 3, axis=2), exif=exif, **keywords)
    assert np.abs(decode(path)[:, :, 0].astype(int) - np.rot90(image, quarters)).max() <= 2


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize(("orientation", "quarters"), [(1, 0), (3, 2), (6, -1), (8, 1)])
def test_raw_grey_files_are_turned_upright(tmp_path, dtype, orientation, quarters):
    image = np.random.default_rng(0).integers(0, 256, (20, 40)).astype(dtype) * (np.iinfo(dtype).max // 255)
    path = saved(tmp_path / "a.tif", image, tiffinfo={0x0112: orientation})
    np.testing.assert_array_equal(decode(path)[:, :, 0], np.rot90(image // (np.iinfo(dtype).max // 255), quarters))


@pytest.mark.parametrize("size", [0, -1, "8", 1.5, 10**9])
def test_a_size_that_no_image_can_have_is_refused(tmp_path, size):
    with pytest.raises(ValueError, match="image_size is .*; expected a whole number from 1"):
        decode(saved(tmp_path / "a.png", COLOURS), image_size=size)


@pytest.mark.filterwarnings("ignore:Corrupt EXIF")
@pytest.mark.parametrize("exif", [b"Exif\0\0MM\0\x2a\xff\xff\xff\xff damaged", b"Exif\0\0damaged altogether"])
def test_damaged_exif_data_turn_nothing(tmp_path, exif):
    path = saved(tmp_path / "a.png", COLOURS, exif=exif)
    assert np.array_equal(decode(path), COLOURS)


@pytest.mark.parametrize("suffix", ["gif", "tif", "png", "webp"])
def test_the_first_of_several_frames_is_read(tmp_path, suffix):
    frames = [Image.new("RGB", (4, 4), colour) for colour in ("red", "blue")]
    path = saved(tmp_path / f"a.{suffix}", frames[0], save_all=True, append_images=frames[1:])
    assert image_files.read(path).more_frames
    assert np.abs(decode(path).astype(int) - [255, 0, 0]).max() <= 2
    assert not image_files.read(saved(tmp_path / f"one.{suffix}", frames[0])).more_frames


# --- what is refused


@pytest.mark.parametrize("suffix", ["png", "jpg", "gif", "tif", "webp", "bmp"])
def test_truncated_files_are_refused_by_name(tmp_path, suffix):
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    path = saved(tmp_path / f"broken.{suffix}", noise)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(ValueError, match=rf"broken\.{suffix} is not an image that can be read.*remove or replace it"):
        decode(path)


@pytest.mark.parametrize("kind", [SyntaxError, struct.error, IndexError, EOFError, AttributeError, ZeroDivisionError])
@pytest.mark.parametrize("place", ["PIL.Image.open", "PIL.Image.Image.load", "PIL.Image.Image.convert"])
def test_whatever_pillow_raises_names_the_file(tmp_path, monkeypatch, kind, place):
    def fail(*_):
        raise kind

    path = saved(tmp_path / "odd.gif", GREY)
    monkeypatch.setattr(place, fail)
    with pytest.raises(ValueError, match=rf"odd\.gif is not an image that can be read \({kind.__name__}\)"):
        decode(path)


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
@pytest.mark.parametrize("limit", [30, 10])  # Pillow itself warns above the limit and raises above twice the limit
def test_decompression_bombs_are_refused_by_name(tmp_path, monkeypatch, limit):
    path = saved(tmp_path / "bomb.png", GREY)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", limit)
    with pytest.raises(ValueError, match=r"bomb\.png is not an image.*(7 × 5 pixels are more than the 30|exceeds)"):
        decode(path)


def test_images_without_pixels_are_refused_by_name(tmp_path):
    (tmp_path / "none.pgm").write_bytes(b"P5 0 3 255\n")
    with pytest.raises(ValueError, match=r"none\.pgm is not an image that can be read"):
        decode(tmp_path / "none.pgm", 4)


def test_pipes_are_refused_and_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe.png")
    with pytest.raises(ValueError, match=r"pipe\.png .*not a file"):
        decode(tmp_path / "pipe.png")


def test_sockets_folders_and_devices_are_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # a socket's path may have 100 characters
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("socket.png")
        (tmp_path / "folder.png").mkdir()
        (tmp_path / "device.png").symlink_to("/dev/zero")
        for name in ("socket.png", "folder.png", "device.png"):
            with pytest.raises(ValueError, match=rf"{name} .*not a file"):
                decode(name)


def test_links_that_lead_nowhere_are_refused(tmp_path):
    (tmp_path / "loop.png").symlink_to(tmp_path / "loop.png")
    (tmp_path / "lost.png").symlink_to(tmp_path / "nothing.png")
    for name in ("loop.png", "lost.png", "never.png"):
        with pytest.raises(ValueError, match=f"{name} is not an image that can be read"):
            decode(tmp_path / name)


def test_suffixes_are_those_that_pillow_opens():
    known = image_files.suffixes()
    assert {".png", ".jpg", ".jpeg", ".tif", ".gif", ".webp", ".bmp", ".pgm", ".mpo"} <= known
    assert not {".txt", ".db", ".pdf", "", ".py"} & known
