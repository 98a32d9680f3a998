import json
import os
import subprocess
import sys
from dataclasses import replace

import msgspec
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from hueprobe import memory_from_arrays, open_memory
from hueprobe.errors import (
    HueprobeWarning,
    InputError,
    MemoryDamagedError,
    MemoryFormatError,
    NumericsError,
    ShapeError,
)
from hueprobe.memory import as_stored, derive_memory, verify_memory
from hueprobe.memory.ledger import read_ledger
from hueprobe.memory.steps import kind_of
from hueprobe.memory.writer import open_writer
from tests.small_memories import noise


def contents(folder):
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_hashes_may_be_given_and_take_the_place_of_those_of_the_activations(tmp_path, small_memory):
    given_hashes = [f"{n:064x}" for n in range(5)]
    memory = small_memory(tmp_path / "a", hashes=given_hashes)
    assert list(memory.sha256) == given_hashes
    assert set(small_memory(tmp_path / "b").sha256).isdisjoint(given_hashes)
    with pytest.raises(ShapeError, match="4 hashes for 5 activation arrays"):
        small_memory(tmp_path / "c", hashes=given_hashes[:4])


@given(
    values=hnp.arrays(
        np.float32,
        st.tuples(st.integers(1, 4), st.integers(1, 5), st.integers(1, 3), st.integers(1, 3)),
        # An energy below float32's range is 0, and such a vector a zero vector.
        elements=st.floats(0, 1e4, width=32).map(lambda value: value if value > 1e-15 else 0.0),
    ),
    dtype=st.sampled_from(["float16", "float32"]),
    classes=st.lists(st.sampled_from(["b", "a", None]), min_size=4, max_size=4),
)
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_what_is_written_is_read(tmp_path, values, dtype, classes):
    n, channels, height, width = values.shape
    memory_from_arrays(tmp_path / "m", values, classes[:n], dtype=dtype, overwrite=True)
    memory = open_memory(tmp_path / "m")
    pixels = values.transpose(0, 2, 3, 1).reshape(-1, channels)
    energy = (pixels.astype(np.float64) ** 2).sum(axis=1)
    np.testing.assert_allclose(memory.energy().reshape(-1), energy, rtol=1e-5)
    norms = np.sqrt(energy)
    unit = pixels / np.where(norms > 0, norms, 1)[:, None]
    tolerance = 2e-3 if dtype == "float16" else 1e-6
    valid = memory.valid()
    np.testing.assert_allclose(memory.vectors(np.arange(memory.n_slots))[valid], unit[valid], atol=tolerance)
    lengths = np.linalg.norm(memory.vectors(np.arange(memory.n_slots)), axis=1)
    np.testing.assert_allclose(lengths[valid], 1, atol=1e-6)
    assert (lengths[~valid] == 0).all()
    names = sorted({c for c in classes[:n] if c is not None})
    assert memory.classes == tuple(names)
    assert memory.image_class.tolist() == [names.index(c) if c is not None else -1 for c in classes[:n]]
    assert (memory.grid.height, memory.grid.width, memory.n_channels) == (height, width, channels)
    assert verify_memory(tmp_path / "m").problems == ()


def test_class_counts_leave_zero_vectors_out(tmp_path):
    values = noise(4)
    values[1, :, 0, 0] = 0
    memory = memory_from_arrays(tmp_path / "m", values, ["a", "a", "b", None])
    assert memory.class_counts().tolist() == [11, 6]
    assert memory.valid_per_image.tolist() == [6, 5, 6, 6]


def test_a_query_takes_the_way_the_memory_took(small_memory):
    memory = small_memory(n=3, channels=64)
    pixels = noise(3, channels=64).transpose(0, 2, 3, 1).reshape(-1, 64)
    unit = pixels / np.sqrt((pixels**2).sum(axis=1, keepdims=True))
    np.testing.assert_array_equal(as_stored(unit, "float16"), memory.vectors(np.arange(18)))


def test_signs_are_recorded(tmp_path, small_memory):
    assert small_memory(tmp_path / "a").nonnegative
    assert not memory_from_arrays(tmp_path / "b", noise() - 0.5).nonnegative


def test_a_memory_is_reproducible_byte_for_byte(tmp_path, small_memory):
    for name in ("one", "two"):
        small_memory(tmp_path / name, classes="abc")
    assert contents(tmp_path / "one") == contents(tmp_path / "two")


def test_the_same_call_again_changes_nothing(tmp_path, small_memory):
    small_memory(tmp_path / "m")
    before = contents(tmp_path / "m")
    small_memory(tmp_path / "m")
    assert contents(tmp_path / "m") == before


def test_other_settings_are_refused_with_their_difference(tmp_path, small_memory):
    small_memory(tmp_path / "m")
    before = contents(tmp_path / "m")
    with pytest.raises(
        MemoryFormatError, match=r"descriptor: 'pixel' in the memory, 'gap' asked.*--overwrite"
    ):
        small_memory(tmp_path / "m", descriptor="gap")
    with pytest.raises(MemoryFormatError, match="1 new, 0 gone"):
        small_memory(tmp_path / "m", n=6)
    assert contents(tmp_path / "m") == before
    assert small_memory(tmp_path / "m", descriptor="gap", overwrite=True).grid.n_cells == 1


def test_a_folder_that_is_no_memory_is_left_alone(tmp_path, small_memory):
    (tmp_path / "thesis.txt").write_text("three years")
    for overwrite in (False, True):
        with pytest.raises(MemoryFormatError, match="not empty and not a memory"):
            small_memory(tmp_path, overwrite=overwrite)
    with pytest.raises(MemoryFormatError, match="is a file"):
        small_memory(tmp_path / "thesis.txt")
    assert contents(tmp_path) == {"thesis.txt": b"three years"}


def test_broken_activations_stop_the_build_and_leave_nothing(tmp_path):
    values = noise()
    values[3, 0, 1, 1] = np.nan
    with pytest.raises(NumericsError, match="array-0000003"):
        memory_from_arrays(tmp_path / "m", values)
    assert not (tmp_path / "m").exists()


def test_bad_arrays_are_refused(tmp_path, small_memory):
    with pytest.raises(ShapeError, match=r"\(5, 4\)"):
        memory_from_arrays(tmp_path / "m", np.ones((5, 4)))
    with pytest.raises(ShapeError, match="2 classes for 5"):
        memory_from_arrays(tmp_path / "m", noise(), ["a", "b"])
    with pytest.raises(InputError, match="pixel, gap, gmp, gem, rmac, flat"):
        small_memory(tmp_path / "m", descriptor="max")
    with pytest.raises(InputError, match="float16, float32"):
        small_memory(tmp_path / "m", dtype="int8")
    assert not (tmp_path / "m").exists()


def test_folders_that_cannot_be_opened(tmp_path, small_memory):
    with pytest.raises(MemoryFormatError, match="does not exist"):
        open_memory(tmp_path / "nowhere")
    with pytest.raises(MemoryFormatError, match=r"no memory\.json"):
        open_memory(tmp_path)
    small_memory(tmp_path / "m")
    path = tmp_path / "m" / "memory.json"
    newer = json.loads(path.read_text())
    newer["format"] = 99
    path.write_text(json.dumps(newer))
    with pytest.raises(MemoryFormatError, match="format 99"):
        open_memory(tmp_path / "m")
    path.write_text("{")
    with pytest.raises(MemoryDamagedError, match="not JSON"):
        open_memory(tmp_path / "m")


@pytest.mark.parametrize("name", ["shards/000000.vectors.npy", "shards/000000.energy.npy", "source.parquet"])
def test_files_of_another_size_are_noticed_on_opening(tmp_path, small_memory, name):
    small_memory(tmp_path / "m")
    path = tmp_path / "m" / name
    path.write_bytes(path.read_bytes() + b"x")
    with pytest.raises(MemoryDamagedError, match=name):
        open_memory(tmp_path / "m")
    path.unlink()
    with pytest.raises(MemoryDamagedError, match="missing"):
        open_memory(tmp_path / "m")


def test_verify_finds_one_flipped_byte_in_any_file(tmp_path, small_memory):
    small_memory(tmp_path / "m", classes="abc")
    for name, data in contents(tmp_path / "m").items():
        if not data or name == "lock":
            continue
        path = tmp_path / "m" / name
        for position in (0, len(data) // 2, len(data) - 1):
            damaged = bytearray(data)
            damaged[position] ^= 1
            path.write_bytes(damaged)
            try:
                found = verify_memory(tmp_path / "m").problems
            except MemoryFormatError as error:
                found = (str(error),)
            assert found, f"byte {position} of {name}"
        path.write_bytes(data)
    assert verify_memory(tmp_path / "m").problems == ()


def test_verify_reports_what_is_not_in_the_ledger(tmp_path, small_memory):
    small_memory(tmp_path / "m")
    (tmp_path / "m" / "shards" / "000007.vectors.npy").write_bytes(b"stray")
    assert any("000007" in problem for problem in verify_memory(tmp_path / "m").problems)


def test_only_the_ledger_makes_a_shard_real(tmp_path, settings_of_a_build):
    settings_, table = settings_of_a_build
    folder = tmp_path / "m"
    vectors = np.ones((2, 1, 1, 3), np.float32) / np.sqrt(3, dtype=np.float32)
    record = {"sha256": "0" * 64, "width": 1, "height": 1, "readable": True, "reason": None}

    def write(writer, start, stop):
        with writer.shard(start, stop) as shard:
            shard.add(vectors[: stop - start], np.ones((stop - start, 1, 1)), [record] * (stop - start))

    with open_writer(folder, settings_) as writer:
        writer.add_source(table)
        write(writer, 0, 2)
    assert open_memory(folder).n_images == 2
    assert not open_memory(folder).complete
    # A writer killed between renaming a shard and the ledger, and in the middle of a line.
    (folder / "shards" / "000001.vectors.npy").write_bytes(b"half")
    with (folder / "ledger.jsonl").open("ab") as file:
        file.write(b'{"step": "sha')
    assert open_memory(folder).n_images == 2
    with open_writer(folder, settings_) as writer:
        assert not (folder / "shards" / "000001.vectors.npy").exists()
        assert list(writer.pending_shards()) == [(2, 4), (4, 5)]
        write(writer, 2, 4)
        write(writer, 4, 5)
        writer.complete()
    with open_writer(tmp_path / "straight", settings_) as writer:
        writer.add_source(table)
        for start, stop in list(writer.pending_shards()):
            write(writer, start, stop)
        writer.complete()
    assert contents(folder) == contents(tmp_path / "straight")
    assert verify_memory(folder).problems == ()


@pytest.fixture
def settings_of_a_build(small_memory):
    memory = small_memory(channels=3, grid=(1, 1), classes="abc")
    return msgspec.structs.replace(memory.settings, shard_images=2), memory.images


def test_appended_classes_get_the_next_ids(tmp_path, settings_of_a_build):
    settings_, table = settings_of_a_build
    more = replace(table.select([0, 1]), paths=("new-0", "new-1"), classes=("aa", "b"))
    folder = tmp_path / "m"
    record = {"sha256": "0" * 64, "width": 1, "height": 1, "readable": True, "reason": None}
    with open_writer(folder, settings_) as writer:
        for part in (table, more):
            writer.add_source(part)
            for start, stop in list(writer.pending_shards()):
                with writer.shard(start, stop) as shard:
                    n = stop - start
                    shard.add(np.ones((n, 1, 1, 3)) / np.sqrt(3), np.ones((n, 1, 1)), [record] * n)
            writer.complete()
    memory = open_memory(folder)
    assert memory.classes == ("a", "b", "c", "aa")
    assert memory.image_class.tolist() == [0, 1, 2, 0, 1, 3, 1]
    assert verify_memory(folder).problems == ()


def test_one_writer_at_a_time(tmp_path, settings_of_a_build):
    settings_, _ = settings_of_a_build
    with open_writer(tmp_path / "m", settings_):
        code = (
            "import sys; from pathlib import Path; from hueprobe.memory.writer import open_writer\n"
            "from hueprobe.memory.settings import read_settings; folder = Path(sys.argv[1])\n"
            "from hueprobe.errors import MemoryFormatError\n"
            "try:\n  open_writer(folder, read_settings(folder)).__enter__()\n"
            "except MemoryFormatError as error: print(error); sys.exit(3)"
        )
        run = subprocess.run(
            [sys.executable, "-c", code, str(tmp_path / "m")],
            capture_output=True, text=True, env={**os.environ, "PYTHONPATH": os.getcwd()},
        )  # fmt: skip
    assert run.returncode == 3, run.stderr
    assert "another process is writing" in run.stdout


def test_a_ledger_out_of_order_is_damage(tmp_path, small_memory):
    small_memory(tmp_path / "m")
    path = tmp_path / "m" / "ledger.jsonl"
    assert [kind_of(step) for step in read_ledger(path.parent).steps] == ["source", "shard", "complete"]
    lines = path.read_bytes().splitlines(keepends=True)
    for damaged in ([lines[1], lines[0], lines[2]], [lines[0], lines[2]], [lines[0], b"{}\n"]):
        path.write_bytes(b"".join(damaged))
        with pytest.raises(MemoryDamagedError, match=r"line [12]"):
            read_ledger(path.parent)


def test_ids_out_of_range_are_refused(tmp_path, small_memory):
    memory = small_memory(tmp_path / "m")
    with pytest.raises(InputError, match="there are 0 to 29"):
        memory.vectors(np.array([30]))


def test_a_class_without_a_readable_image_is_dropped_with_a_warning(tmp_path, settings_of_a_build):
    from hueprobe.memory.filling import fill_memories

    settings_, table = settings_of_a_build

    def batches(start, stop):
        for first in range(start, stop, 2):
            yield batch(first, min(first + 2, stop))

    def batch(start, stop):
        records = [
            {
                "sha256": None,
                "width": None,
                "height": None,
                "readable": table.classes[i] != "c",
                "reason": "torn",
            }
            for i in range(start, stop)
        ]
        values = np.ones((stop - start, 3, 1, 1), np.float32)
        values[[not record["readable"] for record in records]] = 0
        return [values], records

    with pytest.warns(HueprobeWarning, match="no readable image in class 'c'"):
        (memory,) = fill_memories([tmp_path / "m"], [settings_], table, batches)
    assert memory.classes == ("a", "b")
    assert memory.image_class.tolist() == [0, 1, -1, 0, 1]


@pytest.mark.parametrize("descriptor", ["gap", "gmp", "gem", "rmac", "flat"])
def test_pooled_memories_derived_and_direct_agree(tmp_path, descriptor):
    values = noise(6, channels=8, grid=(3, 3))
    pixels = memory_from_arrays(tmp_path / "pixel", values, list("abcabc"), dtype="float32")
    derived = derive_memory(tmp_path / "derived", pixels, descriptor)
    direct = memory_from_arrays(
        tmp_path / "direct", values, list("abcabc"), descriptor=descriptor, dtype="float32"
    )
    np.testing.assert_allclose(derived.energy(), direct.energy(), rtol=1e-4)
    np.testing.assert_allclose(derived.vectors(np.arange(6)), direct.vectors(np.arange(6)), atol=1e-5)
    assert derived.classes == direct.classes and derived.sha256 == pixels.sha256
    with pytest.raises(InputError, match="'pixel' memory"):
        derive_memory(tmp_path / "again", derived, "gap")


def test_a_weights_file_that_lies_elsewhere_is_no_other_setting(settings_of_a_build):
    from hueprobe.memory.settings import differences

    here = msgspec.structs.replace(settings_of_a_build[0], weights="/a/w.safetensors", weights_sha256="12")
    assert differences(here, msgspec.structs.replace(here, weights="/b/w.safetensors", versions={})) == []
    other = msgspec.structs.replace(here, weights="/b/w.safetensors", weights_sha256="34", seed=1)
    assert differences(here, other) == [
        "seed: 0 in the memory, 1 asked",
        "weights: '/a/w.safetensors' in the memory, '/b/w.safetensors' asked",
        "weights_sha256: '12' in the memory, '34' asked",
    ]
