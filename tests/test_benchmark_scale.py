"""What the rehearsal of many machines compares, and how its table says it."""

import os
import subprocess
import sys
from dataclasses import replace

import numpy as np

from benchmarks.scale import descendants, differences, different_matches
from benchmarks.tables import scale_tables
from hueprobe import KernelDensityClassifier, memory_from_arrays


def test_files_that_differ_are_named(tmp_path):
    for name in "ab":
        (tmp_path / name / "shards").mkdir(parents=True)
        (tmp_path / name / "shards" / "0.npy").write_bytes(b"same")
        (tmp_path / name / "memory.json").write_bytes(name.encode())
    (tmp_path / "b" / "more").write_bytes(b"")
    assert differences(tmp_path / "a", tmp_path / "a") == []
    assert differences(tmp_path / "a", tmp_path / "b") == ["memory.json", "more"]


def test_matches_that_differ_are_counted(tmp_path):
    values = np.random.default_rng(0).random((6, 4, 2, 2)).astype(np.float32)
    memory = memory_from_arrays(tmp_path / "m", values, ["a", "b"] * 3)
    matches = KernelDensityClassifier(memory, k=2).leave_one_out().matches
    assert matches is not None
    matches.save(tmp_path / "one.parquet")
    moved = np.array(matches.distance)
    moved[[3, 7]] += 1e-9
    replace(matches, distance=moved).save(tmp_path / "two.parquet")
    assert different_matches(tmp_path / "one.parquet", tmp_path / "one.parquet") == 0
    assert different_matches(tmp_path / "one.parquet", tmp_path / "two.parquet") == 2
    matches.select(np.arange(len(matches)) > 0).save(tmp_path / "three.parquet")
    assert different_matches(tmp_path / "one.parquet", tmp_path / "three.parquet") == len(matches)


def test_workers_are_the_processes_that_this_one_started():
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        assert child.pid in descendants(os.getpid())
        child.communicate(b"\n")
    assert child.pid not in descendants(os.getpid())


def test_the_table_says_what_was_measured():
    ran = {"machine": {"processor": "made up", "cores": 2}}
    one = {"engine": "one process", "seconds": 20.0, "search_seconds": 3.0}
    two = {
        "engine": "local 2", "seconds": 10.0, "search_seconds": 2.0, "files_that_differ": [],
        "matches_that_differ": 0,
    }  # fmt: skip
    builds = [{"kills": 30, "files_that_differ": []}, {"kills": 21, "files_that_differ": ["x"]}]
    text = scale_tables(
        {
            "engines": {**ran, "images": 800, "shard_images": 64, "rows": [one, two]},
            "kills": {**ran, "images": 800, "kills": 51, "builds": builds},
        }
    )
    assert "| local 2 | 10.0 | 2.00 | 2.0 | 0 | 0 |" in text
    assert "killed (SIGKILL) 51 times" in text and "undisturbed process: 1." in text
    assert scale_tables({}) == "This has not been measured yet."
