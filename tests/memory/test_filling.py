"""Filling a memory while batches are made: what fails on either side, and what is kept."""

import threading

import msgspec
import numpy as np
import pytest

from hueprobe.images.table import unfiled_table
from hueprobe.memory import memory_from_arrays, open_memory, verify_memory
from hueprobe.memory.filling import fill_memories
from hueprobe.memory.writer import ShardWriter

N, BATCH, SHARD = 11, 2, 4
VALUES = np.random.default_rng(0).random((N, 3, 2, 2), np.float32)
TABLE = unfiled_table(N, classes=list("abcabcabcab"))
RECORD = {"sha256": "0" * 64, "width": 1, "height": 1, "readable": True, "reason": None}


@pytest.fixture
def settings(tmp_path):
    model = memory_from_arrays(tmp_path / "model", VALUES, list(TABLE.classes))
    return msgspec.structs.replace(model.settings, batch_size=BATCH, shard_images=SHARD)


def contents(folder):
    return {p.relative_to(folder): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def batches(start, stop, *, before=lambda first: None):
    for first in range(start, stop, BATCH):
        before(first)
        part = VALUES[first : min(first + BATCH, stop)]
        yield [part], [RECORD] * len(part)


def fill_until(folder, settings, error, row):
    """Fill with batches of which the one at `row` raises."""

    def fail(first):
        if first == row:
            raise error

    fill_memories([folder], [settings], TABLE, lambda start, stop: batches(start, stop, before=fail))


def assert_goes_on(folder, settings, *, done, tmp_path):
    """What is done is there, nothing is half-written, and the same call again ends as an undisturbed one."""
    assert [t.name for t in threading.enumerate() if t.name.startswith("hueprobe")] == []
    assert list(folder.rglob("*.partial")) == []
    memory = open_memory(folder)
    assert memory.n_images == done and not memory.complete
    asked = []

    def noted(start, stop):
        asked.append((start, stop))
        return batches(start, stop)

    fill_memories([folder], [settings], TABLE, noted)
    assert asked == [(done, N)]
    fill_memories([tmp_path / "straight"], [settings], TABLE, batches)
    assert contents(folder) == contents(tmp_path / "straight")
    assert verify_memory(folder).problems == ()


def test_a_full_disk_is_said_at_once_and_leaves_whole_shards(tmp_path, settings, monkeypatch):
    written, made = [], []
    write = ShardWriter.add

    def full(self, vectors, *rest):
        written.append(len(vectors))
        if sum(written) > SHARD + BATCH:
            raise OSError(28, "No space left on device", "000001.vectors.npy.partial")
        write(self, vectors, *rest)

    monkeypatch.setattr(ShardWriter, "add", full)
    with pytest.raises(OSError, match=r"cannot write .*000001.*: No space left on device; make room"):
        fill_memories([tmp_path / "m"], [settings], TABLE, lambda *rows: batches(*rows, before=made.append))
    assert len(made) <= 6
    monkeypatch.undo()
    assert_goes_on(tmp_path / "m", settings, done=SHARD, tmp_path=tmp_path)


@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError, MemoryError])
@pytest.mark.parametrize(("row", "done"), [(4, 4), (6, 4), (8, 8), (10, 8)])
def test_batches_that_stop_leave_what_was_handed_over(tmp_path, settings, error, row, done):
    with pytest.raises(error):
        fill_until(tmp_path / "m", settings, error(), row)
    assert_goes_on(tmp_path / "m", settings, done=done, tmp_path=tmp_path)


def test_batches_are_closed_when_the_writing_fails(tmp_path, settings, monkeypatch):
    closed = []

    def closing(start, stop):
        try:
            yield from batches(start, stop)
        finally:
            closed.append(True)

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(ShardWriter, "add", full)
    with pytest.raises(OSError) as caught:
        fill_memories([tmp_path / "m"], [settings], TABLE, closing)
    assert closed == [True] and caught.tb  # which would keep a generator alive
