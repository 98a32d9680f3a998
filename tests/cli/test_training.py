"""`hueprobe train` and `hueprobe compare` as a user calls them."""

import json
import sys
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from PIL import Image
from safetensors.torch import load_file
from torchvision.models import squeezenet1_1

from hueprobe.cli import main
from hueprobe.training import read_trained

pytestmark = pytest.mark.slow

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
    folder, rng = tmp_path_factory.mktemp("images"), np.random.default_rng(0)
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
    assert "1 images could not be read" in first.stderr and "a/3.png" in first.stderr
    assert {path.name for path in tmp_path.iterdir()} == {
        "checkpoint.pt", "log.csv", "log.parquet", "weights.safetensors", "config.json",
    }  # fmt: skip
    assert f"--weights {tmp_path / 'weights.safetensors'} --resize 42 --crop 36" in first.stderr
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
    assert {found["measure"] for found in document["observed"]} >= {"full direction", "angle, pca plane"}
    files = {path.name for path in tmp_path.iterdir()}
    assert files >= {"comparison.md", "comparison.csv", "curves.csv", "losses_lr0.001.png", "observed.csv"}
    assert "observed_lr0.001.png" in files and not list((tmp_path / "weights").iterdir())
    shown = run("compare", table, "-o", tmp_path, *SMALL, "--seeds", 1, "--losses", "onehot,hue:eq5")
    assert "hue:eq5 (primary)" in shown.stdout and "fewer than 6 seeds" in shown.stdout
    assert "not measurable (1 seed)" in shown.stdout and "nan" not in shown.stdout
    assert document["losses"][1]["p"] is None and document["losses"][1]["difference"]["high"] is None


def test_each_network_is_left_under_its_own_names(table, tmp_path):
    """torchvision's own network takes the tensors, of a training with a hue head and of a study."""
    alone = run("train", table, "-o", tmp_path / "run", *SMALL)
    losses = ["--losses", "onehot,hue:eq5", "--no-robustness", "--observe", "none", "--keep-weights"]
    study = run("compare", table, "-o", tmp_path / "study", *SMALL, "--seeds", 1, *losses)
    assert alone.exit_code == study.exit_code == 0
    kept = {
        name: tmp_path / "study" / "weights" / f"{name}_seed0_test_lr0.001" for name in ("onehot", "hue-eq5")
    }
    files = [(tmp_path / "run" / "weights.safetensors", tmp_path / "run" / "config.json", "hue:eq5")]
    files += [(f"{path}.safetensors", f"{path}.json", name.replace("-", ":")) for name, path in kept.items()]
    states = []
    for weights, config, loss in files:
        states.append(load_file(weights))
        squeezenet1_1(num_classes=2).load_state_dict(states[-1])
        told = read_trained(config)
        assert (told.backbone, told.classes, told.loss, told.seed) == ("squeezenet1_1", ("a", "b"), loss, 0)
        assert told.weights_sha256 == sha256(Path(weights).read_bytes()).hexdigest()
        assert (told.transform["resize"], told.transform["crop"]) == (42, 36)
    # the same seed and images: the study's hue network is the one trained alone
    assert all(torch.equal(value, states[2][name]) for name, value in states[0].items())
    assert not all(torch.equal(value, states[1][name]) for name, value in states[0].items())


def test_tensorboard_that_is_not_there_is_said_before_images_are_read(table, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    found = run("train", table, "-o", tmp_path, *SMALL, "--tensorboard")
    assert found.exit_code == 1 and "TensorBoard is asked for and not installed" in found.stderr
    assert "reading" not in found.stderr and not list(tmp_path.iterdir())


def test_the_hue_head_is_as_asked(table, tmp_path):
    plain = run("train", table, "-o", tmp_path / "plain", *SMALL)
    asked = ["--head-input", "flat", "--head-hidden", 8, "--head-hidden", 4, "--head-project"]
    deep = run("train", table, "-o", tmp_path / "deep", *SMALL, *asked)
    assert deep.exit_code == 0 and deep.stdout.split(":", 1)[1] != plain.stdout.split(":", 1)[1]
    other = run("train", table, "-o", tmp_path / "deep", *SMALL)
    assert other.exit_code == 1 and "checkpoint of another run: head was" in other.stderr
    study = ["compare", table, "-o", tmp_path / "study", *SMALL, "--seeds", 1, "--losses", "hue:eq5"]
    found = run(*study, *asked, "--no-robustness")
    assert found.exit_code == 0, found.output
    assert "left out: the head's plane: the head is not one linear layer" in found.stdout
    # 512 channels on 2 x 2 cells, to 8, to 4, to a point
    assert str((4 * 512 + 1) * 8 + 9 * 4 + 5 * 2) in (tmp_path / "study" / "comparison.csv").read_text()
    refused = run(*study, "--no-robustness")
    assert refused.exit_code == 1 and "another study: head was" in refused.stderr


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
