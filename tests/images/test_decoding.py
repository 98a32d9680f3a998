"""Decoding changes nothing in the process, and nothing in the process keeps it from decoding."""

import io
import sys
import threading
import warnings

import numpy as np
import pytest
from PIL import Image, PngImagePlugin, UnidentifiedImageError

from hueprobe.images import read_image
from hueprobe.images.decoding import decode
from tests.images.test_reading import encoded

RNG = np.random.default_rng(1)
PIXELS = RNG.integers(0, 256, (9, 12, 3), np.uint8)
IMAGE = Image.fromarray(PIXELS)


def entries(n, *, of):
    """Return the start of EXIF that names n entries of 12 bytes and holds these."""
    return b"Exif\0\0MM\0*\0\0\0\x08" + n.to_bytes(2, "big") + b"".join(of)


# Orientation 6, and an artist's name that lies behind the end of the file.
CUT_SHORT = entries(
    2, of=[bytes.fromhex("0112 0003 00000001 0006 0000"), bytes.fromhex("013b 0002 00000040 00001000")]
)
ODD = encoded(IMAGE, "PNG", exif=CUT_SHORT)


def palette(transparency):
    image = Image.fromarray(RNG.integers(0, 10, (9, 12), np.uint8))
    image.putpalette(RNG.integers(0, 256, 30, np.uint8).tobytes())
    return encoded(image, "PNG", transparency=transparency)


def test_the_odd_image_is_odd():
    with pytest.warns(UserWarning, match="Tag data|EXIF data"), Image.open(io.BytesIO(ODD)) as image:
        assert image.getexif()[274] == 6


@pytest.mark.parametrize("action", ["error", "ignore"])
def test_an_odd_image_is_the_same_whether_warnings_are_errors_or_not(action):
    with warnings.catch_warnings():
        warnings.simplefilter(action)
        image, record = read_image(ODD)
    assert record.readable and record.reason is None
    np.testing.assert_array_equal(np.asarray(image), np.rot90(PIXELS, -1))


def test_what_pillow_warns_of_is_shown_where_its_user_wants_that():
    with warnings.catch_warnings(record=True) as shown:
        warnings.simplefilter("always")
        assert read_image(ODD)[1].readable
    assert {warning.category for warning in shown} == {UserWarning}


@pytest.mark.parametrize("transparency", [3, bytes(range(0, 250, 25))])
def test_transparency_warns_of_nothing(transparency, monkeypatch):
    monkeypatch.setattr(sys, "executable", "")  # no other process can help
    assert read_image(palette(transparency))[1].readable


def test_without_another_process_the_warning_is_the_reason(monkeypatch):
    monkeypatch.setattr(sys, "executable", "")
    image, record = read_image(ODD)
    assert image is None and record.reason == "Tag data larger than file. Skipping tag 315"


def test_a_user_may_allow_more_pixels_than_pillow_does(monkeypatch):
    """A WebP of 108 pixels, which Pillow's own reader of it would refuse beyond 2 x 50."""
    data = encoded(IMAGE, "WEBP", lossless=True)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 50)
    with pytest.raises(Image.DecompressionBombError):
        Image.open(io.BytesIO(data))
    assert "exceeds limit of 100 pixels" in read_image(data)[1].reason
    monkeypatch.setenv("HUEPROBE_MAX_PIXELS", "107")
    assert "108 pixels) exceeds limit of 107 pixels" in read_image(data)[1].reason
    monkeypatch.setenv("HUEPROBE_MAX_PIXELS", "108")
    image, record = read_image(data)
    assert record.readable
    np.testing.assert_array_equal(np.asarray(image), PIXELS)
    assert Image.MAX_IMAGE_PIXELS == 50


def test_errors_come_back_from_the_other_process(monkeypatch):
    """A file that warns here and is damaged too: its reason is that of the damage."""
    damaged = ODD[: ODD.index(b"IDAT") + 20]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = read_image(damaged)[1].reason
    assert expected and read_image(damaged)[1].reason == expected


def test_reading_changes_nothing_in_the_process(monkeypatch):
    """Looked at while odd, large and broken images are decoded in several threads, and afterwards."""
    monkeypatch.setenv("HUEPROBE_MAX_PIXELS", "1000")
    before = Image.MAX_IMAGE_PIXELS, list(warnings.filters), warnings.showwarning
    seen = []
    load_end = PngImagePlugin.PngImageFile.load_end

    def looking(self):
        seen.append((Image.MAX_IMAGE_PIXELS, list(warnings.filters), warnings.showwarning))
        load_end(self)

    monkeypatch.setattr(PngImagePlugin.PngImageFile, "load_end", looking)
    files = [ODD, palette(bytes(range(10))), encoded(Image.new("L", (40, 40))), b"no image", encoded(IMAGE)]
    found = {}

    def read(number):
        found[number] = [read_image(data)[1].readable for data in files]

    threads = [threading.Thread(target=read, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert list(found.values()) == [[True, True, False, False, True]] * 4
    assert len(seen) >= 8
    assert all(state == before for state in seen)
    assert (Image.MAX_IMAGE_PIXELS, list(warnings.filters), warnings.showwarning) == before


def test_formats_that_are_not_read():
    for kind in ("PDF", "EPS"):
        with pytest.raises(UnidentifiedImageError):
            decode(encoded(IMAGE, kind), None)
    with pytest.raises(UnidentifiedImageError):
        decode(b"P", None)
