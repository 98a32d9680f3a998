"""Finished runs: written whole, read strictly, made once, by one process or several."""

import errno
import fcntl
import multiprocessing
import os
from dataclasses import dataclass
from pathlib import Path

import pytest

from hueprobe.errors import InputError, StorageError
from hueprobe.studies.locks import locked
from hueprobe.studies.run_store import RunStore, settings_hash


@dataclass(frozen=True, kw_only=True)
class Made:
    by: int
    values: tuple[float, ...] = ()


def test_a_run_is_one_line_or_indented_and_is_read_back(tmp_path):
    store = RunStore(tmp_path / "runs", Made, ending=".run.json")
    assert "a" not in store and not (tmp_path / "runs").exists()
    store.write("a", Made(by=1, values=(0.5, 2.0)))
    assert (tmp_path / "runs" / "a.run.json").read_bytes() == b'{"by": 1, "values": [0.5, 2.0]}\n'
    assert "a" in store and store.read("a") == Made(by=1, values=(0.5, 2.0))
    indented = RunStore(tmp_path, Made, indent=1)
    indented.write("a", Made(by=1))
    assert (tmp_path / "a.json").read_bytes() == b'{\n "by": 1,\n "values": []\n}'


@pytest.mark.parametrize("text", [
    "", "{", "[]", "{}", '{"by": "1"}', '{"by": true}', '{"by": 1, "values": 3}',
    '{"by": 1, "values": ["1"]}', "[" * 100_000,
])  # fmt: skip
def test_what_is_no_run_is_named_with_what_to_do(tmp_path, text):
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(InputError, match=r"a\.json is no finished run of this version .*; throw it away"):
        RunStore(tmp_path, Made, remedy="throw it away").read("a")


def test_a_run_that_cannot_be_written_is_not_there(tmp_path, monkeypatch):
    store = RunStore(tmp_path, Made)
    full = OSError(errno.ENOSPC, "No space left on device")
    monkeypatch.setattr(os, "fsync", lambda _: (_ for _ in ()).throw(full))
    with pytest.raises(StorageError, match="make room"):
        store.write("a", Made(by=1))
    assert list(tmp_path.iterdir()) == []


def work(folder, number, started):
    """Make twelve runs together with others; a run remembers which process made it."""
    store = RunStore(Path(folder), Made)
    started.wait()

    def make(name):
        if name not in store:
            store.write(name, Made(by=number))
            with (Path(folder) / "order.txt").open("a") as file:
                file.write(f"{name}\n")

    for _ in store.shared_out([f"run{i}" for i in range(12)], make):
        pass


def test_processes_share_runs_and_none_is_made_twice(tmp_path):
    context = multiprocessing.get_context("spawn")
    started = context.Barrier(3)
    processes = [context.Process(target=work, args=(str(tmp_path), i, started)) for i in range(3)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0, 0, 0]
    assert sorted((tmp_path / "order.txt").read_text().split()) == sorted(f"run{i}" for i in range(12))
    assert not list(tmp_path.glob("*.lock"))


def test_what_another_process_left_undone_is_made_in_the_end(tmp_path):
    store, made = RunStore(tmp_path, Made), []
    with (tmp_path / "a.lock").open("a") as holder:
        fcntl.flock(holder, fcntl.LOCK_EX)

        def make(name):
            made.append(name)
            if name == "c":
                holder.close()  # it was killed

        assert list(store.shared_out("abc", make)) == made == ["b", "c", "a"]
    assert list(tmp_path.iterdir()) == []


def test_a_failing_run_ends_the_work_and_frees_its_lock(tmp_path):
    store = RunStore(tmp_path, Made)
    with pytest.raises(ZeroDivisionError):
        list(store.shared_out("a", lambda _: 1 / 0))
    with locked(tmp_path / "a.lock") as free:
        assert free


def test_a_lock_that_was_removed_while_it_was_waited_for_does_not_count(tmp_path, monkeypatch):
    """Else whoever comes third would lock a new file of this name, beside the one who waited."""
    path, flock, opened = tmp_path / "a.lock", fcntl.flock, []

    def removed_meanwhile(file, how):
        opened.append(file)
        if len(opened) == 1:
            path.unlink()
        flock(file, how)

    monkeypatch.setattr(fcntl, "flock", removed_meanwhile)
    with locked(path, wait=True) as free:
        assert free and len(opened) == 2 and os.path.samestat(os.fstat(opened[1].fileno()), path.stat())
    assert not path.exists()


def test_a_lock_in_a_folder_that_is_not_there_is_told_in_one_sentence(tmp_path):
    with pytest.raises(StorageError, match="bring the folder back"), locked(tmp_path / "gone" / "a.lock"):
        pass


def test_settings_have_one_hash_whatever_their_order():
    """The hash is in the names of files that lie in users' folders: it must stay."""
    assert settings_hash({"a": 1, "b": None}) == settings_hash({"b": None, "a": 1}) == "0c6b73e7b48e199a"
    assert settings_hash({"a": 1}) != settings_hash({"a": "1"})
