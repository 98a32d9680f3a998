"""Several layers, one pass: each memory is byte for byte the one that is built alone."""

import json
import os
import shutil

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from hueprobe import build_memories, build_memory
from hueprobe.activations import load_backbones
from hueprobe.errors import ImageError, InputError, LayerError, MemoryFormatError, NumericsError
from hueprobe.images import Transform
from hueprobe.images import loading as image_loading
from hueprobe.images.resolve import resolve_images
from hueprobe.memory import append_images, derive_memory, layer_path, open_memory, verify_memory, writer
from hueprobe.memory.ledger import read_ledger

LAYERS = ("1", "3")
N_IMAGES = 22
TRANSFORM = Transform(resize=32, crop=32)
OPTIONS = {"transform": TRANSFORM, "batch_size": 4}


class Counted(nn.Sequential):
    """8 x 8 cells of 16 channels at '1', 4 x 4 of 6 at '3'; counts the images it has seen."""

    n_seen = 0

    def forward(self, images):
        self.n_seen += len(images)
        return super().forward(images)


@pytest.fixture
def network():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return Counted(
            nn.Conv2d(3, 16, 4, stride=4), nn.ReLU(), nn.Conv2d(16, 6, 2, stride=2), nn.ReLU(inplace=True)
        )


@pytest.fixture
def images(tmp_path):
    root = tmp_path / "images"
    rng = np.random.default_rng(0)
    for i in range(N_IMAGES):
        folder = root / "ab"[i % 2]
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (36, 40, 3), np.uint8)).save(folder / f"{i:02d}.png")
    (root / "a" / "04.png").write_bytes(b"torn")
    return root


@pytest.fixture
def shards_of_unequal_length(monkeypatch):
    """Shards of 4 images at '1' and of 8 at '3'."""
    from hueprobe.memory import settings

    monkeypatch.setattr(settings, "SHARD_IMAGES", 8)
    monkeypatch.setattr(settings, "SHARD_BYTES", 5 * 8 * 8 * 16 * 2)


def contents(folder):
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


@pytest.fixture
def alone(tmp_path, network, images, shards_of_unequal_length):
    """What each layer's memory holds when it is built by itself."""
    built = [
        build_memory(tmp_path / f"alone{layer}", images, backbone=network, layer=layer, **OPTIONS)
        for layer in LAYERS
    ]
    assert [len(part.shards) for part in built] == [6, 3]
    return [contents(part.path) for part in built]


def test_each_memory_is_the_one_built_alone_and_every_image_is_seen_once(
    tmp_path, network, images, alone, monkeypatch
):
    n_read = 0
    read_row = image_loading.read_row

    def counting(*arguments):
        nonlocal n_read
        n_read += 1
        return read_row(*arguments)

    monkeypatch.setattr(image_loading, "read_row", counting)
    network.n_seen = 0
    built = build_memories(tmp_path / "m", images, backbone=network, layers=LAYERS, **OPTIONS)
    assert [part.path.name for part in built] == ["m.1", "m.3"]
    assert [contents(part.path) for part in built] == alone
    assert n_read == N_IMAGES
    assert network.n_seen == N_IMAGES + 1  # and a blank one, whose grids say how large the memories get
    assert [verify_memory(part.path).problems for part in built] == [(), ()]
    assert [(part.grid.shape, part.n_channels) for part in built] == [((8, 8), 16), ((4, 4), 6)]

    again = build_memories(tmp_path / "m", images, backbone=network, layers=LAYERS, **OPTIONS)
    assert [contents(part.path) for part in again] == alone
    assert n_read == N_IMAGES


class Killed(BaseException):
    """Not an Exception, as Ctrl-C is not."""


@pytest.mark.parametrize("steps", range(12))
def test_killed_after_any_step_and_continued_nothing_shows(
    tmp_path, network, images, alone, monkeypatch, steps
):
    enter = writer.append_step
    left = steps

    def enter_a_few(folder, ledger, step):
        nonlocal left
        if left == 0:
            raise Killed
        left -= 1
        return enter(folder, ledger, step)

    monkeypatch.setattr(writer, "append_step", enter_a_few)
    with pytest.raises(Killed):
        build_memories(tmp_path / "m", images, backbone=network, layers=LAYERS, **OPTIONS)
    monkeypatch.setattr(writer, "append_step", enter)
    assert not list(tmp_path.glob("m.*/**/*.partial"))
    n_done = [read_ledger(tmp_path / name).n_done for name in ("m.1", "m.3")]
    network.n_seen = 0
    # The batch size, which is not the default, comes from the memories that were begun.
    built = build_memories(tmp_path / "m", images, backbone=network, layers=LAYERS, transform=TRANSFORM)
    assert [contents(part.path) for part in built] == alone
    assert network.n_seen == 1 + N_IMAGES - min(n_done)


@pytest.mark.parametrize("ahead", LAYERS)
def test_a_memory_that_is_ahead_waits_for_the_others(tmp_path, network, images, alone, ahead):
    build_memory(tmp_path / f"m.{ahead}", images, backbone=network, layer=ahead, **OPTIONS)
    built = build_memories(tmp_path / "m", images, backbone=network, layers=LAYERS[::-1], **OPTIONS)
    assert [contents(part.path) for part in built[::-1]] == alone


def test_overwrite_replaces_all(tmp_path, network, images, alone):
    build_memories(tmp_path / "m", images, backbone=network, layers=LAYERS, **OPTIONS, descriptor="gap")
    with pytest.raises(MemoryFormatError, match="descriptor: 'gap' in the memory, 'pixel' requested"):
        build_memories(tmp_path / "m", images, backbone=network, layers=LAYERS, **OPTIONS)
    built = build_memories(tmp_path / "m", images, backbone=network, layers=LAYERS, **OPTIONS, overwrite=True)
    assert [contents(part.path) for part in built] == alone


def test_wrong_layers_are_refused_before_anything_is_written(tmp_path, network, images):
    before = sorted(os.listdir(tmp_path))
    network.append(nn.Flatten())
    for layers, error, message in [
        (("1", "conv"), LayerError, "no layer 'conv'"),
        (("1", "4"), LayerError, "layer '4' of live Counted gives a tensor of shape"),
        (("1", "3", "1"), InputError, "layer '1' of live Counted was given 2 times"),
        ((), InputError, "no layer of live Counted was given"),
    ]:
        with pytest.raises(error, match=message):
            build_memories(tmp_path / "m", images, backbone=network, layers=layers, **OPTIONS)
    with pytest.raises(InputError, match="have their own layers"):
        build_memories(tmp_path / "m", images, backbone=load_backbones(network, layers=["1"]), layers=["1"])
    assert sorted(os.listdir(tmp_path)) == before
    assert network.n_seen == 1  # the blank image that showed what '4' gives


def test_an_error_halfway_leaves_no_memory_behind(tmp_path, network, images):
    with torch.no_grad():
        network[2].weight.fill_(float("nan"))
    with pytest.raises(NumericsError, match="at layer '3'"):
        build_memories(tmp_path / "m", images, backbone=network, layers=LAYERS, **OPTIONS)
    assert not list(tmp_path.glob("m.*"))


def test_no_readable_image_leaves_no_memory_behind(tmp_path, network):
    (tmp_path / "torn").mkdir()
    (tmp_path / "torn" / "a.png").write_bytes(b"torn")
    with pytest.raises(ImageError, match="none of 1 images"):
        build_memories(tmp_path / "m", tmp_path / "torn", backbone=network, layers=LAYERS, **OPTIONS)
    assert not list(tmp_path.glob("m.*"))


@pytest.mark.parametrize("descriptor", ["gap", "gmp", "gem", "rmac", "flat"])
def test_an_unreadable_image_is_a_zero_vector_under_every_descriptor(tmp_path, network, images, descriptor):
    """Also under GeM, which makes 1e-6 of every zero: the torn image would be found and counted."""
    options = {"backbone": network, "layer": "3", **OPTIONS}
    direct = build_memory(tmp_path / "m", images, descriptor=descriptor, **options)
    derived = derive_memory(tmp_path / "d", build_memory(tmp_path / "p", images, **options), descriptor)
    for memory in (direct, derived):
        (torn,) = np.flatnonzero(~memory.readable)
        assert memory.images.paths[torn] == "a/04.png" and memory.energy()[torn] == 0
        assert not memory.vectors([torn]).any() and memory.valid().sum() == N_IMAGES - 1
        assert verify_memory(memory.path).ok


def test_another_list_of_images_is_refused(tmp_path, network, images):
    build_memories(tmp_path / "m", images, backbone=network, layers=LAYERS, **OPTIONS)
    (images / "a" / "00.png").unlink()
    with pytest.raises(MemoryFormatError, match="another list of images"):
        build_memories(tmp_path / "m", images, backbone=network, layers=LAYERS, **OPTIONS)


def test_one_of_several_may_be_appended_to(tmp_path, network, images):
    built = build_memories(tmp_path / "m", images, backbone=network, layers=LAYERS, **OPTIONS)
    more = tmp_path / "more"
    more.mkdir()
    Image.new("RGB", (36, 40)).save(more / "00.png")
    killed_before_its_first_shard(append_images, built[0].path, more, backbone=network, transform=TRANSFORM)
    n_before = open_memory(built[0].path).n_images
    append_images(built[0].path, more, backbone=network, transform=TRANSFORM)
    assert open_memory(built[0].path).n_images == n_before + 1


def killed_before_its_first_shard(build, *arguments, **options):
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(writer.MemoryWriter, "shard", None)
        with pytest.raises(TypeError):
            build(*arguments, **options)


@pytest.fixture
def grown(tmp_path, network, images):
    """Build layer 1's memory of all images but the last `n`, and leave an append of these unfinished."""

    def grow(n):
        table = resolve_images(images)
        first, rest = table.select(range(len(table) - n)), table.select(range(len(table) - n, len(table)))
        path = build_memory(tmp_path / "m.1", first, backbone=network, layer="1", **OPTIONS).path
        killed_before_its_first_shard(append_images, path, rest, backbone=network, transform=TRANSFORM)
        return table

    return grow


def test_a_build_of_all_images_goes_on_with_an_append(tmp_path, network, grown):
    """For one layer always; for several where the append begins with a batch of the others."""
    table = grown(3)
    (alone,) = build_memories(tmp_path / "m", table, backbone=network, layers=["1"], **OPTIONS)
    assert alone.complete and alone.n_images == len(table) and verify_memory(alone.path).ok

    shutil.rmtree(alone.path)
    table = grown(6)  # 22 images: the append begins with the fifth batch of 4
    network.n_seen = 0
    both = build_memories(tmp_path / "m", table, backbone=network, layers=LAYERS, **OPTIONS)
    assert network.n_seen == 1 + len(table)
    assert [memory.complete and verify_memory(memory.path).ok for memory in both] == [True, True]
    whole = build_memory(tmp_path / "whole", table, backbone=network, layer="1", **OPTIONS)
    for name in ("raw", "energy"):
        rows = [np.arange(whole.n_slots)] if name == "raw" else []
        np.testing.assert_array_equal(getattr(both[0], name)(*rows), getattr(whole, name)(*rows))
    assert both[0].sha256 == whole.sha256


def test_an_append_that_begins_within_a_batch_of_another_layer_is_refused(tmp_path, network, grown):
    table = grown(3)
    before = contents(tmp_path / "m.1")
    with pytest.raises(MemoryFormatError, match=r"are being appended to .*m\.1; finish that first"):
        build_memories(tmp_path / "m", table, backbone=network, layers=LAYERS, **OPTIONS)
    assert contents(tmp_path / "m.1") == before and not (tmp_path / "m.3").exists()


def test_a_layer_that_lacks_its_last_line_alone_waits_for_the_others(tmp_path, network, images, alone):
    """22 images are no whole number of batches, and all of one memory's are in."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(writer.MemoryWriter, "complete", None)
        with pytest.raises(TypeError):
            build_memory(tmp_path / "m.1", images, backbone=network, layer="1", **OPTIONS)
    assert not open_memory(tmp_path / "m.1").complete
    built = build_memories(tmp_path / "m", images, backbone=network, layers=LAYERS, **OPTIONS)
    assert [contents(part.path) for part in built] == alone


def test_folders_of_layers_are_distinct():
    names = ["layer3", "a/b", "a%2Fb", "a.b", "a b", "", "é", "a_b"]
    folders = [layer_path("deep/m", name) for name in names]
    assert len(set(folders)) == len(names)
    assert {folder.parent.name for folder in folders} == {"deep"}
    assert layer_path("deep/m", "a/b").name == "m.a%2Fb"
    assert layer_path("m", "").name == "m.%"


def test_settings_name_the_layer(tmp_path, network, images):
    for built in build_memories(tmp_path / "m", images, backbone=network, layers=LAYERS, **OPTIONS):
        recorded = json.loads((built.path / "memory.json").read_text())
        assert built.path.name == f"m.{recorded['layer']}"
