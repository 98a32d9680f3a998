"""Black and white of images of more than 8 bits: what it does, and that a memory keeps to it."""

import struct
import warnings
import zlib
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from hueprobe import KernelDensityClassifier, build_memory, open_memory
from hueprobe.errors import HueprobeWarning, InputError, MemoryFormatError
from hueprobe.images import from_dataset, from_folder, read_image, show_image
from hueprobe.images.value_range import ValueRange
from hueprobe.memory import append_images
from tests.images.test_reading import encoded, gray_png_16_bits

TWELVE = np.random.default_rng(3).integers(0, 4096, (40, 50)).astype(np.uint16)


@pytest.mark.parametrize(
    ("given", "bounds", "text"),
    [
        (12, (0, 4095), "0:4095"),
        ("12", (0, 4095), "0:4095"),
        ("10", (0, 1023), "0:1023"),
        ("100:3000", (100, 3000), "100:3000"),
        ((-1024, 3071.5), (-1024, 3071.5), "-1024:3071.5"),
        ("-1e3:.5", (-1000, 0.5), "-1000:0.5"),
        ("auto", None, "auto"),
    ],
)
def test_what_may_be_given(given, bounds, text):
    assert ValueRange.of(given).bounds == bounds
    assert ValueRange.of(given).text == text and ValueRange.of(text) == ValueRange.of(given)


def test_full_is_none():
    assert ValueRange.of(None) is None is ValueRange.of("full")


@pytest.mark.parametrize(
    "given", ["", "0", "33", "5:5", "9:1", "1:", "a:b", "12bit", "nan:1", "0:inf", 1.5, (1,)]
)
def test_what_is_none(given):
    with pytest.raises(InputError, match=r"number of bits from 1 to 32, LOW:HIGH .*'auto' or 'full'"):
        ValueRange.of(given)


@pytest.mark.parametrize("form", ["png", "tiff", "dataset"])
@pytest.mark.parametrize(
    ("given", "low", "high"), [(12, 0, 4095), ("500:3000", 500, 3000), ("auto", None, None)]
)
def test_values_are_scaled_to_the_range(form, given, low, high):
    if low is None:
        low, high = int(TWELVE.min()), int(TWELVE.max())
    expected = np.round(255 * np.clip((TWELVE.astype(float) - low) / (high - low), 0, 1))
    if form == "dataset":
        table = from_dataset([(TWELVE, 0)])
        image = show_image(replace(table, value_range=ValueRange.of(given)), 0)
    else:
        data = gray_png_16_bits(TWELVE) if form == "png" else encoded(Image.fromarray(TWELVE), "TIFF")
        image, record = read_image(data, value_range=ValueRange.of(given))
        assert record.noticed.cut == (given == "500:3000")
    np.testing.assert_array_equal(np.asarray(image), expected[..., None].repeat(3, axis=2))


def test_eight_bits_stay_as_they_are():
    image = Image.fromarray(np.arange(256, dtype=np.uint8).reshape(16, 16))
    seen, _ = read_image(encoded(image), value_range=ValueRange.of("0:10"))
    np.testing.assert_array_equal(np.asarray(seen)[..., 0], np.asarray(image))


@pytest.fixture
def twelve_bits(tmp_path):
    """A folder of two classes of 12-bit images, in files of 16 bits."""
    rng = np.random.default_rng(5)
    for name in ("a/0", "a/1", "b/0", "b/1", "more/c/0"):
        values = rng.integers(0, 4000, (64, 64)).astype(np.uint16)
        file = tmp_path / ("set" if "more" not in name else "") / f"{name}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(gray_png_16_bits(values))
    return tmp_path


def build(folder, **options):
    return build_memory(
        folder / "m", from_folder(folder / "set"), backbone="tests.tiny_network:tiny", layer="2",
        device="cpu", workers=0, **options,
    )  # fmt: skip


def test_twelve_bits_in_sixteen_are_said_to_be_dark(twelve_bits):
    with pytest.warns(HueprobeWarning, match="4 of 4 images have 16 bits and no value above 3999") as caught:
        memory = build(twelve_bits)
    assert len(caught) == 1 and "--range 12" in str(caught[0].message)
    assert "value_range" not in (memory.path / "memory.json").read_text()


def test_a_memory_keeps_to_its_range(twelve_bits):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        memory = build(twelve_bits, value_range=12)
        assert memory.settings.value_range == "0:4095"
        assert build(twelve_bits, value_range="0:4095").path == memory.path  # complete already
        append_images(memory.path, from_folder(twelve_bits / "more"), device="cpu", workers=0)
    memory = open_memory(memory.path)
    # Read alike, each image is at distance 0 from itself; as 16 bits it would be nearly black.
    classifier = KernelDensityClassifier(memory, exclude=None, k=1, device="cpu", workers=0)
    for table in (from_folder(twelve_bits / "set"), from_folder(twelve_bits / "more")):
        with pytest.warns(HueprobeWarning, match="are in the memory too"):
            found = classifier.classify(table)
        assert found.matches.distance.max() == 0
    bright = np.asarray(show_image(memory.images, 0))
    assert bright.max() > 200
    with pytest.raises(MemoryFormatError, match="value_range: '0:4095' in the memory, None asked"):
        build(twelve_bits)


def test_a_dark_image_among_bright_ones_is_no_fault(tmp_path):
    for i, greatest in enumerate((9000, 65535)):
        file = tmp_path / "set" / "a" / f"{i}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        values = np.random.default_rng(i).integers(0, greatest + 1, (64, 64)).astype(np.uint16)
        values[0, 0] = greatest
        file.write_bytes(gray_png_16_bits(values))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        build(tmp_path)


def test_what_is_beyond_the_range_is_counted(twelve_bits):
    with pytest.warns(HueprobeWarning, match="4 of 4 images have values beyond the range"):
        build(twelve_bits, value_range=8)


def test_colors_of_sixteen_bits_that_come_out_black_are_counted(tmp_path):
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    values = np.random.default_rng(0).integers(0, 4096, (64, 64, 3)).astype(">u2")
    rows = b"".join(b"\0" + row.tobytes() for row in values)
    header = struct.pack(">IIBBBBB", 64, 64, 16, 2, 0, 0, 0)
    data = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header)
    data += chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    (tmp_path / "set" / "a").mkdir(parents=True)
    (tmp_path / "set" / "a" / "1.png").write_bytes(data)
    with pytest.warns(HueprobeWarning, match="1 of 1 images have 16 bits a color and no value above 4095"):
        build(tmp_path)


def test_transparency_is_counted(tmp_path):
    rng = np.random.default_rng(0)
    (tmp_path / "set" / "a").mkdir(parents=True)
    opaque = np.dstack([rng.integers(0, 256, (64, 64, 3)), np.full((64, 64), 255)]).astype(np.uint8)
    clear = rng.integers(0, 256, (64, 64, 4)).astype(np.uint8)
    for name, pixels in (("opaque", opaque), ("clear", clear)):
        Image.fromarray(pixels).save(tmp_path / "set" / "a" / f"{name}.png")
    palette = Image.fromarray(rng.integers(0, 4, (64, 64)).astype(np.uint8))
    palette.putpalette(bytes(range(12)))
    palette.save(tmp_path / "set" / "a" / "unused.png", transparency=9)
    palette.save(tmp_path / "set" / "a" / "used.gif", transparency=2)
    with pytest.warns(HueprobeWarning, match="2 of 4 images are not opaque: their transparency is dropped"):
        build(tmp_path)
