"""What cannot be built or joined in parts is refused in one sentence, and nothing is lost."""

import shutil

import pytest
from PIL import Image

import hueprobe as hp
from hueprobe import build_memory
from hueprobe.errors import (
    HueprobeWarning,
    ImageError,
    InputError,
    MemoryDamagedError,
    MemoryFormatError,
    NumericsError,
)
from hueprobe.images.resolve import resolve_images
from hueprobe.memory import writer
from hueprobe.scale import Part, build_part, join
from tests.scale.sets import N_IMAGES, Killed, build_all, contents, killed, network


def test_missing_and_half_parts_are_named(tmp_path, images, options):
    path = tmp_path / "m"
    with pytest.raises(
        MemoryFormatError, match=r"m has no parts \(.*m\.parts does not exist\); build them with"
    ):
        join(path)
    build_part(path, images, "2/6", **options)
    build_part(path, images, "5/6", **options)
    with pytest.raises(
        MemoryFormatError, match=r"cannot be joined yet: of 6 parts, parts 1, 3 to 4, 6 are not begun;"
    ):
        join(path)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(writer.MemoryWriter, "complete", killed)
        with pytest.raises(Killed):
            build_part(path, images, "3/6", **options)
    for number in (1, 4):
        build_part(path, images, Part(number, 6), **options)
    with pytest.raises(
        MemoryFormatError,
        match=r"of 6 parts, part 3 has 4 of 4 images, part 6 is not begun; run .*--part I/6",
    ):
        join(path)
    build_part(path, images, "3/6", **options)
    build_part(path, images, "6/6", **options)
    assert join(path).n_images == N_IMAGES
    assert join(path).n_images == N_IMAGES  # nothing to do


def test_more_parts_than_shards(tmp_path, images, options):
    message = r"m has 22 images in 6 shards of 4, so at most 6 parts, got 2/7; give fewer .*--part I/6"
    with pytest.raises(InputError, match=message):
        build_part(tmp_path / "m", images, "2/7", **options)
    assert not (tmp_path / "m.parts").exists()


def test_other_settings_images_numbers_and_masks_are_refused(tmp_path, images, options):
    path = tmp_path / "m"
    asked = {**options, "masks": tmp_path / "masks"}
    build_part(path, images, "1/3", **asked)
    before = contents(tmp_path / "m.parts")
    dtypes = r"dtype: 'float16' in the memory, 'float32' requested"
    refused: list[tuple[dict, str, str]] = [
        ({"dtype": "float32"}, "2/3", rf"m\.parts has parts of other settings \({dtypes}\); use the same"),
        ({"layer": "1"}, "2/3", "layer: '3' in the memory, '1' requested.*; use the same settings, choose"),
        ({"masks": None}, "2/3", "labels: "),
        ({}, "2/4", r"m is being built in 3 parts, got 2/4; give --part I/3, or choose another folder"),
    ]
    for changed, number, message in refused:
        with pytest.raises(MemoryFormatError, match=message):
            build_part(path, images, number, **{**asked, **changed})
    shutil.copyfile(tmp_path / "masks" / "b" / "21.png", tmp_path / "masks" / "b" / "20.png")
    with pytest.raises(MemoryFormatError, match=r"the masks of 1 image \('b/20.png'\) of 22 changed since"):
        build_part(path, images, "2/3", **asked)
    (images / "b" / "20.png").unlink()
    (tmp_path / "masks" / "b" / "20.png").unlink()
    message = r"m\.parts was begun with another list of images \(0 new, 1 missing"
    with pytest.raises(MemoryFormatError, match=message):
        build_part(path, images, "2/3", **asked)
    assert contents(tmp_path / "m.parts") == before


def test_an_image_that_changed_since_the_first_part_was_begun(tmp_path, images, options):
    build_part(tmp_path / "m", images, "1/3", **options)
    Image.new("RGB", (50, 60)).save(images / "b" / "20.png")
    build_part(tmp_path / "m", images, "2/3", **options)
    with pytest.raises(
        MemoryFormatError, match=r"1 image \('b/20.png'\) of 6 changed since .*0003-of-0003 read them"
    ):
        build_part(tmp_path / "m", images, "3/3", **options)


def test_a_part_of_another_memory_is_named(tmp_path, images, options):
    path = tmp_path / "m"
    build_all(path, images, 3, **options)
    parts = contents(tmp_path / "m.parts")

    def replaced_by(folder):
        shutil.rmtree(tmp_path / "m.parts" / "0002-of-0003")
        shutil.copytree(folder, tmp_path / "m.parts" / "0002-of-0003")

    def foreign(name, images=images, **changed):
        return build_part(tmp_path / name, images, "2/3", **{**options, **changed}).path

    turned = resolve_images(images).select(range(N_IMAGES - 1, -1, -1))
    for folder, message in [
        (foreign("settings", dtype="float32"), "dtype: 'float16' in the memory, 'float32' requested"),
        (foreign("network", backbone=other_network()), "weights_sha256: "),
        (foreign("list", turned), "it holds other images than rows 8 to 15"),
        (tmp_path / "m.parts" / "0001-of-0003", "it holds other images than rows 8 to 15"),
    ]:
        replaced_by(folder)
        with pytest.raises(
            MemoryFormatError, match=rf"0002-of-0003 is not part 2 of .*m: {message}.*--part 2/3"
        ):
            join(path)
        assert not path.exists()
    shutil.rmtree(tmp_path / "m.parts" / "0002-of-0003")
    build_part(path, images, "2/3", **options)
    assert contents(tmp_path / "m.parts") == parts
    # Of another number of parts.
    build_part(tmp_path / "four", images, "2/4", **options)
    shutil.copytree(tmp_path / "four.parts" / "0002-of-0004", tmp_path / "m.parts" / "0002-of-0004")
    with pytest.raises(
        MemoryFormatError, match=r"0002-of-0004 overlaps the 3 parts of .*m and is none of them; move"
    ):
        join(path)
    shutil.rmtree(tmp_path / "m.parts" / "0002-of-0004")
    assert join(path).complete


def other_network():
    from torch import no_grad

    other = network()
    with no_grad():
        other[2].weight.mul_(2)
    return other


def test_a_part_with_other_masks_is_named(tmp_path, images, options):
    asked = {**options, "masks": tmp_path / "masks"}
    build_all(tmp_path / "m", images, 2, **asked)
    shutil.copyfile(tmp_path / "masks" / "b" / "19.png", tmp_path / "masks" / "b" / "20.png")
    build_part(tmp_path / "x", images, "2/2", **asked)
    shutil.rmtree(tmp_path / "m.parts" / "0002-of-0002")
    shutil.copytree(tmp_path / "x.parts" / "0002-of-0002", tmp_path / "m.parts" / "0002-of-0002")
    with pytest.raises(MemoryFormatError, match=r"0002-of-0002 is not part 2 of .*m: it has other masks"):
        join(tmp_path / "m")


@pytest.mark.parametrize("name", ["vectors.npy", "energy.npy", "images.parquet"])
@pytest.mark.parametrize("damage", ["missing", "short"])
def test_a_damaged_part_is_named_before_anything_is_joined(tmp_path, images, options, name, damage):
    build_all(tmp_path / "m", images, 2, **options)
    file = tmp_path / "m.parts" / "0002-of-0002" / "shards" / f"000001.{name}"
    whole = file.read_bytes()
    file.write_bytes(whole[:-1]) if damage == "short" else file.unlink()
    before = contents(tmp_path / "m.parts" / "whole")
    with pytest.raises(
        MemoryDamagedError, match=rf"0002-of-0002/shards/000001.{name} (is missing|has \d+ bytes)"
    ):
        join(tmp_path / "m")
    assert contents(tmp_path / "m.parts" / "whole") == before
    file.write_bytes(whole)
    assert join(tmp_path / "m").complete


def test_changed_records_are_noticed(tmp_path, images, options):
    """Of the right size; these alone are read by a join."""
    build_all(tmp_path / "m", images, 2, **options)
    file = tmp_path / "m.parts" / "0002-of-0002" / "shards" / "000001.images.parquet"
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)
    with pytest.raises(MemoryDamagedError, match=r"000001.images.parquet is damaged"):
        join(tmp_path / "m")


def test_where_a_memory_is_no_part_is_begun_and_none_is_joined(tmp_path, images, options):
    build_all(tmp_path / "m", images, 2, **options)
    whole = build_memory(tmp_path / "w", images, **options)
    with pytest.raises(MemoryFormatError, match=r"w is a memory already, so no part of it is left to build"):
        build_part(whole.path, images, "1/2", **options)
    assert not (tmp_path / "w.parts").exists()
    shutil.copytree(whole.path, tmp_path / "m")
    with pytest.raises(
        MemoryFormatError, match=r"m exists, so its parts cannot be joined there; move or remove it"
    ):
        join(tmp_path / "m")
    shutil.rmtree(tmp_path / "m")
    (tmp_path / "m").mkdir()
    assert join(tmp_path / "m").complete
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "notes.txt").write_text("mine")
    with pytest.raises(MemoryFormatError, match=r"other is not empty and not a memory"):
        build_part(tmp_path / "other", images, "1/2", **options)
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(MemoryFormatError, match=r"link is a link, which joined parts cannot replace"):
        build_part(tmp_path / "link", images, "1/2", **options)


def test_a_whole_build_is_refused_beside_parts(tmp_path, images, options):
    build_part(tmp_path / "m", images, "1/2", **options)
    with pytest.raises(
        MemoryFormatError, match=r"m is being built in parts; build those that are missing with --part"
    ):
        build_memory(tmp_path / "m", images, **options)
    with pytest.raises(
        MemoryFormatError, match=r"m does not exist, but .*m\.parts has parts of it; .*`hueprobe join"
    ):
        hp.open_memory(tmp_path / "m")
    assert not (tmp_path / "m").exists()


def test_overwrite_replaces_one_part_alone(tmp_path, images, options):
    build_all(tmp_path / "m", images, 2, **options)
    before = contents(tmp_path / "m.parts")
    ledger = tmp_path / "m.parts" / "0002-of-0002" / "ledger.jsonl"
    ledger.write_text("damaged\n")
    with pytest.raises(MemoryDamagedError):
        build_part(tmp_path / "m", images, "2/2", **options)
    build_part(tmp_path / "m", images, "2/2", **options, overwrite=True)
    assert contents(tmp_path / "m.parts") == before
    with pytest.raises(MemoryFormatError, match="has parts of other settings"):
        build_part(tmp_path / "m", images, "2/2", **{**options, "dtype": "float32"}, overwrite=True)
    assert contents(tmp_path / "m.parts") == before


def test_files_of_others_stay(tmp_path, images, options):
    build_all(tmp_path / "m", images, 2, **options)
    (tmp_path / "m.parts" / "slurm-7.out").write_text("mine")
    with pytest.warns(
        HueprobeWarning, match=r"m\.parts has files that are not hueprobe's, and stays; all parts"
    ):
        assert join(tmp_path / "m").complete
    assert contents(tmp_path / "m.parts") == {"slurm-7.out": b"mine"}
    with pytest.warns(HueprobeWarning):
        join(tmp_path / "m")


def test_an_error_before_the_first_shard_leaves_nothing(tmp_path, images, options):
    from torch import no_grad

    with no_grad():
        options["backbone"][2].weight.fill_(float("nan"))
    with pytest.raises(NumericsError, match="at layer '3'"):
        build_part(tmp_path / "m", images, "1/2", **options)
    assert not list(tmp_path.glob("m.*"))


def test_no_readable_image_at_all(tmp_path, options):
    for i in range(8):
        (tmp_path / "torn").mkdir(exist_ok=True)
        (tmp_path / "torn" / f"{i}.png").write_bytes(b"torn")
    for part in ("1/2", "2/2"):
        build_part(tmp_path / "m", tmp_path / "torn", part, **options)
    with pytest.raises(ImageError, match="none of 8 images could be read"):
        join(tmp_path / "m")
    assert not list(tmp_path.glob("m*"))


def test_a_class_without_a_readable_image_is_told_by_the_join(tmp_path, images, options):
    (images / "c").mkdir()
    (images / "c" / "torn.png").write_bytes(b"torn")
    build_all(tmp_path / "m", images, 2, **options)
    with pytest.warns(HueprobeWarning, match="no readable image in class 'c'") as caught:
        join(tmp_path / "m")
    assert caught[0].filename == __file__


@pytest.mark.parametrize(
    "text", ["", "{", '{"format": 1}', '{"format": 1, "n": 0}', '{"format": 1, "n": "3"}']
)
def test_a_damaged_record_is_named(tmp_path, images, options, text):
    build_part(tmp_path / "m", images, "1/2", **options)
    (tmp_path / "m.parts" / "parts.json").write_text(text)
    for work in (lambda: join(tmp_path / "m"), lambda: build_part(tmp_path / "m", images, "1/2", **options)):
        with pytest.raises(MemoryDamagedError, match=r"parts\.json .*restore it, or remove .*m\.parts"):
            work()


def test_a_newer_format_is_named(tmp_path, images, options):
    build_part(tmp_path / "m", images, "1/2", **options)
    (tmp_path / "m.parts" / "parts.json").write_text('{"format": 2, "n": 2, "more": 1}')
    with pytest.raises(
        MemoryFormatError, match=r"has format 2, this hueprobe reads up to 1; install a newer"
    ):
        join(tmp_path / "m")
