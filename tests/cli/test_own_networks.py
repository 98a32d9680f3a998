"""A network of the user's own, from training to a memory by the command line."""

import json

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from hueprobe import open_memory
from hueprobe.cli import main

pytestmark = pytest.mark.slow

OWN = "tests.activations.test_wrappings:network"
TRAINING = (
    "--backbone", OWN, "--crop", "32", "--side", "36", "--epochs", "1", "--batch-size", "4",
    "--device", "cpu", "--workers", "0",
)  # fmt: skip


@pytest.fixture
def table(tmp_path):
    rng = np.random.default_rng(0)
    rows = ["path,class,split"]
    for name in "ab":
        (tmp_path / "in" / name).mkdir(parents=True)
        for number in range(4):
            pixels = rng.integers(0, 255, (44, 44, 3), np.uint8)
            Image.fromarray(pixels).save(tmp_path / "in" / name / f"{number}.png")
            rows.append(f"in/{name}/{number}.png,{name},{'test' if number == 3 else 'train'}")
    (tmp_path / "table.csv").write_text("\n".join(rows) + "\n")
    return tmp_path / "table.csv"


def run(*arguments):
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def test_train_and_index_with_a_layer_of_ones_own(table, tmp_path):
    refused = run("train", table, "-o", tmp_path / "none", *TRAINING)
    assert refused.exit_code == 1 and "(--layer)" in refused.stderr
    trained = run("train", table, "-o", tmp_path / "run", *TRAINING, "--layer", "last")
    assert trained.exit_code == 0, trained.output
    assert run("train", table, "-o", tmp_path / "run", *TRAINING, "--layer", "last").exit_code == 0
    other = run("train", table, "-o", tmp_path / "run", *TRAINING, "--layer", "norm")
    assert other.exit_code == 1 and "layer was 'last' and is 'norm'" in other.stderr
    indexed = run(
        "index", tmp_path / "in", "-o", tmp_path / "m", "--backbone", OWN, "--layer", "last",
        "--weights", tmp_path / "run" / "checkpoint.pt", "--device", "cpu",
    )  # fmt: skip
    assert indexed.exit_code == 0, indexed.output
    assert "took 'state' > 'objective'; took 'network.' off the names" in indexed.stderr
    assert "'fc.weight', (4, 5) in the network, has shape (2, 5) in the file" in indexed.stderr
    queried = run("query", tmp_path / "m", tmp_path / "in" / "a" / "0.png", "--json")
    assert queried.exit_code == 0, queried.output
    memory = open_memory(tmp_path / "m")
    assert memory.settings.weights == str(tmp_path / "run" / "checkpoint.pt") and memory.n_images == 8


def test_compare_with_a_layer_of_ones_own(table, tmp_path):
    options = (
        *TRAINING,
        "--losses",
        "onehot,hue:eq5",
        "--seeds",
        "1",
        "--no-robustness",
        "--observe",
        "none",
    )
    found = run("compare", table, "-o", tmp_path / "study", *options, "--layer", "last", "--json")
    assert found.exit_code == 0, found.output
    assert len(json.loads(found.stdout)["losses"]) == 2
    other = run("compare", table, "-o", tmp_path / "study", *options, "--layer", "norm")
    assert other.exit_code == 1 and "layer was 'last' and is 'norm'" in other.stderr
