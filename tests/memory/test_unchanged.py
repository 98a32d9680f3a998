"""The same call on other content: what a memory read is compared with what is there now."""

import os
import shutil
import time

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from PIL import Image

from hueprobe import build_memories, build_memory, memory_from_arrays, open_memory
from hueprobe.cli import main
from hueprobe.errors import HueprobeError, HueprobeWarning, InputError, MemoryFormatError
from hueprobe.images import from_folder, from_table
from hueprobe.memory import append_images, unchanged
from hueprobe.memory.writer import MemoryWriter
from hueprobe.studies.observing.accuracy_runs import accuracy_grid
from tests.tiny_network import tiny

APPEND = {"backbone": tiny()[0], "transform": tiny()[1], "device": "cpu"}
OPTIONS = {**APPEND, "layer": "3", "batch_size": 2, "shard_images": 2}
COMMAND = ["--backbone", "tests.tiny_network:tiny", "--layer", "3", "--batch-size", "2", "--device", "cpu"]


def draw(file, seed):
    """Write an image whose size in bytes does not depend on its content."""
    file.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (9, 9, 3), np.uint8)
    Image.fromarray(pixels).save(file, format="BMP")


@pytest.fixture
def images(tmp_path):
    for row in range(6):
        draw(tmp_path / "images" / "ab"[row % 2] / f"{row}.bmp", row)
    return tmp_path / "images"


@pytest.fixture
def short_minute(monkeypatch):
    """Let a memory's list carry its time to the millisecond, so that files are soon older than it."""
    monkeypatch.setattr(unchanged, "_MINUTE", 1_000_000)


@pytest.fixture
def hashed(monkeypatch):
    """Note which images are hashed to be compared."""
    seen = []
    own = unchanged.content_hash

    def noted(table, row):
        seen.append(table.paths[row])
        return own(table, row)

    monkeypatch.setattr(unchanged, "content_hash", noted)
    return seen


def build(path, images, **more):
    return build_memory(path, images, **{**OPTIONS, **more})


def stopped(path, images, *, after, monkeypatch, call=build_memory, **more):
    """Begin what would write a memory and stop it after some shards."""
    own = MemoryWriter.shard

    def shard(self, start, stop):
        if len(self.ledger.shards) == after:
            raise KeyboardInterrupt
        return own(self, start, stop)

    with monkeypatch.context() as patched:
        patched.setattr(MemoryWriter, "shard", shard)
        with pytest.raises(KeyboardInterrupt):
            call(path, images, **{**OPTIONS, **more})


def keep_time(file, change):
    """Change a file in place and set its mtime back."""
    before = file.stat()
    change(file)
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert file.stat().st_size == before.st_size and file.stat().st_mtime_ns == before.st_mtime_ns


def change_in_place(images):
    draw(images / "b" / "1.bmp", 99)


def keep_the_time_of_the_change(images):
    keep_time(images / "b" / "1.bmp", lambda file: draw(file, 99))


def swap_two(images):
    (images / "a" / "0.bmp").rename(images / "t")
    (images / "a" / "2.bmp").rename(images / "a" / "0.bmp")
    (images / "t").rename(images / "a" / "2.bmp")


def put_another_folder_in_its_place(images):
    for row in range(6):
        assert (images.parent / "other" / "ab"[row % 2] / f"{row}.bmp").exists()
    images.rename(images.parent / "was")
    (images.parent / "other").rename(images)


CHANGES = (change_in_place, keep_the_time_of_the_change, swap_two, put_another_folder_in_its_place)


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("done", ["all", 2])
def test_files_that_changed_are_noticed_whatever_their_times_say(
    tmp_path, images, change, done, monkeypatch, short_minute
):
    for row in range(6):
        draw(tmp_path / "other" / "ab"[row % 2] / f"{row}.bmp", 90 + row)
    time.sleep(0.03)
    if done == "all":
        build(tmp_path / "m", images)
    else:
        stopped(tmp_path / "m", images, after=done, monkeypatch=monkeypatch)
    time.sleep(0.03)
    change(images)
    with pytest.raises(MemoryFormatError, match=r"\d images? \('[ab]/\d.bmp'.* changed .*--overwrite"):
        build(tmp_path / "m", images)
    again = build(tmp_path / "m", images, overwrite=True)
    assert again.sha256 == build(tmp_path / "new", images).sha256


def test_what_was_not_read_yet_is_read_as_it_is(tmp_path, images, monkeypatch):
    stopped(tmp_path / "m", images, after=1, monkeypatch=monkeypatch)
    change_in_place(images)  # image 3 in order of class and name, in the second shard
    assert build(tmp_path / "m", images).sha256 == build(tmp_path / "new", images).sha256


@pytest.mark.parametrize("link", ["file", "folder", "above"])
def test_links_that_lead_elsewhere_are_noticed(tmp_path, images, link, short_minute):
    for row in range(6):
        draw(tmp_path / "v2" / "images" / "ab"[row % 2] / f"{row}.bmp", 90 + row)
    (tmp_path / "v1").mkdir()
    images.rename(tmp_path / "v1" / "images")
    names = {"file": "images/a/0.bmp", "folder": "images/a", "above": ""}
    name = names[link]
    asked = tmp_path / "now" / "images"
    if link == "above":
        (tmp_path / "now").symlink_to(tmp_path / "v1")
    else:
        shutil.copytree(tmp_path / "v1", tmp_path / "now")
        place = tmp_path / "now" / name
        place.unlink() if link == "file" else shutil.rmtree(place)
        place.symlink_to(tmp_path / "v1" / name)
    time.sleep(0.03)
    build(tmp_path / "m", asked)
    time.sleep(0.03)
    place = tmp_path / "now" / name if name else tmp_path / "now"
    place.unlink()
    place.symlink_to(tmp_path / "v2" / name if name else tmp_path / "v2")
    with pytest.raises(MemoryFormatError, match="changed since"):
        build(tmp_path / "m", asked)


def test_files_older_than_the_memory_are_not_read_again(tmp_path, images, hashed, short_minute):
    time.sleep(0.03)
    build(tmp_path / "m", images)
    build(tmp_path / "m", images)
    assert hashed == []
    (images / "a" / "0.bmp").touch()  # in doubt, and the same
    build(tmp_path / "m", images)
    assert hashed == ["a/0.bmp"]


@pytest.mark.parametrize("preserve", [True, False])
def test_a_copy_of_a_memory_without_its_times_trusts_none(tmp_path, images, hashed, short_minute, preserve):
    time.sleep(0.03)
    build(tmp_path / "m", images)
    copy = shutil.copy2 if preserve else shutil.copyfile
    shutil.copytree(tmp_path / "m", tmp_path / "copy", copy_function=copy)
    if not preserve:
        os.utime(tmp_path / "copy" / "source.parquet", ns=(time.time_ns(), time.time_ns() // 1000 * 1000 + 1))
    assert open_memory(tmp_path / "copy").complete
    build(tmp_path / "copy", images)
    assert len(hashed) == (0 if preserve else 6)


def test_the_same_names_and_sizes_below_another_root_are_other_images(tmp_path, images):
    memory = build(tmp_path / "m", images)
    for row in range(6):
        draw(tmp_path / "other" / "ab"[row % 2] / f"{row}.bmp", 90 + row)
    with pytest.raises(MemoryFormatError, match=r"6 images \(.*\) of 6 changed"):
        build(tmp_path / "m", tmp_path / "other")
    shutil.copytree(images, tmp_path / "moved")
    assert build(tmp_path / "m", tmp_path / "moved").sha256 == memory.sha256


def test_a_file_of_another_size_is_named(tmp_path, images):
    build(tmp_path / "m", images)
    Image.new("RGB", (20, 20)).save(images / "a" / "0.bmp")
    with pytest.raises(MemoryFormatError, match=r"1 image \('a/0.bmp'\) of 6 changed"):
        build(tmp_path / "m", images)


def test_every_memory_of_several_layers_is_compared(tmp_path, images):
    several = {**OPTIONS, "layers": ["1", "3"]}
    del several["layer"]
    build_memories(tmp_path / "m", images, **several)
    change_in_place(images)
    with pytest.raises(MemoryFormatError, match="changed since"):
        build_memories(tmp_path / "m", images, **several)


def test_the_command_says_what_changed_and_what_it_goes_on_with(tmp_path, images):
    def index(*more):
        return CliRunner().invoke(main, ["index", str(images), "-o", str(tmp_path / "m"), *COMMAND, *more])

    assert index().exit_code == 0
    again = index()
    assert again.exit_code == 0 and "already complete" in again.stderr
    change_in_place(images)
    refused = index()
    assert refused.exit_code == 1 and refused.stdout == ""
    (line,) = [line for line in refused.stderr.splitlines() if "error" in line]
    assert "1 image ('b/1.bmp') of 6 changed" in line and "--overwrite" in line
    assert index("--overwrite").exit_code == 0
    assert open_memory(tmp_path / "m").sha256 == build(tmp_path / "new", images).sha256


def test_a_stopped_build_says_that_it_goes_on(tmp_path, images, monkeypatch):
    command = ["index", str(images), "-o", str(tmp_path / "m"), *COMMAND]
    monkeypatch.setattr("hueprobe.memory.settings.SHARD_IMAGES", 2)
    with monkeypatch.context() as patched:
        patched.setattr(MemoryWriter, "complete", lambda self: (_ for _ in ()).throw(KeyboardInterrupt))
        first = CliRunner().invoke(main, command)
    assert first.exit_code == 130 and "resuming" not in first.stderr.split("stopped")[0]
    assert "resuming" not in CliRunner().invoke(main, [*command, "--dry-run", "--overwrite"]).stderr
    again = CliRunner().invoke(main, command)
    assert again.exit_code == 0
    assert f"{tmp_path / 'm'}: resuming; 6 of 6 images are done" in again.stderr


# Files that are gone


def test_a_complete_memory_needs_no_images(tmp_path, images):
    table = from_folder(images)
    build(tmp_path / "m", table)
    (images / "b" / "3.bmp").unlink()
    with pytest.warns(HueprobeWarning, match=r"1 image \('b/3.bmp'\) cannot be read any more"):
        build(tmp_path / "m", table)
    (tmp_path / "t.csv").write_text("path,class\n" + "".join(f"images/{p},x\n" for p in table.paths))
    draw(images / "b" / "3.bmp", 3)
    build(tmp_path / "c", tmp_path / "t.csv")
    (images / "b" / "3.bmp").unlink()
    with pytest.warns(HueprobeWarning, match="cannot be read any more"):
        build(tmp_path / "c", tmp_path / "t.csv")


def test_a_build_that_goes_on_needs_those_that_it_lacks(tmp_path, images, monkeypatch):
    table = from_folder(images)
    (tmp_path / "t.csv").write_text("path,class\n" + "".join(f"images/{p},x\n" for p in table.paths))
    stopped(tmp_path / "m", from_table(tmp_path / "t.csv"), after=1, monkeypatch=monkeypatch)
    (images / table.paths[-1]).rename(tmp_path / "kept")
    with pytest.raises(MemoryFormatError, match=r"1 image \('images/b/5.bmp'\) that .* still has to read"):
        build(tmp_path / "m", tmp_path / "t.csv")
    (tmp_path / "kept").rename(images / table.paths[-1])
    assert build(tmp_path / "m", tmp_path / "t.csv").complete


# Datasets


class Items(torch.utils.data.Dataset):
    """Noise of a seed, and labels."""

    def __init__(self, seed, n=6, *, changed=None):
        rng = np.random.default_rng(seed)
        self.pixels = rng.integers(0, 256, (n, 9, 9, 3), np.uint8)
        if changed is not None:
            self.pixels[changed, 4, 4] ^= 1
        self.targets = [0, 1] * (n // 2)

    def __len__(self):
        return len(self.pixels)

    def __getitem__(self, i):
        return Image.fromarray(self.pixels[i]), self.targets[i]


class Random(Items):
    """What a Dataset with random transforms gives."""

    def __getitem__(self, i):
        pixels = np.random.default_rng().integers(0, 256, (9, 9, 3), np.uint8)
        return Image.fromarray(pixels), self.targets[i]


def test_a_dataset_of_other_pixels_is_refused(tmp_path):
    memory = build(tmp_path / "m", Items(0))
    assert build(tmp_path / "m", Items(0)).sha256 == memory.sha256
    with pytest.raises(MemoryFormatError, match=r"6 images \('item-0000000', .*, \.\.\.\) of 6 changed"):
        build(tmp_path / "m", Items(1))
    with pytest.raises(MemoryFormatError, match=r"1 image \('item-0000005'\) of 6 changed"):
        build(tmp_path / "m", Items(0, changed=5))
    assert build(tmp_path / "m", Items(1), overwrite=True).sha256 != memory.sha256


def test_a_dataset_is_compared_as_far_as_a_build_got(tmp_path, monkeypatch):
    stopped(tmp_path / "m", Items(0), after=2, monkeypatch=monkeypatch)
    with pytest.raises(MemoryFormatError, match=r"1 image \('item-0000003'\)"):
        build(tmp_path / "m", Items(0, changed=3))
    assert build(tmp_path / "m", Items(0)).complete


def test_a_random_dataset_is_named_as_such(tmp_path):
    build(tmp_path / "m", Random(0))
    with pytest.raises(MemoryFormatError, match="gives different pixels at each access"):
        build(tmp_path / "m", Random(0))


# Arrays

VALUES = np.random.default_rng(0).random((6, 3, 2, 4), np.float32)


def test_other_arrays_of_the_same_shape_are_refused(tmp_path):
    memory = memory_from_arrays(tmp_path / "m", VALUES)
    other = VALUES.copy()
    other[2, 0, 0, 0] *= 1 + 1e-6
    for again in (VALUES, VALUES.astype(np.float64), np.asfortranarray(VALUES)):
        assert memory_from_arrays(tmp_path / "m", again).ledger.tip == memory.ledger.tip
    with pytest.raises(MemoryFormatError, match=r"1 image \('array-0000002'\) of 6 changed .*overwrite=True"):
        memory_from_arrays(tmp_path / "m", other)
    replaced = memory_from_arrays(tmp_path / "m", other, overwrite=True)
    assert replaced.sha256[2] != memory.sha256[2]


def test_arrays_are_told_apart_behind_given_hashes_and_shapes(tmp_path):
    hashes = [f"{row:064x}" for row in range(6)]
    memory_from_arrays(tmp_path / "m", VALUES, hashes=hashes)
    memory_from_arrays(tmp_path / "m", VALUES, hashes=hashes)
    with pytest.raises(MemoryFormatError, match="other arrays under the same names"):
        memory_from_arrays(tmp_path / "m", VALUES + 1, hashes=hashes)
    with pytest.raises(MemoryFormatError, match=r"6 images .* changed"):
        memory_from_arrays(tmp_path / "m", VALUES, hashes=hashes[::-1])
    memory_from_arrays(tmp_path / "p", VALUES, descriptor="gap")
    with pytest.raises(MemoryFormatError, match="other arrays"):
        memory_from_arrays(tmp_path / "p", VALUES.reshape(6, 3, 4, 2), descriptor="gap")


# Appended images


def test_images_of_the_same_names_elsewhere_are_new_ones(tmp_path, images):
    build(tmp_path / "m", images / "a")
    for day in (1, 2):
        for row in range(3):
            draw(tmp_path / f"day{day}" / f"{row}.bmp", 10 * day + row)
        grown = append_images(tmp_path / "m", tmp_path / f"day{day}", **APPEND)
        assert grown.n_images == 3 + 3 * day and len(set(grown.sha256)) == grown.n_images


def test_the_same_content_is_not_appended_under_another_root_or_name(tmp_path, images):
    build(tmp_path / "m", images / "a")
    shutil.copytree(images / "a", tmp_path / "copy")
    with pytest.raises(InputError, match=r"3 of 3 images are in .* already, such as '0.bmp'; append only"):
        append_images(tmp_path / "m", tmp_path / "copy", **APPEND)
    for file in (tmp_path / "copy").iterdir():
        file.rename(file.with_name(f"x{file.name}"))
    shutil.copy(images / "b" / "1.bmp", tmp_path / "copy" / "new.bmp")
    with pytest.raises(InputError, match=r"3 of 4 images .*such as 'x0.bmp', listed there as '0.bmp'"):
        append_images(tmp_path / "m", tmp_path / "copy", **APPEND)
    append_images(tmp_path / "m", images / "b", **APPEND)
    assert append_images(tmp_path / "m", images / "b", **APPEND).n_images == 6  # the same call again
    shutil.copytree(images / "b", tmp_path / "moved")
    assert append_images(tmp_path / "m", tmp_path / "moved", **APPEND).n_images == 6


def test_a_dataset_is_appended_once(tmp_path):
    build(tmp_path / "m", Items(0))
    with pytest.raises(InputError, match="6 of 6 images are in"):
        append_images(tmp_path / "m", Items(0), **APPEND)
    for _ in range(2):
        assert append_images(tmp_path / "m", Items(1), **APPEND).n_images == 12
    assert append_images(tmp_path / "m", Items(2), **APPEND).n_images == 18


@pytest.mark.parametrize("done", ["all", 4])
def test_appended_images_that_changed_are_noticed(tmp_path, images, monkeypatch, done):
    build(tmp_path / "m", images / "a")
    if done == "all":
        append_images(tmp_path / "m", images / "b", **APPEND)
    else:
        stopped(
            tmp_path / "m", images / "b", after=3, monkeypatch=monkeypatch,
            call=lambda path, table, **_: append_images(path, table, **APPEND),
        )  # fmt: skip
    draw(images / "b" / "1.bmp", 99)
    with pytest.raises(HueprobeError, match=r"'1.bmp'.* changed since") as refused:
        append_images(tmp_path / "m", images / "b", **APPEND)
    assert "overwrite" not in str(refused.value)


# What was classified


def test_accuracy_of_images_that_changed_is_measured_anew(tmp_path, images):
    memory = build(tmp_path / "m", images)
    shutil.copytree(images, tmp_path / "asked")
    for file in (tmp_path / "asked").rglob("*.bmp"):
        data = bytearray(file.read_bytes())
        data[-4] ^= 1  # another file of nearly the same pixels
        file.write_bytes(data)

    def measured():
        return (
            accuracy_grid(memory, tmp_path / "work", images=tmp_path / "asked", k=1, **APPEND)
            .runs[0]
            .accuracy
        )

    assert measured() == 1.0  # each finds the image that it was made from
    for first, second in ((0, 1), (2, 3), (4, 5)):
        a, b = tmp_path / "asked" / "a" / f"{first}.bmp", tmp_path / "asked" / "b" / f"{second}.bmp"
        a.rename(tmp_path / "t")
        b.rename(a)
        (tmp_path / "t").rename(b)
    assert measured() == 0.0
