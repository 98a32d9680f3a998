"""Memories with labels: counts against a slow count, resumed, appended to, verified and damaged."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

import hueprobe as hp
from hueprobe.errors import ImageError, InputError, MemoryDamagedError, MemoryFormatError, ShapeError
from hueprobe.images import LabelSet, Transform, from_folder, pair_masks
from hueprobe.memory import (
    append_images,
    build_memories,
    build_memory,
    count_labels,
    derive_memory,
    plan_memory,
    verify_memory,
)
from hueprobe.memory.ledger import read_ledger
from hueprobe.memory.settings import LabelSettings

SQUASH = Transform(resize=None, crop=(32, 48), fit="squash")
NAMES = ["sky", "road", "car"]
N = 10


def network():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return nn.Sequential(
            nn.Conv2d(3, 4, 4, stride=4), nn.ReLU(), nn.Conv2d(4, 8, 2, stride=2), nn.ReLU()
        ).eval()


def draw(folder, n=N, seed=0, first=0):
    """Draw images of noise, and masks of the values 0, 1, 2 and 255, of several sizes."""
    rng = np.random.default_rng(seed)
    for kind in ("images", "masks"):
        (folder / kind / "a").mkdir(parents=True, exist_ok=True)
    for i in range(first, first + n):
        # Odd sides: no center of a pixel of the network's input lies on the edge of two pixels of the mask.
        height, width = (2 * int(side) + 1 for side in rng.integers(10, 35, 2))
        image = rng.integers(0, 256, (height, width, 3), np.uint8)
        mask = rng.choice([0, 1, 2, 255], (-(-height // 9), -(-width // 9)), p=[0.4, 0.3, 0.2, 0.1])
        mask = mask.repeat(9, axis=0).repeat(9, axis=1)[:height, :width].astype(np.uint8)
        Image.fromarray(image).save(folder / "images" / "a" / f"{i:02d}.png")
        Image.fromarray(mask).save(folder / "masks" / "a" / f"{i:02d}.png")


@pytest.fixture
def drawn(tmp_path):
    draw(tmp_path)
    return tmp_path


def build(folder, name="m", masks="masks", **options):
    given = {"backbone": network(), "layer": "3", "transform": SQUASH, "batch_size": 2, "shard_images": 4}
    if masks == "masks":
        masks = pair_masks(folder / "images", folder / "masks", names=NAMES)
    return build_memory(folder / name, folder / "images", masks=masks, **{**given, **options})


def slow_counts(path, grid, size, n_labels=3):
    """Count labels pixel by pixel of the input of the network; `size` is its height and width."""
    mask = np.asarray(Image.open(path))
    counts = np.zeros((*grid, n_labels), int)
    for y in range(size[0]):
        for x in range(size[1]):
            value = mask[int((y + 0.5) * mask.shape[0] / size[0]), int((x + 0.5) * mask.shape[1] / size[1])]
            if value != 255:
                counts[y * grid[0] // size[0], x * grid[1] // size[1], value] += 1
    return counts


def files_of(memory):
    return {
        path.relative_to(memory).as_posix(): path.read_bytes()
        for path in sorted(Path(memory).rglob("*"))
        if path.is_file()
    }


def test_counts_equal_a_slow_count(drawn):
    memory = build(drawn)
    assert memory.has_labels and memory.label_names == tuple(NAMES)
    assert memory.grid.shape == (4, 6)
    counts = memory.label_counts()
    assert counts.dtype == np.uint16 and counts.shape == (N, 4, 6, 3)
    for i, path in enumerate(memory.images.paths):
        slow = slow_counts(drawn / "masks" / path, (4, 6), (32, 48))
        np.testing.assert_array_equal(counts[i], slow)
    np.testing.assert_array_equal(memory.label_counts([7, 2]), counts[[7, 2]])
    np.testing.assert_array_equal(memory.label_counts(np.arange(N) == 3), counts[[3]])


def test_counts_of_masks_that_need_no_resizing_are_exact(tmp_path):
    draw(tmp_path, n=1)
    values = np.random.default_rng(3).choice([0, 1, 2, 255], (32, 48)).astype(np.uint8)
    Image.fromarray(values).save(tmp_path / "masks" / "a" / "00.png")
    Image.fromarray(np.zeros((32, 48, 3), np.uint8)).save(tmp_path / "images" / "a" / "00.png")
    memory = build(tmp_path)
    np.testing.assert_array_equal(
        memory.label_counts()[0], slow_counts(tmp_path / "masks" / "a" / "00.png", (4, 6), (32, 48))
    )


def test_vectors_are_those_of_a_memory_without_masks(drawn):
    labeled, plain = build(drawn), build(drawn, "plain", masks=None)
    with_labels, without = files_of(labeled.path), files_of(plain.path)
    shards = [name for name in without if name.startswith("shards/")]
    assert len(shards) == 9 and all(with_labels[name] == without[name] for name in shards)
    assert with_labels["source.parquet"] == without["source.parquet"]
    extra = with_labels.keys() - without.keys()
    assert extra == {"masks.parquet", *(f"shards/{i:06d}.labels.npy" for i in range(3))}
    assert not plain.has_labels and plain.label_names == ()
    assert "labels" not in json.loads((plain.path / "memory.json").read_text())
    with pytest.raises(InputError, match="has no labels of cells; build it with masks"):
        plain.label_counts()
    with pytest.raises(InputError, match="has no labels"):
        count_labels(plain)


class Killed(BaseException):
    pass


@pytest.mark.parametrize("n_shards", [0, 1, 2])
def test_a_killed_build_continued_is_the_undisturbed_one(drawn, monkeypatch, n_shards):
    from hueprobe.memory.writer import MemoryWriter

    straight = build(drawn, "straight")
    enter = MemoryWriter.enter

    def killed(self, step):
        if len(self.ledger.shards) == n_shards and type(step).__name__ == "ShardStep":
            raise Killed  # all files of the shard are there, but not its line
        enter(self, step)

    monkeypatch.setattr(MemoryWriter, "enter", killed)
    with pytest.raises(Killed):
        build(drawn, "resumed", workers=0)
    monkeypatch.undo()
    left = files_of(drawn / "resumed")
    assert f"shards/{n_shards:06d}.labels.npy" in left
    problems = [] if n_shards == 0 else list(verify_memory(drawn / "resumed").problems)
    assert problems == []
    build(drawn, "resumed", workers=3)
    assert files_of(drawn / "resumed") == files_of(straight.path)


def test_layers_count_on_their_own_grids(drawn):
    masks = pair_masks(drawn / "images", drawn / "masks", names=NAMES)
    fine, coarse = build_memories(
        drawn / "m", drawn / "images", backbone=network(), layers=["1", "3"], transform=SQUASH, masks=masks,
        batch_size=2, shard_images=4,
    )  # fmt: skip
    assert fine.grid.shape == (8, 12) and coarse.grid.shape == (4, 6)
    together = fine.label_counts().reshape(N, 4, 2, 6, 2, 3).sum(axis=(2, 4))
    np.testing.assert_array_equal(together, coarse.label_counts())
    alone = build(drawn, "alone")
    assert files_of(coarse.path) == files_of(alone.path)


def test_a_pooled_descriptor_counts_the_whole_image(drawn):
    pooled = build(drawn, "gap", descriptor="gap")
    cells = build(drawn)
    np.testing.assert_array_equal(pooled.label_counts()[:, 0, 0], cells.label_counts().sum(axis=(1, 2)))
    derived = derive_memory(drawn / "derived", cells, "gap")
    assert not derived.has_labels and verify_memory(derived.path).ok


def test_more_pixels_of_a_cell_than_sixteen_bits_count():
    labels = LabelSet(("a",), (0,))
    assert LabelSettings.of(labels, (255, 257), (1, 1)).dtype == "uint16"  # 65535 pixels
    assert LabelSettings.of(labels, (256, 256), (1, 1)).dtype == "uint32"
    assert LabelSettings.of(labels, (511, 511), (2, 2)).dtype == "uint32"  # the larger cells have 256 x 256


def test_large_cells_are_counted_in_thirty_two_bits(tmp_path):
    draw(tmp_path, n=1)
    path = tmp_path / "masks" / "a" / "00.png"
    Image.fromarray(np.zeros_like(np.asarray(Image.open(path)))).save(path)
    memory = build(tmp_path, descriptor="gap", transform=Transform(resize=None, crop=260, fit="squash"))
    assert memory.label_counts().tolist() == [[[[260 * 260, 0, 0]]]]
    assert memory.label_counts().dtype == np.uint32


def test_unreadable_images_have_no_labels(drawn):
    (drawn / "images" / "a" / "03.png").write_bytes(b"no image")
    memory = build(drawn)
    assert not memory.label_counts([3]).any() and memory.label_counts([2]).any()
    assert verify_memory(memory.path).ok


def test_labels_are_the_values_by_default(drawn):
    memory = build(drawn, masks=drawn / "masks")
    assert memory.label_names == ("0", "1", "2")
    np.testing.assert_array_equal(memory.label_counts(), build(drawn, "named").label_counts())


def test_append(drawn):
    straight = build(drawn, "straight")
    memory = build(drawn)
    draw(drawn / "more", n=3, seed=1, first=50)
    more = {"backbone": network(), "transform": SQUASH}
    with pytest.raises(InputError, match="has labels of cells; give the masks of the images to append"):
        append_images(memory.path, drawn / "more" / "images", **more)
    appended = append_images(memory.path, drawn / "more" / "images", masks=drawn / "more" / "masks", **more)
    assert appended.n_images == N + 3 and verify_memory(memory.path).ok
    np.testing.assert_array_equal(appended.label_counts(np.arange(N)), straight.label_counts())
    assert appended.label_counts([N + 2]).any()
    assert appended.masks["path"].to_pylist()[-1] == str(drawn / "more" / "masks" / "a" / "52.png")
    again = append_images(memory.path, drawn / "more" / "images", masks=drawn / "more" / "masks", **more)
    assert again.ledger.hashes == appended.ledger.hashes
    plain = build(drawn, "plain", masks=None)
    with pytest.raises(InputError, match="has no labels; append without masks"):
        append_images(plain.path, drawn / "more" / "images", masks=drawn / "more" / "masks", **more)


def test_an_appended_value_that_the_memory_does_not_have(drawn):
    memory = build(drawn, masks=drawn / "masks")
    draw(drawn / "more", n=1, seed=1, first=50)
    path = drawn / "more" / "masks" / "a" / "50.png"
    Image.fromarray(np.full_like(np.asarray(Image.open(path)), 9)).save(path)
    before = files_of(memory.path)
    with pytest.raises(InputError, match=r"50.png' has the value 9, but the 3 labels are the values 0 to 2"):
        append_images(
            memory.path, drawn / "more" / "images", masks=drawn / "more" / "masks", backbone=network(),
            transform=SQUASH,
        )  # fmt: skip
    assert files_of(memory.path) == before


def test_masks_that_changed_are_refused(drawn):
    memory = build(drawn)
    before = files_of(memory.path)
    path = drawn / "masks" / "a" / "04.png"
    Image.fromarray(255 - 255 * (np.asarray(Image.open(path)) > 0).astype(np.uint8)).save(path)
    with pytest.raises(MemoryFormatError, match=r"masks of 1 image \('a/04.png'\) of 10 changed since"):
        build(drawn)
    assert files_of(memory.path) == before


def test_masks_may_move(drawn):
    memory = build(drawn)
    before = files_of(memory.path)
    shutil.move(drawn / "masks", drawn / "moved")
    build(drawn, masks=pair_masks(drawn / "images", drawn / "moved", names=NAMES))
    assert files_of(memory.path) == before


@pytest.mark.parametrize(
    ("masks", "said"),
    [
        (None, "labels: 3 \\('sky', 'road', 'car'; ignoring 255\\) in the memory, None requested"),
        (
            {"names": ["x", "y", "z"]},
            "labels: 3 \\('sky', .*\\) in the memory, 3 \\('x', 'y', 'z'; ignoring 255",
        ),
        (
            {"names": NAMES, "ignore": [255, 7]},
            "ignoring 255\\) in the memory, .*; ignoring 7, 255\\) requested",
        ),
    ],
)
def test_other_labels_are_other_settings(drawn, masks, said):
    build(drawn)
    if masks is not None:
        masks = pair_masks(drawn / "images", drawn / "masks", **masks)
    with pytest.raises(MemoryFormatError, match=said):
        build(drawn, masks=masks)


def test_masks_for_a_memory_without(drawn):
    build(drawn, masks=None)
    with pytest.raises(MemoryFormatError, match="labels: None in the memory, 3 \\('sky', 'road'"):
        build(drawn)


@pytest.mark.parametrize("size", [(10, 10), None])
def test_a_mask_of_another_size(drawn, size):
    path = drawn / "masks" / "a" / "05.png"
    mask = Image.open(path)
    mask.load()
    (
        mask.transpose(Image.Transpose.ROTATE_90)
        if size is None
        else mask.resize(size, Image.Resampling.NEAREST)
    ).save(path)
    with pytest.raises(ShapeError, match=r"05.png' has \d+ x \d+ pixels, its image \d+ x \d+; "):
        build(drawn)
    assert size is None or not (drawn / "m").exists()


def test_a_transform_of_unknown_geometry_is_refused_before_anything_is_written(drawn):
    with pytest.raises(InputError, match="transform of the type function, whose geometry is unknown"):
        build(drawn, transform=lambda image: SQUASH(image))
    assert not (drawn / "m").exists()


def test_a_missing_mask_is_found_before_anything_is_written(drawn):
    (drawn / "masks" / "a" / "05.png").unlink()
    with pytest.raises(ImageError, match=r"no mask '05.png' in .* for image 'a/05.png'"):
        build(drawn, masks=drawn / "masks")
    assert not (drawn / "m").exists()


def test_shares(drawn):
    memory = build(drawn)
    counts = memory.label_counts().astype(float).reshape(-1, 3)
    sums = counts.sum(axis=1)
    found = count_labels(memory)
    assert found.n_cells == (sums > 0).sum() and found.n_cells + found.n_unlabeled == N * 24
    np.testing.assert_allclose(
        found.shares, np.mean([row / total for row, total in zip(counts, sums, strict=True) if total], axis=0)
    )
    assert found.cells.tolist() == [(counts[:, i] > 0).sum() for i in range(3)]


@pytest.mark.parametrize("name", ["masks.parquet", "shards/000001.labels.npy"])
@pytest.mark.parametrize("how", ["changed", "longer", "missing"])
def test_damage_is_named(drawn, name, how):
    memory = build(drawn)
    file = memory.path / name
    data = bytearray(file.read_bytes())
    data[-9] ^= 1
    if how == "missing":
        file.unlink()
    else:
        file.write_bytes(bytes(data) if how == "changed" else bytes(data) + b"x")
    report = verify_memory(memory.path)
    assert not report.ok and any(name in problem for problem in report.problems)
    if how != "changed":
        with pytest.raises(MemoryDamagedError, match=name):
            hp.open_memory(memory.path)
    elif name == "masks.parquet":
        with pytest.raises(MemoryDamagedError, match=name):
            _ = hp.open_memory(memory.path).masks


def rewritten(memory, change):
    """Write a memory's ledger again with changed steps and right hashes."""
    from hueprobe.memory.ledger import Ledger, append_step

    steps = [change(step) for step in read_ledger(memory.path).steps]
    (memory.path / "ledger.jsonl").unlink()
    ledger = Ledger()
    for step in steps:
        if step is not None:
            ledger = append_step(memory.path, ledger, step)


@pytest.mark.parametrize("left_out", ["masks.parquet", "shards/000001.labels.npy"])
def test_a_ledger_whose_steps_disagree_on_masks(drawn, left_out):
    import msgspec

    memory = build(drawn)

    def change(step):
        return msgspec.structs.replace(
            step, files={name: entry for name, entry in step.files.items() if name != left_out}
        )

    rewritten(memory, change)
    with pytest.raises(MemoryDamagedError, match="files that are not its own"):
        hp.open_memory(memory.path)


@pytest.mark.parametrize("masks_of", ["neither", "both", "first", "appended"])
def test_an_appended_list_has_masks_if_the_first_has(drawn, masks_of):
    """Masks are in all steps or in none; where a list lacks its own, no mask may be taken for another."""
    import msgspec

    from hueprobe.memory.files import file_entry

    masked = masks_of in ("both", "first")
    memory = build(drawn, masks=drawn / "masks" if masked else None)
    draw(drawn / "more", n=3, seed=1, first=50)
    more = {"masks": drawn / "more" / "masks"} if masked else {}
    append_images(memory.path, drawn / "more" / "images", backbone=network(), transform=SQUASH, **more)
    name = "masks.000001.parquet"
    assert (memory.path / name).exists() == masked
    if not masked:
        (memory.path / name).write_bytes(b"masks")
    entry, seen = file_entry(memory.path / name), []

    def change(step):
        seen.append(type(step).__name__)
        files = {file: its for file, its in step.files.items() if file != name}
        # Steps after the append are its shards, and the one that completes all files.
        if "AppendStep" in seen and seen[-1] in ("AppendStep", "CompleteStep") and masks_of != "first":
            files |= {name: entry} if masks_of != "neither" else {}
        return msgspec.structs.replace(step, files=files)

    rewritten(memory, change)
    assert seen.count("AppendStep") == 1 and seen[-1] == "CompleteStep"
    if masks_of in ("neither", "both"):
        assert hp.open_memory(memory.path).n_images == N + 3
    else:
        line = 1 + seen.index("AppendStep")
        with pytest.raises(
            MemoryDamagedError, match=f"line {line} is a step 'append' with files that are not"
        ):
            hp.open_memory(memory.path)


def test_settings_that_deny_the_masks(drawn):
    import msgspec

    from hueprobe.memory.files import file_entry

    memory = build(drawn)
    settings = json.loads((memory.path / "memory.json").read_text())
    del settings["labels"]
    (memory.path / "memory.json").write_text(json.dumps(settings))
    entry = file_entry(memory.path / "memory.json")

    def change(step):
        files = {name: entry if name == "memory.json" else its for name, its in step.files.items()}
        return msgspec.structs.replace(step, files=files)

    rewritten(memory, change)
    with pytest.raises(MemoryDamagedError, match="disagree on whether there are masks"):
        hp.open_memory(memory.path)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("names", []), ("names", ["sky", "sky", "car"]), ("names", ["sky"]), ("values", [0, 1, 70_000]),
        ("values", [0, 1, 255]), ("dtype", "float64"), ("ignore", [-1]),
    ],
)  # fmt: skip
def test_invalid_labels_in_the_settings(drawn, field, value):
    memory = build(drawn)
    settings = json.loads((memory.path / "memory.json").read_text())
    settings["labels"][field] = value
    (memory.path / "memory.json").write_text(json.dumps(settings))
    with pytest.raises(MemoryDamagedError, match=r"memory.json has labels"):
        hp.open_memory(memory.path)


def test_a_plan_counts_the_bytes_of_labels(drawn):
    masks = pair_masks(drawn / "images", drawn / "masks", names=NAMES)
    backbone = hp.load_backbone(network(), layer="3", transform=SQUASH)
    planned = plan_memory(drawn / "m", drawn / "images", backbone=backbone, labels=masks.labels)
    memory = build(drawn)
    stored = sum(len(data) for name, data in files_of(memory.path).items() if name.endswith(".npy"))
    assert planned.n_bytes == stored - 9 * 128  # the headers of nine arrays


def test_overwrite_removes_the_labels(drawn):
    build(drawn)
    memory = build(drawn, masks=None, overwrite=True)
    assert not [name for name in files_of(memory.path) if "labels" in name or "masks" in name]
    assert verify_memory(memory.path).ok


def test_stray_files_of_masks_are_reported(drawn):
    memory = build(drawn)
    (memory.path / "masks.000001.parquet").write_bytes(b"")
    assert [p for p in verify_memory(memory.path).problems if "masks.000001.parquet: not in" in p]


def test_images_of_several_folders_keep_their_masks(drawn):
    table = from_folder(drawn / "images").select([8, 1, 5])
    masks = pair_masks(table, drawn / "masks", names=NAMES)
    memory = build_memory(drawn / "m", table, backbone=network(), layer="3", transform=SQUASH, masks=masks)
    whole = build(drawn, "whole")
    np.testing.assert_array_equal(memory.label_counts(), whole.label_counts([8, 1, 5]))


def test_a_mask_of_an_image_that_is_turned_must_be_upright(tmp_path):
    for name in ("images", "masks"):
        (tmp_path / name).mkdir()
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (24, 40)).save(tmp_path / "images" / "x.jpg", exif=exif)
    values = np.zeros((40, 24), np.uint8)
    values[:, 12:] = 1
    Image.fromarray(values).save(tmp_path / "masks" / "x.png")
    with pytest.raises(ShapeError, match="24 x 40 pixels, its image 40 x 24; save the mask upright, as"):
        build(tmp_path, masks=tmp_path / "masks")
    Image.fromarray(np.rot90(values, -1)).save(tmp_path / "masks" / "x.png")
    counts = build(tmp_path, masks=tmp_path / "masks").label_counts()
    assert counts[0, :2, :, 1].sum() == 0 and counts[0, 2:, :, 0].sum() == 0
    Image.fromarray(values).save(tmp_path / "masks" / "x.png", exif=exif)
    turned = build(tmp_path, "turned", masks=tmp_path / "masks").label_counts()
    np.testing.assert_array_equal(turned, counts)


@pytest.mark.realdata
def test_camvid(shared, tmp_path):
    """The shares of the labels in the cells are those in the masks' pixels."""
    folder = shared / "data" / "segmentation" / "camvid_120_60"
    if not folder.is_dir():
        pytest.skip("no CamVid")
    images, masks = sorted((folder / "images" / "test").glob("*.jpg"))[:12], folder / "masks" / "test"
    transform = Transform(resize=None, crop=(96, 128), fit="squash")
    memory = build_memory(
        tmp_path / "m", images, backbone=network(), layer="3", transform=transform, masks=masks
    )
    assert memory.grid.shape == (12, 16) and len(memory.label_names) == 11
    counts = memory.label_counts().sum(axis=(0, 1, 2), dtype=float)
    pixels = np.zeros(256)
    for image in images:
        values = np.asarray(Image.open(masks / f"{image.stem}.png"))
        pixels += np.bincount(values.reshape(-1), minlength=256)
    np.testing.assert_allclose(counts / counts.sum(), pixels[:11] / pixels[:11].sum(), atol=0.002)
