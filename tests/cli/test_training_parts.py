"""`hueprobe train` and `hueprobe compare` train on one and the same part of a table."""

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from hueprobe import training
from hueprobe.cli import main
from hueprobe.errors import InputError
from hueprobe.studies.comparison import study

SMALL = ["--backbone", "squeezenet1_1", "--crop", "32", "--epochs", "1", "--device", "cpu"]


@pytest.fixture
def parts_of(tmp_path, monkeypatch):
    """Give what each command would train and test on, without training."""
    rng, seen = np.random.default_rng(0), []
    for name in "ab":
        for number in range(4):
            pixels = rng.integers(0, 256, (40, 40, 3), np.uint8)
            Image.fromarray(pixels).save(tmp_path / f"{name}{number}.png")

    def stop(images, test):
        seen.append((images.table.paths, test and test.table.paths))
        raise InputError("stop here")

    monkeypatch.setattr(training, "train", lambda _, images, __, *, test, **___: stop(images, test))
    monkeypatch.setattr(study, "train_run", lambda *given, **_: stop(*given[3:]))

    def parts(command, splits, *options):
        rows = [f"{name}{i}.png,{name},{splits[i]}" for name in "ab" for i in range(4)]
        (tmp_path / "t.csv").write_text("\n".join(["path,class,split", *rows]))
        seen.clear()
        own = ["--losses", "onehot"] if command == "compare" else ["--loss", "onehot"]
        given = [command, tmp_path / "t.csv", "-o", tmp_path / command, *SMALL, *own, *options]
        found = CliRunner().invoke(main, [str(one) for one in given])
        return found.stderr, *seen

    return parts


@pytest.mark.parametrize("command", ["train", "compare"])
@pytest.mark.parametrize("splits, options", [
    (["", "", "test", "test"], []),
    (["training", "training", "test", "test"], []),
    (["Train", "TRAIN", "Test", "test"], []),
    (["", "", "Testing", "val"], []),
    (["a", "a", "b", "test"], ["--train-split", "a", "--test-split", "b"]),
])  # fmt: skip
def test_no_test_image_is_trained_on(parts_of, command, splits, options):
    stderr, (trained, tested) = parts_of(command, splits, *options)
    assert trained == ("a0.png", "a1.png", "b0.png", "b1.png")
    wanted = [2, 3] if splits[2].lower() == splits[3].lower() else [2]
    assert tested == tuple(f"{name}{i}.png" for name in "ab" for i in wanted)
    assert ("neither trained on nor tested on" in stderr) == (wanted == [2])


@pytest.mark.parametrize("command", ["train", "compare"])
@pytest.mark.parametrize("splits, text", [
    (["a", "a", "test", "test"], "'a' (4 images), 'test' (4 images), none is called train or training"),
    (["test"] * 4, "none is called train or training"),
])  # fmt: skip
def test_a_name_that_tells_nothing_is_an_error(parts_of, command, splits, text):
    (stderr,) = parts_of(command, splits)
    assert text in stderr and "--train-split" in stderr and "--drop" not in stderr


def test_compare_asks_for_what_to_test_on(parts_of):
    (stderr,) = parts_of("compare", ["train", "train", "val", "val"])
    assert "no parts 'train' and 'test' (their splits are 'train', 'val')" in stderr
    stderr, (_, tested) = parts_of("train", ["train", "train", "val", "val"])
    assert tested is None and "4 images of split 'val' are neither trained on nor tested on" in stderr
