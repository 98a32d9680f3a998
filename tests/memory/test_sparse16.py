"""Memories of dtype `sparse16` answer like those of float16, bit for bit, and are built like them."""

import contextlib
import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

import hueprobe as hp
from hueprobe.errors import HueprobeWarning, InputError, MemoryDamagedError, MemoryFormatError, NumericsError
from hueprobe.images import Transform, pair_masks
from hueprobe.memory import append_images, build_memories, derive_memory, plan_memory, verify_memory
from hueprobe.memory import settings as settings_file
from hueprobe.memory.store import SparseRows
from hueprobe.search import build_index, open_searcher
from hueprobe.search.exact.formats import usable_formats
from hueprobe.search.exact.searcher import ExactSearcher

TRANSFORM = Transform(resize=32, crop=32)
DTYPES = ("float16", "sparse16")


def network(*, closed=True):
    """3 x 32 x 32 becomes 8 x 8 cells of 24 channels, most of them zero; without ReLU, of either sign."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        conv = nn.Conv2d(3, 24, 4, stride=4)
        with torch.no_grad():
            conv.bias.fill_(-0.4)
        return nn.Sequential(conv, nn.ReLU() if closed else nn.Identity()).eval()


def draw(folder, n=14, seed=0):
    """Draw images of two classes with masks, one of them torn."""
    rng = np.random.default_rng(seed)
    for name in "ab":
        for kind in ("images", "masks"):
            (folder / kind / name).mkdir(parents=True)
        for i in range(n // 2):
            image = rng.integers(0, 256, (36, 40, 3), np.uint8)
            Image.fromarray(image).save(folder / "images" / name / f"{i:02d}.png")
            mask = rng.choice(np.array([0, 1, 2], np.uint8), (4, 5)).repeat(9, axis=0).repeat(8, axis=1)
            Image.fromarray(mask).save(folder / "masks" / name / f"{i:02d}.png")
    (folder / "images" / "b" / "torn.png").write_bytes(b"\x89PNG\r\n")
    Image.fromarray(mask).save(folder / "masks" / "b" / "torn.png")
    return folder


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    return draw(tmp_path_factory.mktemp("drawn"))


def build(path, images, **options):
    given = {"backbone": network(), "layer": "1", "transform": TRANSFORM, "batch_size": 2, "shard_images": 4}
    return hp.build_memory(path, images, **{**given, **options})


@pytest.fixture(scope="module")
def pair(drawn, tmp_path_factory):
    """A memory of each dtype of the same images, with labels."""
    folder = tmp_path_factory.mktemp("pair")
    masks = pair_masks(drawn / "images", drawn / "masks")
    return [build(folder / dtype / "m", drawn / "images", dtype=dtype, masks=masks) for dtype in DTYPES]


def files_of(folder):
    return {
        p.relative_to(folder).as_posix(): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()
    }


def activations(n=40, channels=40, grid=(2, 3), seed=0, share=0.2):
    """Return nonnegative activations (n, C, H, W), of which a share is not zero; some repeat."""
    rng = np.random.default_rng(seed)
    shape = (n, channels, *grid)
    values = np.where(rng.random(shape) < share, rng.random(shape), 0).astype(np.float32)
    values[-3:] = values[:3]
    values[5, :, 0, 0] = 0
    return values


def of_arrays(folder, values, **options):
    classes = [*"abc"] * (len(values) // 3 + 1)
    return [
        hp.memory_from_arrays(folder / dtype, values, classes[: len(values)], dtype=dtype, **options)
        for dtype in DTYPES
    ]


def bits(array):
    return np.ascontiguousarray(array).view(np.uint8).tolist()


def same_content(dense, sparse):
    """Assert that two memories give the same, bit for bit, whichever way they are read."""
    ids = np.random.default_rng(0).permutation(dense.n_slots)
    for chosen in (np.arange(dense.n_slots), ids, ids[:1], ids[:0], dense.valid()):
        assert sparse.raw(chosen).dtype == np.float16
        assert bits(sparse.raw(chosen)) == bits(dense.raw(chosen))
        assert bits(sparse.vectors(chosen)) == bits(dense.vectors(chosen))
    for size in (1, 7, 100_000):
        blocks = [list(memory.raw_blocks(size)) for memory in (dense, sparse)]
        assert [(first, rows.shape) for first, rows in blocks[0]] == [(f, r.shape) for f, r in blocks[1]]
        assert all(bits(a) == bits(b) for (_, a), (_, b) in zip(*blocks, strict=True))
        whole = np.concatenate([rows for _, rows in blocks[1]])
        assert bits(whole) == bits(sparse.raw(np.arange(dense.n_slots)))
    assert bits(sparse.energy()) == bits(dense.energy())
    assert sparse.classes == dense.classes and sparse.sha256 == dense.sha256
    assert sparse.images.paths == dense.images.paths and sparse.nonnegative
    assert (sparse.dtype, sparse.settings.dtype, dense.settings.dtype) == ("float16", "sparse16", "float16")


def test_a_memory_holds_the_same_bits(pair):
    dense, sparse = pair
    same_content(dense, sparse)
    assert isinstance(sparse.shards[0].vectors, SparseRows) and len(sparse.shards) == 4
    for one, other in zip(dense.shards, sparse.shards, strict=True):
        assert bits(np.asarray(other.vectors)) == bits(one.vectors)
    assert verify_memory(sparse.path).ok


def test_all_files_but_the_vectors_are_those_of_float16(pair):
    dense, sparse = (files_of(memory.path) for memory in pair)
    named = {name.replace(".vectors.npy", ".vectors.sparse") for name in dense}
    assert sparse.keys() == named and sum("vectors" in name for name in sparse) == 4
    settled = {"memory.json", "ledger.jsonl", "lock"}
    for name in sparse.keys() - settled:
        assert "vectors" in name or sparse[name] == dense[name], name
    one, other = (json.loads(files["memory.json"]) for files in (dense, sparse))
    assert {name for name in one if one[name] != other[name]} == {"dtype", "format"}
    assert (one["format"], other["format"]) == (1, 2)


def test_the_code_of_the_documentation_reads_a_row(pair, monkeypatch):
    text = (Path(__file__).parents[2] / "docs" / "reference" / "file-formats.md").read_text("utf-8")
    (code,) = re.findall(r"```python\n(data = .*?)```", text, re.DOTALL)
    dense, sparse = pair
    monkeypatch.chdir(sparse.path)
    for i in (0, 77, 255):
        found = {"np": np, "i": i}
        exec(code, found)
        assert bits(found["row"]) == bits(dense.raw([i])[0])


@pytest.mark.parametrize("k", [1, 10])
def test_every_search_finds_the_same(tmp_path, k):
    dense, sparse = of_arrays(tmp_path, activations(), shard_images=32)
    queries = np.concatenate([dense.vectors(np.arange(0, 240, 5)), dense.vectors(np.arange(240))[::-7] ** 2])
    queries /= np.maximum(np.linalg.norm(queries, axis=1, keepdims=True), 1e-9)
    own = np.arange(len(queries))[:, None] % 40
    formats = usable_formats(torch.device("cpu"), nonnegative=True)
    assert {"float32", "half"} < set(formats)

    def searchers(memory):
        for name in formats:
            yield ExactSearcher(memory, products=name)
            yield ExactSearcher(memory, products=name, memory_budget=0)
        for spec in ("exact", "annoy:trees=5", "faiss:Flat", "faiss:IVF4,Flat;nprobe=2"):
            yield open_searcher(memory, spec)

    for one, other in zip(searchers(dense), searchers(sparse), strict=True):
        for barred in (None, own):
            a, b = (s.search(queries, k, exclude_images=barred) for s in (one, other))
            np.testing.assert_array_equal(a.ids, b.ids)
            assert bits(a.distances) == bits(b.distances)


def test_indexes_of_both_are_the_same_bytes(tmp_path):
    memories = of_arrays(tmp_path, activations())
    for memory in memories:
        for spec in ("annoy:trees=3", "faiss:IVF4,Flat"):
            build_index(memory, spec)
    first, second = (files_of(memory.path / "indexes") for memory in memories)
    names = ["annoy-trees=3/index.annoy", "faiss-IVF4,Flat/index.faiss"]
    assert all(first[name] == second[name] for name in names)


def test_negative_zeros_and_the_smallest_values_are_kept(tmp_path):
    values = activations()
    values[values == 0] = -0.0
    values[:, :4] *= np.float32(1e-7)  # beside 1, subnormal in float16
    dense, sparse = of_arrays(tmp_path, values)
    same_content(dense, sparse)
    raw = sparse.raw(np.arange(sparse.n_slots))
    assert np.signbit(raw).any() and ((raw > 0) & (raw < 2.0**-14)).any()
    assert sparse.nonnegative and verify_memory(sparse.path).ok


def test_nan_is_refused_as_in_float16(tmp_path):
    values = activations()
    values[3, 2, 1, 1] = np.nan
    with pytest.raises(NumericsError, match="'array-0000003' at layer '' are NaN or infinite"):
        hp.memory_from_arrays(tmp_path / "m", values, dtype="sparse16")
    assert not (tmp_path / "m").exists()


@pytest.mark.slow
def test_results_of_commands_are_the_same(drawn, pair, tmp_path):
    from tests.cli.test_cli import run

    found = []
    for memory in pair:
        folder = tmp_path / memory.settings.dtype
        (folder / "work").mkdir(parents=True)
        shutil.copytree(memory.path, folder / "m")
        with contextlib.chdir(folder):
            told = json.loads(
                run("evaluate", "m", "--leave-one-out", "--k", 3, "--json", "--matches", "a.csv").stdout
            )
            run("explore", "m", "-o", "page.html", "--k", 3)
            observed = json.loads(run("observe", "energy", "m", "-o", "o", "--json").stdout)
        assert told.pop("seconds") and observed.pop("seconds") and observed["verdicts"]
        page = (folder / "page.html").read_text("utf-8")
        tables = {name: data for name, data in files_of(folder / "o").items() if name.endswith(".csv")}
        assert tables
        found.append(
            (told, (folder / "a.csv").read_text(), page.replace("sparse16", "float16"), observed, tables)
        )
    for one, other in zip(*found, strict=True):
        assert one == other


def test_segmentation_is_the_same(drawn, pair):
    masks = pair_masks(drawn / "images", drawn / "masks")
    with pytest.warns(HueprobeWarning, match="are in the memory too"):
        maps = [
            hp.segment(memory, drawn / "images", masks=masks, k=3, backbone=network(), transform=TRANSFORM)
            for memory in pair
        ]
    np.testing.assert_array_equal(maps[0].nearest, maps[1].nearest)
    np.testing.assert_array_equal(maps[0].shares, maps[1].shares)
    np.testing.assert_array_equal(maps[0].scores.confusion, maps[1].scores.confusion)


@pytest.mark.parametrize("descriptor", ["gap", "gmp", "gem", "rmac", "flat"])
def test_pooled_memories_are_those_of_float16(pair, tmp_path, descriptor):
    dense, sparse = (derive_memory(tmp_path / memory.settings.dtype, memory, descriptor) for memory in pair)
    assert bits(dense.raw(np.arange(dense.n_slots))) == bits(sparse.raw(np.arange(sparse.n_slots)))
    kept = descriptor == "flat"
    assert (sparse.settings.dtype, sparse.settings.format) == (("sparse16", 2) if kept else ("float16", 1))
    assert verify_memory(sparse.path).ok
    direct = hp.memory_from_arrays(
        tmp_path / "direct", activations(), descriptor=descriptor, dtype="sparse16"
    )
    assert direct.settings.dtype == "sparse16" and verify_memory(direct.path).ok


def test_several_layers_and_an_append(drawn, tmp_path):
    more = draw(tmp_path / "more", n=6, seed=1) / "images"
    kept = {}
    for dtype in DTYPES:
        (both,) = build_memories(
            tmp_path / dtype, drawn / "images", backbone=network(), layers=["1"], transform=TRANSFORM,
            batch_size=2, shard_images=4, dtype=dtype,
        )  # fmt: skip
        alone = build(tmp_path / f"{dtype}-alone", drawn / "images", dtype=dtype)
        assert files_of(both.path) == files_of(alone.path)
        kept[dtype] = append_images(both.path, more, backbone=network(), transform=TRANSFORM)
        assert kept[dtype].n_images == 22 and verify_memory(both.path).ok
    same_content(*kept.values())
    assert sorted(kept["sparse16"].ledger.files)[-1] == "source.parquet"
    assert "shards/000005.vectors.sparse" in kept["sparse16"].ledger.files


class Killed(BaseException):
    pass


@pytest.mark.parametrize("n_shards", [0, 1, 3])
def test_a_killed_build_continued_is_the_undisturbed_one(drawn, tmp_path, monkeypatch, n_shards):
    from hueprobe.memory.writer import MemoryWriter

    straight = build(tmp_path / "straight", drawn / "images", dtype="sparse16")
    enter = MemoryWriter.enter

    def killed(self, step):
        if len(self.ledger.shards) == n_shards and type(step).__name__ == "ShardStep":
            raise Killed  # all files of the shard are there, but not its line
        enter(self, step)

    monkeypatch.setattr(MemoryWriter, "enter", killed)
    with pytest.raises(Killed):
        build(tmp_path / "m", drawn / "images", dtype="sparse16", workers=0)
    monkeypatch.undo()
    assert f"shards/{n_shards:06d}.vectors.sparse.partial" not in files_of(tmp_path / "m")
    if n_shards:
        assert not verify_memory(tmp_path / "m").problems
    build(tmp_path / "m", drawn / "images", dtype="sparse16", workers=3)
    assert files_of(tmp_path / "m") == files_of(straight.path)


def test_files_of_a_stopped_build_are_removed_and_a_lost_ledger_costs_no_shard(drawn, tmp_path):
    memory = build(tmp_path / "m", drawn / "images", dtype="sparse16")
    whole, ledger = files_of(memory.path), memory.path / "ledger.jsonl"
    lines = ledger.read_bytes().splitlines(keepends=True)
    ledger.write_bytes(b"".join(lines[:2]))
    with pytest.raises(MemoryDamagedError, match=r"000003\.vectors\.sparse exists: the ledger is outdated"):
        build(memory.path, drawn / "images", dtype="sparse16")
    assert files_of(memory.path) == {**whole, "ledger.jsonl": ledger.read_bytes()}
    ledger.write_bytes(b"".join(lines))
    (memory.path / "shards" / "000004.vectors.sparse").write_bytes(b"half")
    assert any(
        "000004.vectors.sparse: not in the memory's ledger" in p for p in verify_memory(memory.path).problems
    )
    build(memory.path, drawn / "images", dtype="sparse16")
    assert files_of(memory.path) == whole
    build(memory.path, drawn / "images", dtype="float16", overwrite=True)
    assert not [name for name in files_of(memory.path) if name.endswith(".sparse")]


def test_a_memory_of_another_dtype_is_not_continued(drawn, pair, tmp_path):
    for memory, other in zip(pair, DTYPES[::-1], strict=True):
        with pytest.raises(
            MemoryFormatError, match=r"other settings \(dtype: '\w+16' in the memory, '\w+16' req"
        ):
            build(memory.path, drawn / "images", dtype=other, masks=drawn / "masks")


def test_a_network_known_to_be_signed_is_refused_before_anything_is_written(drawn, tmp_path):
    options = {"weights": "none", "transform": TRANSFORM}
    with pytest.raises(InputError) as caught:
        hp.build_memory(
            tmp_path / "m", drawn / "images", backbone="mobilenet_v3_small", dtype="sparse16", **options
        )
    assert str(caught.value) == (
        "mobilenet_v3_small ends in hardswish, so its activations are signed and almost never zero, but "
        "sparse16 is for networks that end in a ReLU; use dtype float16"
    )
    assert not (tmp_path / "m").exists()
    backbone = hp.load_backbone("mobilenet_v3_small", **options)
    with pytest.raises(InputError, match="ends in hardswish"):
        plan_memory(tmp_path / "m", drawn / "images", backbone=backbone, dtype="sparse16")


def test_an_unknown_layer_is_tried_on_the_first_image_before_anything_is_written(drawn, tmp_path):
    with pytest.raises(
        InputError,
        match=r"^activations of 'a/00\.png' at layer '1' are negative, down to -\d.*use dtype float16",
    ):
        build(tmp_path / "m", drawn / "images", dtype="sparse16", backbone=network(closed=False))
    assert not (tmp_path / "m").exists()


def bright_only():
    """A layer whose values are negative for black images alone."""
    network = nn.Sequential(nn.Conv2d(3, 4, 4, stride=4))
    with torch.no_grad():
        network[0].weight.fill_(1.0)
        network[0].bias.fill_(50.0)
    return network.eval()


def test_a_later_image_with_negative_values_is_named(tmp_path):
    (tmp_path / "images").mkdir()
    for i in range(9):
        Image.new("RGB", (32, 32), (0,) * 3 if i == 6 else (200,) * 3).save(tmp_path / "images" / f"{i}.png")
    options = {"backbone": bright_only(), "layer": "0", "dtype": "sparse16", "batch_size": 4}
    for kept, shard_images in ((0, 12), (1, 4)):
        folder = tmp_path / f"{kept}"
        with pytest.raises(
            InputError, match=r"activations of '6\.png' at layer '0' are negative, down to -45"
        ):
            build(folder, tmp_path / "images", shard_images=shard_images, **options)
        assert folder.exists() == bool(kept)
    assert open_done(tmp_path / "1") == 4
    with pytest.raises(InputError, match=r"activations of '6\.png'"):
        plan_memory(
            tmp_path / "2", tmp_path / "images", dtype="sparse16",
            backbone=hp.load_backbone(bright_only(), layer="0", transform=TRANSFORM),
        )  # fmt: skip


def open_done(path):
    memory = hp.open_memory(path)
    assert not memory.complete and not verify_memory(path).problems
    return memory.n_images


def test_negative_arrays_are_refused_before_anything_is_written(tmp_path):
    values = activations()
    values[33, 4, 1, 2] = -0.25
    names = [f"cat {i}" for i in range(40)]
    with pytest.raises(InputError) as caught:
        hp.memory_from_arrays(tmp_path / "m", values, names=names, dtype="sparse16", shard_images=32)
    assert str(caught.value) == (
        "activations of 'cat 33' are negative, down to -0.25, but sparse16 is for layers that end in a ReLU; "
        "use dtype float16, in a new folder if this memory is begun"
    )
    assert not (tmp_path / "m").exists()


def test_appended_images_with_negative_values_are_refused_before_anything_is_written(tmp_path):
    for name, value in (("images", 200), ("more", 0)):
        (tmp_path / name).mkdir()
        for i in range(4):
            Image.new("RGB", (32, 32), (value + i,) * 3).save(tmp_path / name / f"{name}{i}.png")
    built = hp.build_memory(
        tmp_path / "m", tmp_path / "images", backbone=bright_only(), layer="0", transform=TRANSFORM,
        dtype="sparse16",
    )  # fmt: skip
    before = files_of(built.path)
    with pytest.raises(InputError, match=r"activations of 'more0\.png' at layer '0' are negative, down to -"):
        append_images(built.path, tmp_path / "more", backbone=bright_only(), transform=TRANSFORM)
    assert files_of(built.path) == before


def test_an_older_hueprobe_says_that_a_newer_one_is_needed(pair, monkeypatch):
    dense, sparse = pair
    monkeypatch.setattr(settings_file, "FORMAT", 1)
    assert hp.open_memory(dense.path).n_images == 15
    with pytest.raises(MemoryFormatError, match="has format 2, this hueprobe reads up to 1; install a newer"):
        hp.open_memory(sparse.path)


@pytest.mark.parametrize("changes", [{"dtype": "float16"}, {"format": 1}, {"dtype": "float16", "format": 1}])
def test_settings_that_do_not_fit_the_shards_are_damage(pair, tmp_path, changes):
    from tests.faults.mutations import forge

    shutil.copytree(pair[1].path, tmp_path / "m")
    document = {**json.loads((tmp_path / "m" / "memory.json").read_text()), **changes}
    forge(tmp_path / "m", "memory.json", settings_file.json_text(document).encode())
    with pytest.raises(MemoryDamagedError) as caught:
        hp.open_memory(tmp_path / "m")
    says = "the ledger disagree on the dtype" if len(changes) == 2 else "has format"
    assert says in str(caught.value) and str(caught.value).startswith(str(tmp_path / "m" / "memory.json"))


def test_damage_is_told_by_opening_reading_or_verify(pair, tmp_path):
    from tests.faults.mutations import forge

    name = "shards/000001.vectors.sparse"
    whole = files_of(pair[1].path)[name]
    shutil.copytree(pair[1].path, tmp_path / "m")
    memory, path = tmp_path / "m", tmp_path / "m" / name

    def opened_and_read():
        return hp.open_memory(memory).vectors(np.arange(15 * 64))

    path.write_bytes(whole[:-8])
    with pytest.raises(
        MemoryDamagedError, match=r"000001\.vectors\.sparse has \d+ bytes, but \d+ in its ledger"
    ):
        opened_and_read()
    forge(memory, name, whole[:-8])
    with pytest.raises(MemoryDamagedError, match=r"000001\.vectors\.sparse is damaged: it says that"):
        opened_and_read()
    forge(memory, name, whole)
    path.write_bytes(whole[:64] + bytes([whole[64] ^ 1]) + whole[65:])  # a bit of a bitmap
    with pytest.raises(MemoryDamagedError, match=r"000001\.vectors\.sparse is damaged: row 0 does not lie"):
        opened_and_read()
    with pytest.raises(MemoryDamagedError, match=r"000001\.vectors\.sparse is damaged"):
        ExactSearcher(hp.open_memory(memory)).search(np.eye(24, dtype=np.float32)[:2], 1)
    assert hp.open_memory(memory).vectors([0]).any()  # another shard
    assert any(name in problem for problem in verify_memory(memory).problems)
    forge(memory, name, path.read_bytes())
    assert any("row 0 does not lie" in problem for problem in verify_memory(memory).problems)
    places = np.frombuffer(whole[-8 * 257 :], np.int64)
    value = 64 + 2 * int(places[0]) + 4  # behind a bitmap of two words
    forge(memory, name, whole[:value] + bytes([whole[value], whole[value + 1] ^ 0x04]) + whole[value + 2 :])
    assert any("do not have the length that" in problem for problem in verify_memory(memory).problems)


def test_info_shows_what_is_saved(pair):
    from tests.cli.test_cli import run

    dense, sparse = pair
    told = [json.loads(run("info", memory.path, "--json").stdout) for memory in pair]
    sizes = [sum(p.stat().st_size for p in m.path.glob("shards/*.vectors.*")) for m in pair]
    assert told[0]["saved"] is None and dense.saved is None
    assert told[1]["saved"] == sparse.saved == pytest.approx(1 - sizes[1] / (15 * 64 * 24 * 2))
    assert 0.3 < sparse.saved < 0.9 and sizes[0] == 4 * 128 + 15 * 64 * 24 * 2
    text = f"{sparse.saved:.1%}".replace("%", " %")
    assert f"vectors {text} smaller than float16" in run("info", sparse.path).stdout.replace("\n", " ")
    assert "smaller than" not in run("info", dense.path).stdout
    assert f"sparse16 ({text} smaller than float16)" in sparse._repr_html_()


def test_the_plan_is_near_the_size(drawn, tmp_path):
    backbone = hp.load_backbone(network(), layer="1", transform=TRANSFORM)
    plan = plan_memory(tmp_path / "m", drawn / "images", backbone=backbone, dtype="sparse16")
    assert not (tmp_path / "m").exists()
    memory = build(tmp_path / "m", drawn / "images", dtype="sparse16")
    rows = memory.raw(np.repeat(memory.readable, 64))
    assert plan.nonzero == pytest.approx((rows != 0).mean(), rel=0.1)
    sizes = [p.stat().st_size for p in (memory.path / "shards").iterdir() if p.suffix != ".parquet"]
    assert plan.n_bytes == pytest.approx(sum(sizes), rel=0.15)
    dense = plan_memory(tmp_path / "d", drawn / "images", backbone=backbone)
    assert dense.nonzero is None and dense.n_bytes == 15 * 64 * (24 * 2 + 4)


def test_controls_of_a_table_network_are_sparse_too(tmp_path):
    from hueprobe.studies.observing.controls import controlled
    from hueprobe.studies.observing.subject import Subject
    from tests.studies.test_observing import SETTINGS, memory_of_images

    (tmp_path / "unknown").mkdir()
    memory = memory_of_images(tmp_path / "unknown")  # layer '3' of a network off the table
    sparse = hp.build_memory(
        tmp_path / "m",
        tmp_path / "unknown" / "p",
        backbone="tests.tiny_network:tiny",
        layer="3",
        dtype="sparse16",
    )
    subject = Subject(settings=SETTINGS, memory=sparse)
    mirrored = controlled("mirror-all", subject, tmp_path / "w").memory
    assert mirrored.settings.dtype == "float16"
    mixed = controlled("random-mirror", subject, tmp_path / "w").memory
    assert mixed.settings.dtype == "sparse16" and verify_memory(mixed.path).ok
    assert memory.n_images == mixed.n_images == 24
