"""`hueprobe audit` and `evaluate --neighbors`: the numbers of the library, and what is refused."""

import json

import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

import hueprobe as hp
from hueprobe.cli import main
from tests.trust.planted import plant

TINY = ["--backbone", "tests.tiny_network:tiny", "--layer", "3", "--batch-size", "16"]


def run(*arguments, code=0):
    result = CliRunner().invoke(main, [str(a) for a in arguments])
    assert result.exit_code == code, result.output + repr(result.exception)
    return result


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("audit")
    plant(folder / "images")
    run("index", folder / "images", "-o", folder / "a.memory", *TINY)
    return folder


@pytest.fixture
def inside(folder, monkeypatch):
    monkeypatch.chdir(folder)
    return folder


def test_the_numbers_are_those_of_the_library(inside, tmp_path):
    found = hp.trust.audit(hp.open_memory("a.memory"))
    result = run("audit", "a.memory", "-o", tmp_path / "out", "--json")
    document = json.loads(result.stdout)
    assert document["images"] == len(found) and document["candidates"] == found.labels.n_candidates > 0
    assert document["near"] == found.to_arrow("near").to_pylist() and document["near"]
    assert document["labels"] == found.to_arrow("labels").to_pylist()
    assert [[one["image"] for one in images] for images in document["exact"]] == [
        [found.images[i] for i in images] for images in found.exact
    ]
    assert document["patches"] == found.to_arrow("patches").to_pylist() and document["patches"]
    assert document["false_alarms"]["cells"]["estimate"] == found.false_alarms("cells").estimate
    assert document["limits"] == found.limits and document["rate"] == 0.001
    copies = found.copies()["memory", "memory"]
    assert document["copies"] == [
        {"set": "memory", "other_set": "memory", "images": copies.n, "exact": copies.exact,
         "near": copies.near, "either": copies.either, "patches": copies.patches}
    ]  # fmt: skip
    assert {one["kind"]: one["pairs"] for one in document["pairs_by_sets"]} == {
        "exact": 3, "near": len(found.near), "patches": len(found.patches)
    }  # fmt: skip
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert names == {"exact.parquet", "near.parquet", "patches.parquet", "labels.parquet", "audit.png"}
    assert pq.read_table(tmp_path / "out" / "near.parquet").equals(found.to_arrow("near"))


def test_the_report_names_what_was_found(inside):
    shown = run("audit", "a.memory").stdout
    assert "exact duplicates: 3 sets, 0 with different classes" in shown
    assert "near-duplicates: 4 pairs; shared patches: 2 pairs" in shown
    assert "label-noise candidates: " in shown
    copies = next(line for line in shown.splitlines() if line.startswith("memory  "))
    assert copies.split() == ["memory", "memory", "42", "6", "8", "14", "(33.3%)", "4"]
    patch = next(line for line in shown.splitlines() if "red/cropped.png" in line and "0-5, 0-5" in line)
    assert patch.split()[2:6] == ["memory", "memory", "red", "red"]
    assert "paired with another class by relative distance < 0.2" in shown
    labels = shown[shown.index("least likely labels") :].splitlines()[2:]
    assert len(labels) == 4 and all(line.split()[3] != "1" for line in labels)  # only candidates
    assert "paired with another class by 6 or more shared cells: 0.0000" in shown
    assert "was_" in shown  # a planted label


def test_images_are_a_set_of_their_own(inside):
    document = json.loads(run("audit", "a.memory", "images", "--json").stdout)
    assert {"images", "memory"} == {one["set"] for images in document["exact"] for one in images}
    assert len(document["exact"]) == len(hp.open_memory("a.memory").images) - 3  # a set for each content


def test_limits_are_set_by_hand_or_by_the_rate(inside):
    document = json.loads(
        run("audit", "a.memory", "--relative-distance", "0.06", "--cells", "40", "--json").stdout
    )
    assert document["limits"] == {"relative_distance": 0.06, "cells": 40}
    assert len(document["near"]) == 1 and document["patches"] == []
    loose = json.loads(run("audit", "a.memory", "--false-alarms", "0.2", "--json").stdout)
    found = hp.trust.audit(hp.open_memory("a.memory"), false_alarms=0.2)
    assert loose["limits"] == found.limits and loose["near"] == found.to_arrow("near").to_pylist()


@pytest.mark.parametrize(
    "arguments, told",
    [
        (["--split", "test"], "--split selects from IMAGES"),
        (["--images-root", "images"], "--images-root is for the figure"),
        (["--k", "100000"], "is larger than the memory"),
        (["--false-alarms", "1"], "0<x<1"),
        (["--cells", "1"], "x>=2"),
        (["--relative-distance", "-1"], "0<=x<=1000"),
    ],
)
def test_refusals(inside, arguments, told):
    assert told in run("audit", "a.memory", *arguments, code=2).stderr


def test_neighbors_of_evaluate(inside, tmp_path):
    run("evaluate", "a.memory", "--leave-one-out", "--k", "5", "--neighbors", tmp_path / "n.parquet")
    classifier = hp.KernelDensityClassifier(hp.open_memory("a.memory"), k=5)
    expected = hp.NeighborTable(classifier.leave_one_out_batches()).to_arrow()
    assert pq.read_table(tmp_path / "n.parquet").equals(expected)
    shown = run("evaluate", "a.memory", "--leave-one-out", "--neighbors", tmp_path / "n.csv", code=2).stderr
    assert "end the name in .parquet" in shown and not (tmp_path / "n.csv").exists()
