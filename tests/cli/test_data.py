"""`hueprobe data` as a user meets it."""

import csv
import json
import subprocess
import sys

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from hueprobe.cli import main
from hueprobe.datasets import load_manifest, manifest_names
from hueprobe.errors import HueprobeWarning
from hueprobe.images import resolve_images
from tests.tiny_sets import write_image

TINY = ["--backbone", "tests.tiny_network:tiny", "--layer", "3", "--batch-size", "4"]


def run(*arguments, code=0):
    result = CliRunner().invoke(main, [str(a) for a in arguments])
    assert result.exit_code == code, result.output + repr(result.exception)
    return result


@pytest.fixture
def faces(tmp_path, monkeypatch):
    """A tiny UTKFace where HUEPROBE_DATA points."""
    rng = np.random.default_rng(0)
    folder = tmp_path / "sets" / "UTKFace"
    folder.mkdir(parents=True)
    for i in range(12):
        values = rng.integers(0, 90, (30, 36, 3))
        values[..., i % 2] += 150
        Image.fromarray(values.astype(np.uint8)).save(
            folder / f"{20 + i}_{i % 2}_{i % 3}_2017{i:02d}.jpg", "PNG"
        )
    monkeypatch.setenv("HUEPROBE_DATA", str(tmp_path / "sets"))
    monkeypatch.chdir(tmp_path)
    return folder


def rows(file):
    with file.open() as lines:
        return list(csv.DictReader(lines))


LOADED = """
import sys
from hueprobe.cli import main
for line in sys.argv[1:]:
    try:
        main(line.split(), standalone_mode=False)
    except SystemExit:
        pass
print("LOADED", *sorted({"pooch", "requests", "torch"} & set(sys.modules)))
"""


def test_what_downloads_is_loaded_to_fetch_alone(faces):
    lines = (
        "data list", "data show utkface", "data verify utkface", "data split utkface -o s.csv",
        f"data init {faces} -o u.toml --overwrite",
    )  # fmt: skip
    shown = subprocess.run([sys.executable, "-c", LOADED, *lines], capture_output=True, text=True, check=True)
    assert shown.stdout.splitlines()[-1] == "LOADED", shown.stdout


def test_list_and_show():
    shown = run("data", "list").stdout
    assert all(name in shown for name in manifest_names())
    listed = json.loads(run("data", "list", "--json").stdout)["manifests"]
    assert [one["name"] for one in listed] == manifest_names()
    text = run("data", "show", "flowers17").stdout
    for part in (
        "Nilsback",
        "1,360",
        "train 680",
        "(unverified)",
        "https://www.robots.ox.ac.uk",
        "also 2, 3",
        "not found",
    ):
        assert part in text
    assert json.loads(run("data", "show", "hcp:family", "--json").stdout)["name"] == "hcp:family"
    result = run("data", "show", "dttd", code=1)
    assert result.stdout == "" and result.stderr.startswith(
        "hueprobe: error: no data manifest 'dttd'; nearest names"
    )


def test_a_name_stands_wherever_images_do(faces, tmp_path):
    run("data", "split", "utkface", "--train", "0.5", "-o", "half.csv")
    assert {row["manifest"] for row in rows(tmp_path / "half.csv")} == {"utkface"}
    run("index", "half.csv", "--split", "train", "-o", "a.memory", *TINY)
    found = json.loads(run("evaluate", "a.memory", "half.csv", "--split", "test", "--json").stdout)
    assert found["images"] == 6 and set(found["per_class"]) == {"female", "male"}
    run("index", "utkface:race", "-o", "b.memory", *TINY)
    assert json.loads(run("info", "b.memory", "--json").stdout)["classes"] is not None
    whole = json.loads(run("evaluate", "b.memory", "utkface:race", "--json").stdout)
    assert set(whole["per_class"]) == {"White", "Black", "Asian"}


def test_a_split_table_works_where_the_set_lies_elsewhere(faces, tmp_path, monkeypatch):
    run("data", "split", "utkface", "--shots", "2", "--seed", "3")
    file = tmp_path / "utkface-2shot-seed3.csv"
    before = resolve_images(file)
    assert before.splits.count("train") == 4 and before.splits.count("test") == 8
    (tmp_path / "sets").rename(tmp_path / "moved")
    monkeypatch.setenv("HUEPROBE_DATA", str(tmp_path / "moved"))
    after = resolve_images(file)
    assert (after.paths, after.splits, after.classes) == (before.paths, before.splits, before.classes)
    assert after.file(0).is_file() and "moved" in after.roots[0]
    after.file(0).unlink()
    result = run("index", file, "-o", tmp_path / "c.memory", *TINY, code=1)
    assert "has no image" in result.stderr and "hueprobe data verify utkface" in result.stderr


def test_folds_are_files_of_train_and_test(faces, tmp_path):
    result = run("data", "split", "utkface", "--folds", "3", "-o", "f.csv")
    parts = [rows(tmp_path / f"f-fold{i}.csv") for i in (1, 2, 3)]
    tested = [row["path"] for part in parts for row in part if row["split"] == "test"]
    assert len(tested) == len(set(tested)) == 12
    assert all(len(part) == 12 and {row["split"] for row in part} == {"train", "test"} for part in parts)
    assert "f-fold1.csv: 8 train, 4 test" in result.stdout
    run("data", "split", "utkface", "--folds", "3", "--seed", "2")
    assert (tmp_path / "utkface-3folds-seed2-fold3.csv").is_file()


def test_official_splits_are_saved_or_missed(faces, tmp_path):
    result = run("data", "split", "utkface", "--official", code=2)
    assert "utkface has no official split; make one with --train, --shots or --folds" in result.stderr
    for name in ("train/a/1.png", "test/a/2.png", "test/b/3.png"):
        write_image(tmp_path / "mine" / name)
    run("data", "init", "mine", "-o", "mine.toml")
    result = run("data", "split", "mine.toml", "--official")
    assert result.stdout == "mine-official.csv: 1 train, 2 test\n"
    assert {row["manifest"] for row in rows(tmp_path / "mine-official.csv")} == {"mine.toml"}
    assert resolve_images(tmp_path / "mine-official.csv").where_split("train").paths == ("train/a/1.png",)
    # A part of a part: divide the official test part only.
    run("data", "split", "mine.toml", "--split", "test", "--shots", "1", "-o", "part.csv")
    assert len(rows(tmp_path / "part.csv")) == 2


def test_ways_to_split_exclude_each_other(faces):
    assert "give one" in run("data", "split", "utkface", "--shots", "1", "--folds", "2", code=2).stderr
    assert "name the file to write with -o" in run("data", "split", faces, code=2).stderr
    assert (
        "--root goes with a data set's name"
        in run("data", "split", faces, "--root", ".", "-o", "a.csv", code=2).stderr
    )


def test_verify_says_what_differs_and_exits_1(faces, tmp_path):
    result = run("data", "verify", "utkface", code=1)
    assert "counts.images: 12 found, 23,705 expected" in result.stderr
    assert "utkface: 12 images in 2 classes" in result.stdout
    document = json.loads(run("data", "verify", "utkface", "--root", faces, "--json", code=1).stdout)
    assert document["ok"] is False and document["images"] == 12
    assert document["problems"][0]["kind"] == "count"
    for file in ("own.toml", "sets/UTKFace/own.toml"):
        run("data", "init", faces, "-o", file)
        assert "matches the manifest" in run("data", "verify", file).stdout  # found beside itself
        assert "matches the manifest" in run("data", "verify", file, "--root", faces).stdout
        assert "no image was read" in run("data", "verify", file, "--quick").stdout
    result = run("data", "verify", "mnist", code=1)
    assert result.stdout == "" and "`hueprobe data fetch mnist` gets it" in result.stderr


def test_fetch_says_what_is_there_or_what_to_do(faces):
    result = run("data", "fetch", "utkface")
    assert "utkface: already in" in result.stdout
    assert "12 images (23,705 expected)" in result.stdout
    result = run("data", "fetch", "stanford_cars", code=1)
    assert result.stdout == "" and "by hand: find cars_train.tgz" in result.stderr


def test_init_writes_a_draft_and_overwrites_only_when_told(faces, tmp_path):
    text = run("data", "init", faces).stdout
    assert "images = 12" in text and "MEND" not in text
    run("data", "init", faces, "-o", "own.toml", "--checksums")
    assert len(load_manifest(tmp_path / "own.toml").checksums) == 12
    assert "exists; give another name" in run("data", "init", faces, "-o", "own.toml", code=2).stderr
    run("data", "init", faces, "-o", "own.toml", "--overwrite")
    assert "must end in .toml" in run("data", "init", faces, "-o", "own.txt", code=2).stderr


def test_a_folder_of_a_sets_name_is_taken_with_a_warning(faces, tmp_path):
    write_image(tmp_path / "utkface" / "a" / "1.png")
    write_image(tmp_path / "utkface" / "a" / "2.png")
    with pytest.warns(HueprobeWarning, match="both a path and a data manifest"):
        resolve_images("utkface")
    result = run("data", "split", "utkface", "-o", "a.csv")
    assert "warning: 'utkface' is both a path and a data manifest" in result.stderr
    assert "a.csv: 1 train, 1 test" in result.stdout
    assert run("data", "split", "manifest:utkface", "-o", "b.csv").stderr == ""
    assert len(rows(tmp_path / "b.csv")) == 12
