"""One image: every mode as RGB, EXIF, and files that are none."""

import hashlib
import io
import os
import struct
import zlib

import numpy as np
import pytest
import torch
from PIL import ExifTags, Image, ImageFile, ImageOps

from hueprobe.errors import ImageError
from hueprobe.images import from_dataset, from_folder, from_paths, read_image, show_image

RNG = np.random.default_rng(0)
RGB = Image.fromarray(RNG.integers(0, 256, (9, 12, 3), np.uint8))


def encoded(image, form="PNG", **options):
    file = io.BytesIO()
    image.save(file, form, **options)
    return file.getvalue()


def read(data):
    image, record = read_image(data)
    assert record.reason is None and record.readable
    assert record.sha256 == hashlib.sha256(data).hexdigest()
    assert image.mode == "RGB"
    assert image.size == (record.width, record.height)
    return np.asarray(image)


def reason(data):
    image, record = read_image(data)
    assert image is None and not record.readable
    assert (record.width, record.height) == (0, 0)
    assert "\n" not in record.reason
    return record.reason


def gray_png_16_bits(values):
    """Write a 16-bit gray PNG by hand: signature, IHDR, IDAT, IEND."""

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    height, width = values.shape
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    header = struct.pack(">IIBBBBB", width, height, 16, 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(rows))
        + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize("form", ["PNG", "BMP", "TIFF", "PPM"])
def test_rgb_is_as_it_was(form):
    np.testing.assert_array_equal(read(encoded(RGB, form)), np.asarray(RGB))


@pytest.mark.parametrize("form", ["PNG", "BMP", "TIFF", "PPM", "GIF", "JPEG", "WEBP"])
def test_gray_has_three_equal_channels(form):
    gray = RGB.convert("L")
    pixels = read(encoded(gray, form, **({"lossless": True} if form == "WEBP" else {})))
    np.testing.assert_array_equal(pixels[..., 0], pixels[..., 1])
    np.testing.assert_array_equal(pixels[..., 0], pixels[..., 2])
    if form != "JPEG":
        np.testing.assert_array_equal(pixels[..., 0], np.asarray(gray))


@pytest.mark.parametrize("form", ["PNG", "BMP", "TIFF", "PPM", "GIF"])
def test_one_bit_is_black_and_white(form):
    bits = RNG.integers(0, 2, (9, 12)).astype(bool)
    pixels = read(encoded(Image.fromarray(bits), form))
    np.testing.assert_array_equal(pixels, np.where(bits, 255, 0)[..., None].repeat(3, axis=2))


@pytest.mark.parametrize(
    ("form", "options"),
    [
        *((form, {}) for form in ("PNG", "GIF", "BMP", "TIFF")),
        ("GIF", {"transparency": 3}),
        ("PNG", {"transparency": 3}),
        ("PNG", {"transparency": bytes(range(0, 250, 25))}),
    ],
)
def test_palette(form, options):
    codes = RNG.integers(0, 10, (9, 12)).astype(np.uint8)
    colors = RNG.integers(0, 256, (10, 3)).astype(np.uint8)
    image = Image.fromarray(codes, mode="L")
    image.putpalette(colors.tobytes())
    assert image.mode == "P"
    np.testing.assert_array_equal(read(encoded(image, form, **options)), colors[codes])


@pytest.mark.parametrize("mode", ["LA", "RGBA"])
def test_alpha_is_dropped(mode):
    pixels = RNG.integers(0, 256, (9, 12, len(mode)), np.uint8)
    expected = pixels[..., :3] if mode == "RGBA" else pixels[..., :1].repeat(3, axis=2)
    np.testing.assert_array_equal(read(encoded(Image.fromarray(pixels, mode=mode))), expected)


def test_sixteen_bits_are_scaled_not_clipped():
    values = np.arange(65536, dtype=np.uint16).reshape(256, 256)
    expected = np.round(values.astype(np.float64) * 255 / 65535).astype(np.uint8)
    big_endian = Image.frombytes("I;16B", (256, 256), values.astype(">u2").tobytes())
    for data in (
        gray_png_16_bits(values),
        encoded(Image.fromarray(values), "TIFF"),
        encoded(big_endian, "TIFF"),
        b"P5 256 256 65535\n" + values.astype(">u2").tobytes(),
    ):
        pixels = read(data)
        np.testing.assert_array_equal(pixels[..., 0], expected)
        np.testing.assert_array_equal(pixels[..., 2], expected)


def test_floats_between_0_and_1():
    values = RNG.random((9, 12)).astype(np.float32)
    pixels = read(encoded(Image.fromarray(values), "TIFF"))
    np.testing.assert_array_equal(pixels[..., 1], np.round(values.astype(np.float64) * 255))


@pytest.mark.parametrize("values", [[[-7.0, 0.0, 13.0]], [[-7, 0, 13]], [[1_000_000, 1_000_007, 1_000_020]]])
def test_other_floats_and_whole_numbers_are_stretched(values):
    array = np.array(values, np.float32 if isinstance(values[0][0], float) else np.int32)
    # (0 - -7) / (13 - -7) * 255 = 89.25
    np.testing.assert_array_equal(read(encoded(Image.fromarray(array), "TIFF"))[0, :, 0], [0, 89, 255])


def test_a_constant_float_image_is_black():
    assert not read(encoded(Image.fromarray(np.full((2, 2), 7, np.float32)), "TIFF")).any()


def test_floats_that_are_none():
    array = np.array([[0.0, np.nan]], np.float32)
    assert "NaN or infinite" in reason(encoded(Image.fromarray(array), "TIFF"))


@pytest.mark.parametrize("form", ["JPEG", "TIFF"])
def test_cmyk(form):
    """Pure cyan, magenta, yellow, black, none; JPEG's are inverted in the file, as Adobe writes them."""
    inks = np.zeros((16, 80, 4), np.uint8)
    for i in range(4):
        inks[:, 16 * i : 16 * (i + 1), i] = 255
    options = {"quality": 100, "subsampling": 0} if form == "JPEG" else {}
    pixels = read(encoded(Image.fromarray(inks, mode="CMYK"), form, **options)).astype(int)
    expected = [(0, 255, 255), (255, 0, 255), (255, 255, 0), (0, 0, 0), (255, 255, 255)]
    np.testing.assert_allclose(pixels[8, 8::16], expected, atol=4)


def test_of_an_animation_the_first_frame_counts():
    frames = [Image.new("P", (6, 5), i) for i in range(3)]
    for i, frame in enumerate(frames):
        frame.putpalette([200 - 50 * i, 10, 20] * 3)
    data = encoded(frames[0], "GIF", save_all=True, append_images=frames[1:])
    with Image.open(io.BytesIO(data)) as animation:
        assert animation.n_frames == 3
    assert (read(data) == (200, 10, 20)).all()


@pytest.mark.parametrize("mode", ["YCbCr", "LAB"])
def test_other_color_spaces(mode):
    image = RGB.convert("YCbCr") if mode == "YCbCr" else Image.new("LAB", (12, 9), (255, 128, 128))
    pixels = read(encoded(image, "TIFF")).astype(int)
    expected = np.asarray(RGB).astype(int) if mode == "YCbCr" else 255
    np.testing.assert_allclose(pixels, np.broadcast_to(expected, pixels.shape), atol=4)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("form", ["PNG", "JPEG", "TIFF", "WEBP"])
def test_exif_orientation(form, orientation):
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    data = encoded(RGB, form, exif=exif)
    with Image.open(io.BytesIO(data)) as image:
        expected = np.asarray(ImageOps.exif_transpose(image).convert("RGB"))
    assert expected.shape == ((9, 12, 3) if orientation <= 4 else (12, 9, 3))
    np.testing.assert_array_equal(read(data), expected)


def test_exif_orientation_by_hand():
    """Orientation 6: the camera was turned; the file's left column is the image's top row."""
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    values = np.arange(6, dtype=np.uint8).reshape(2, 3)
    # rows of the file: 0 1 2 / 3 4 5; turned clockwise: 3 0 / 4 1 / 5 2
    turned = read(encoded(Image.fromarray(values), exif=exif))[..., 0]
    np.testing.assert_array_equal(turned, [[3, 0], [4, 1], [5, 2]])


@pytest.mark.parametrize("mode", ["L", "P", "RGBA", "I;16", "1"])
def test_exif_orientation_of_every_mode(mode):
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 8
    image = (
        Image.fromarray(np.asarray(RGB.convert("L")).astype(np.uint16))
        if mode == "I;16"
        else RGB.convert(mode)
    )
    upright = read(encoded(image))
    np.testing.assert_array_equal(read(encoded(image, exif=exif)), np.rot90(upright))


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize("exif", [b"Exif\0\0garbage12345678", b"MM\0*\0\0\0\x08\0\x05\1\x12\0\3"])
def test_exif_that_is_garbage_does_not_matter(form, exif):
    assert read(encoded(RGB, form, exif=exif)).shape == (9, 12, 3)


def test_one_pixel():
    assert read(encoded(Image.new("RGB", (1, 1), (1, 2, 3)))).tolist() == [[[1, 2, 3]]]


@pytest.mark.parametrize("form", ["JPEG", "PNG", "BMP", "GIF", "TIFF", "WEBP", "PPM"])
@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_cut_short(form, share):
    assert not ImageFile.LOAD_TRUNCATED_IMAGES
    image = Image.fromarray(RNG.integers(0, 256, (64, 64, 3), np.uint8))
    data = encoded(image, form)
    assert reason(data[: int(len(data) * share)])


def test_files_that_are_no_images():
    assert reason(b"") == "the file is empty"
    for data in (b"hello\n", b"\0" * 1000, b"\x89PNG\r\n\x1a\n", b"%PDF-1.7", b"<svg/>"):
        assert reason(data)
    assert reason(b"hello\n") == "not an image of a known format"


def test_damage_inside():
    data = bytearray(encoded(Image.fromarray(RNG.integers(0, 256, (64, 64, 3), np.uint8))))
    data[len(data) // 2] ^= 0xFF
    assert reason(bytes(data))


def test_reasons_are_the_same_every_time():
    data = encoded(RGB, "GIF")
    assert reason(data[:20]) == reason(data[:20])
    assert "0x" not in reason(data[:20])


def test_an_image_too_large_to_be_true(monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    assert "exceeds limit" in reason(encoded(RGB))  # 108 pixels: PIL only warns
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 50)
    assert "exceeds limit" in reason(encoded(RGB))  # PIL raises


def test_paths(tmp_path, write_image):
    path = write_image("a.png")
    assert read_image(path)[1] == read_image(path.read_bytes())[1]
    for bad, said in (
        (tmp_path / "gone.png", "No such file"),
        (tmp_path, "not a file"),
        (tmp_path / "\0", "null"),
    ):
        image, record = read_image(bad)
        assert image is None
        assert record.sha256 == "" and said in record.reason


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes here")
def test_a_pipe_does_not_wait_for_ever(tmp_path):
    os.mkfifo(tmp_path / "pipe.png")
    assert read_image(tmp_path / "pipe.png")[1].reason == "not a file"


def test_show_image(tmp_path, write_image):
    path = write_image("a/1.png")
    (tmp_path / "a" / "2.png").write_bytes(b"text")
    table = from_folder(tmp_path)
    np.testing.assert_array_equal(np.asarray(show_image(table, 0)), np.asarray(Image.open(path)))
    with pytest.raises(ImageError, match=r"cannot read image 'a/2.png': not an image of a known format"):
        show_image(table, 1)
    assert show_image(from_paths([path]), 0).size == (12, 9)


PIXELS = RNG.integers(0, 256, (9, 12, 3), np.uint8)
GRAY = PIXELS[..., 0]
EQUAL = GRAY[..., None].repeat(3, axis=2)


@pytest.mark.parametrize(
    ("item", "expected"),
    [
        (Image.fromarray(PIXELS), PIXELS),
        (Image.fromarray(GRAY), EQUAL),
        (PIXELS, PIXELS),
        (GRAY, EQUAL),
        (GRAY[..., None], EQUAL),
        (GRAY / 255, EQUAL),
        (GRAY.astype(np.uint16) * 257, EQUAL),
        (GRAY > 100, (EQUAL > 100) * 255),
        (np.dstack([PIXELS, GRAY]), PIXELS),
        (torch.tensor(PIXELS).permute(2, 0, 1), PIXELS),
        (torch.tensor(GRAY)[None], EQUAL),
        (torch.tensor(GRAY), EQUAL),
        (torch.tensor(PIXELS).permute(2, 0, 1) / 255, PIXELS),
        ((torch.tensor(PIXELS).permute(2, 0, 1).double() / 255).requires_grad_(), PIXELS),
    ],
)
def test_items_of_a_dataset(item, expected):
    for items in ([item], [(item, 0)], [(item, 0, "more")]):
        np.testing.assert_array_equal(np.asarray(show_image(from_dataset(_Items(items)), 0)), expected)


@pytest.mark.parametrize(
    ("item", "said"),
    [
        (np.zeros((2, 4, 4, 3)), r"shape \(2, 4, 4, 3\); give a PIL image"),
        (torch.zeros(5, 5, 3), r"Tensor of shape \(5, 5, 3\)"),
        (np.zeros((0, 4)), "shape"),
        (
            np.full((4, 4), -1.5),
            "float pixels from -1.5 to -1.5; give values between 0 and 1, before any norm",
        ),
        (np.full((4, 4), np.nan), "float pixels from nan"),
        (np.zeros((4, 4), np.int64), "pixels of type int64"),
        ("a.png", "str of shape"),
    ],
)
def test_items_that_are_no_images(item, said):
    with pytest.raises(ImageError, match=f"cannot read image 'item-0000000': .*{said}"):
        show_image(from_dataset(_Items([item])), 0)


class _Items(list):
    """The least a Dataset can be."""
