"""`hueprobe train` and `hueprobe compare` as a user calls them."""

import json

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from hueprobe.cli import main

SMALL = [
    "--backbone",
    "squeezenet1_1",
    "--crop",
    "36",
    "--epochs",
    "2",
    "--batch-size",
    "6",
    "--device",
    "cpu",
]


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    folder, rng = tmp_path_factory.mktemp("pictures"), np.random.default_rng(0)
    for name in "ab":
        (folder / "in" / name).mkdir(parents=True)
        for number in range(8):
            pixels = rng.integers(0, 140, (44, 44, 3), np.uint8)
            pixels[..., "ab".index(name)] += 80
            Image.fromarray(pixels).save(folder / "in" / name / f"{number}.png")
    (folder / "in" / "a" / "3.png").write_bytes(b"cut off")
    split = [
        "data",
        "split",
        str(folder / "in"),
        "--train",
        "0.6",
        "--seed",
        "0",
        "-o",
        str(folder / "s.csv"),
    ]
    assert CliRunner().invoke(main, split).exit_code == 0
    return str(folder / "s.csv")


def run(*arguments):
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def test_train_reports_goes_on_and_refuses_another_run(table, tmp_path):
    first = run("train", table, "-o", tmp_path, *SMALL)
    assert first.exit_code == 0, first.output
    assert (
        "2 epochs" in first.stdout and "test accuracy" in first.stdout and "share of hue 0." in first.stdout
    )
    assert "1 pictures could not be read" in first.stderr and "a/3.png" in first.stderr
    assert {"checkpoint.pt", "log.csv", "log.parquet"} == {path.name for path in tmp_path.iterdir()}
    assert run("train", table, "-o", tmp_path, *SMALL).stdout == first.stdout
    other = run("train", table, "-o", tmp_path, *SMALL, "--loss", "smooth")
    assert other.exit_code == 1 and other.stdout == ""
    assert "checkpoint of another run: objective was 'hue:eq5' and is 'smooth'" in other.stderr


def test_reading_files_anew_gives_the_same_run(table, tmp_path):
    held = run("train", table, "-o", tmp_path / "held", *SMALL)
    read = run("train", table, "-o", tmp_path / "read", *SMALL, "--from-files")
    assert read.stdout.split(":", 1)[1] == held.stdout.split(":", 1)[1]


def test_compare_prints_one_document_and_leaves_a_page(table, tmp_path):
    found = run(
        "compare", table, "-o", tmp_path, *SMALL, "--seeds", 1, "--losses", "onehot,hue:eq5", "--json"
    )
    assert found.exit_code == 0, found.output
    document = json.loads(found.stdout)
    assert [entry["loss"] for entry in document["losses"]] == ["onehot", "hue:eq5"]
    assert document["losses"][1]["primary"] and document["losses"][1]["accuracy"]["low"] is None
    assert {"comparison.md", "comparison.csv", "curves.csv", "losses_lr0.001.png"} <= {
        path.name for path in tmp_path.iterdir()
    }
    shown = run("compare", table, "-o", tmp_path, *SMALL, "--seeds", 1, "--losses", "onehot,hue:eq5")
    assert "hue:eq5 (primary)" in shown.stdout and "fewer than 6 seeds" in shown.stdout


@pytest.mark.parametrize("arguments, code, text", [
    (["train", "--loss", "hue:eq7"], 1, "unknown loss 'hue:eq7'"),
    (["train", "--side", "20"], 2, "--side 20 is less than --crop 36"),
    (["train", "--loss", "maxdropout", "--stage", "layer9"], 1, "no layer 'layer9'"),
    (["compare", "--learning-rates", "fast"], 2, "3e-4,1e-3"),
    (["compare", "--losses", "onehot", "--primary", "smooth"], 1, "primary loss 'smooth'"),
    (["compare", "--folds", "99"], 1, "folds is 99"),
])  # fmt: skip
def test_what_is_wrong_is_said_in_one_line(table, tmp_path, arguments, code, text):
    found = run(arguments[0], table, "-o", tmp_path, *SMALL, *arguments[1:])
    assert found.exit_code == code and found.stdout == ""
    assert text in found.stderr
