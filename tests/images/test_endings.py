"""Which files of a folder are images, and what is said of the others."""

import importlib.util
import io
import sys
import warnings

import numpy as np
import pytest
from PIL import Image, features

from hueprobe.errors import HueprobeWarning, ImageError
from hueprobe.images import from_folder, read_image, resolve_images
from hueprobe.images.endings import IMAGE_ENDINGS, is_image, left_out

PIXELS = np.random.default_rng(0).integers(0, 256, (16, 24, 3), np.uint8)
IMAGE = Image.fromarray(PIXELS)


def write(file, form, **options):
    file.parent.mkdir(parents=True, exist_ok=True)
    IMAGE.save(file, form, **options)
    return file


@pytest.mark.parametrize(
    ("ending", "form", "options"),
    [
        ("avif", "AVIF", {}),
        ("AVIF", "AVIF", {}),
        ("jp2", "JPEG2000", {}),
        ("j2k", "JPEG2000", {}),
        ("jpx", "JPEG2000", {}),
        ("mpo", "MPO", {"save_all": True, "append_images": [IMAGE]}),
        ("jfif", "JPEG", {}),
        ("jpe", "JPEG", {}),
        ("webp", "WEBP", {}),
        ("tiff", "TIFF", {}),
        ("ppm", "PPM", {}),
        ("tga", "TGA", {}),
        ("apng", "PNG", {"save_all": True, "append_images": [IMAGE.rotate(90)]}),
        ("dib", "DIB", {}),
        ("pcx", "PCX", {}),
        ("qoi", "QOI", {}),
        ("dds", "DDS", {}),
        ("ico", "ICO", {}),
    ],
)
def test_what_pillow_reads_is_listed_and_read(tmp_path, ending, form, options):
    needed = {"AVIF": "avif", "JPEG2000": "jpg_2000", "WEBP": "webp"}.get(form)
    if needed and not features.check(needed):
        pytest.skip(f"this Pillow has no {form}")
    file = write(tmp_path / "set" / "a" / f"1.{ending}", form, **options)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        table = from_folder(tmp_path / "set")
        assert table.paths == (f"a/1.{ending}",)
        assert resolve_images(file).paths == (f"1.{ending}",)
    image, record = read_image(table.file(0))
    assert record.reason is None and record.readable
    if form != "ICO":
        assert image.size == (24, 16)
        assert np.abs(np.asarray(image, float) - PIXELS).mean() < 80


def test_what_is_left_out_is_counted_in_one_line(tmp_path):
    write(tmp_path / "set" / "a" / "1.png", "PNG")
    for name in ("2.dng", "3.DNG", "4.exr", "scan.nii.gz", "5.png.part"):
        (tmp_path / "set" / "a" / name).write_bytes(b"?")
    write(tmp_path / "set" / "a" / "nameless", "JPEG")
    for name in (
        "notes.txt",
        "labels.csv",
        "LICENSE",
        "Makefile",
        "Thumbs.db",
        ".DS_Store",
        "a.xml",
        "b.json",
    ):
        (tmp_path / "set" / "a" / name).write_text("?")
    with pytest.warns(HueprobeWarning, match="6 files are left out") as caught:
        assert from_folder(tmp_path / "set").paths == ("a/1.png",)
    said = str(caught[0].message)
    assert len(caught) == 1 and caught[0].filename == __file__
    for part in ("2 .dng", "1 .exr", "1 .nii.gz", "1 .part", "1 without an ending"):
        assert part in said
    for part in ("txt", "csv", "LICENSE", "Thumbs", "DS_Store", "xml", "json"):
        assert part not in said


def test_what_lies_beside_images_and_is_none_is_not_worth_a_word(tmp_path):
    write(tmp_path / "set" / "a" / "1.png", "PNG")
    for name in ("README", "readme.md", "x.TXT", "model.pt", "list.mat"):
        (tmp_path / "set" / name).write_text("?")
    (tmp_path / "set" / "a" / "m").mkdir()
    for name in ("memory.json", "0.npy", "shards/0.npy"):
        file = tmp_path / "set" / "a" / "m" / name
        file.parent.mkdir(exist_ok=True)
        file.write_text("?")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert len(from_folder(tmp_path / "set")) == 1


def test_heic_without_its_package(tmp_path, monkeypatch):
    monkeypatch.setattr("hueprobe.images.endings.reads_heif", lambda: False)
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    write(tmp_path / "set" / "a" / "1.png", "PNG")
    heic = b"\0\0\0\x1cftypheic\0\0\0\0" + bytes(100)
    for name in ("2.heic", "3.HEIC", "4.heif"):
        (tmp_path / "set" / "a" / name).write_bytes(heic)
    with pytest.warns(HueprobeWarning, match=r"3 files are left out.*pip install pillow-heif") as caught:
        assert from_folder(tmp_path / "set").paths == ("a/1.png",)
    assert len(caught) == 1
    (tmp_path / "set" / "a" / "1.png").unlink()
    with pytest.raises(ImageError, match=r"no images in .*pip install pillow-heif"):
        from_folder(tmp_path / "set")
    image, record = read_image(heic)
    assert image is None and "pip install pillow-heif" in record.reason
    assert resolve_images(tmp_path / "set" / "a" / "2.heic").paths == ("2.heic",)


def test_heic_with_its_package(tmp_path, monkeypatch):
    """Where pillow-heif is there it is used, and nothing of Pillow's is changed; else a double of it is."""
    data = b"\0\0\0\x1cftypheic\0\0\0\0" + bytes(100)
    if not _has_heif():
        monkeypatch.setitem(sys.modules, "pillow_heif", _Double())
    else:
        file = io.BytesIO()
        importlib.import_module("pillow_heif").from_pillow(IMAGE).save(file)
        data = file.getvalue()
    monkeypatch.setattr("hueprobe.images.endings.reads_heif", lambda: True)
    (tmp_path / "set" / "a").mkdir(parents=True)
    (tmp_path / "set" / "a" / "1.HEIC").write_bytes(data)
    table = from_folder(tmp_path / "set")
    assert table.paths == ("a/1.HEIC",)
    before = dict(Image.OPEN)
    image, record = read_image(table.file(0))
    assert record.readable and image.size == (24, 16) and before == Image.OPEN


def _has_heif():
    return importlib.util.find_spec("pillow_heif") is not None


class _Double:
    """What is used of pillow-heif: a class that opens a file as Pillow's plugins do."""

    @staticmethod
    def HeifImageFile(file, name):
        png = io.BytesIO()
        IMAGE.save(png, "PNG")
        return Image.open(png)


def test_the_ending_counts_in_any_case():
    assert all(is_image(f"x{ending}") and is_image(f"x{ending.upper()}") for ending in IMAGE_ENDINGS)
    assert not any(map(is_image, ("x.txt", "png", ".png.", "x", "x.exr")))


def test_many_endings_stay_one_line():
    said = left_out([f"{i}.x{i}" for i in range(20)])
    assert said.startswith("20 files") and "12 endings more" in said and len(said) < 250
    assert left_out([]) is None is left_out(["a.txt", "b.csv.gz"])
