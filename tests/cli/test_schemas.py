"""Every JSON document is as its schema in the documentation says, which forbids what it does not list."""

import importlib
import json
import re
import sys
from pathlib import Path

import click
import numpy as np
import pytest
from click.testing import CliRunner
from jsonschema import Draft202012Validator
from PIL import Image

from hueprobe.cli import main

DOCS = Path(__file__).parent.parent.parent / "docs"
TINY = ["--backbone", "tests.tiny_network:tiny", "--layer", "3", "--batch-size", "4"]


@pytest.fixture(scope="module")
def schemas():
    sys.path.insert(0, str(DOCS))
    try:
        return importlib.import_module("generators.schemas").schemas()
    finally:
        sys.path.remove(str(DOCS))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Two classes of six images, one file that is no image, a table with two splits, a memory, an index."""
    folder = tmp_path_factory.mktemp("schemas")
    rng = np.random.default_rng(0)
    for c, name in enumerate(["blue", "red"]):
        (folder / "images" / name).mkdir(parents=True)
        for i in range(6):
            values = rng.integers(0, 90, (30, 36, 3))
            values[..., 2 - 2 * c] += 150
            Image.fromarray(values.astype(np.uint8)).save(folder / "images" / name / f"{i}.png")
    (folder / "broken.png").write_bytes(b"no image")
    run("data", "split", folder / "images", "--train", "0.5", "--seed", "0", "-o", folder / "split.csv")
    run("index", folder / "split.csv", "--split", "train", "-o", folder / "a.memory", *TINY)
    for image in (folder / "images").rglob("*.png"):
        mask = folder / "masks" / image.relative_to(folder / "images")
        mask.parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (36, 30), int(image.stem) % 3).save(mask)
    masks = ["--masks", folder / "masks"]
    run("index", folder / "images", "-o", folder / "labeled.memory", *TINY, *masks)
    run("index", folder / "images", "-o", folder / "labeled.memory", *TINY, *masks, "--layer", "1")
    return folder


def run(*arguments, code=0):
    result = CliRunner().invoke(main, [str(a) for a in arguments])
    assert result.exit_code == code, result.output + repr(result.exception)
    return result.stdout


def complaints(schema, document):
    return [
        f"{error.json_path}: {error.message}" for error in Draft202012Validator(schema).iter_errors(document)
    ]


def test_each_schema_is_one(schemas):
    for schema in schemas.values():
        Draft202012Validator.check_schema(schema)


def test_each_command_with_json_has_a_schema(schemas):
    """Found by the option, so a new command is not forgotten."""

    def with_json(command, name):
        if isinstance(command, click.Group):
            context = click.Context(command)
            for child in command.list_commands(context):
                yield from with_json(command.get_command(context, child), [*name, child])
        if any("--json" in option.opts for option in command.params):
            yield "-".join(name)

    titles = " ".join(schema["title"] for schema in schemas.values())
    found = list(with_json(main, []))
    assert len(found) >= 10
    lacking = [name for name in found if f"hueprobe {name.replace('-', ' ')} --json" not in titles]
    assert lacking == []


@pytest.mark.parametrize(
    "name, arguments",
    [
        ("backbones", ["backbones"]),
        ("backbones", ["backbones", "resnet50"]),
        ("backbones", ["backbones", "vit_b_16"]),
        ("data-list", ["data", "list"]),
        ("data-show", ["data", "show", "hcp"]),
        ("data-show", ["data", "show", "caltech101"]),
        ("evaluate", ["evaluate", "a.memory", "split.csv", "--split", "test"]),
        ("evaluate", ["evaluate", "a.memory", "--leave-one-out", "--searcher", "faiss:Flat"]),
        ("explore", ["explore", "a.memory", "split.csv", "-o", "page.html", "--max-images", "4"]),
        ("audit", ["audit", "a.memory"]),
        ("audit", ["audit", "a.memory", "split.csv", "--relative-distance", "9", "--cells", "2"]),
        ("info", ["info", "a.memory"]),
        ("intervene", ["intervene", "labeled.memory", "--flips", "e,r", "--deals", "2", "-o", "flipped"]),
        (
            "intervene",
            [
                "intervene",
                "labeled.memory",
                "--flips",
                "e,h,r",
                "--deals",
                "2",
                "--shift",
                "4",
                "--plant",
                "-o",
                "flipped",
            ],
        ),
        ("info", ["info", "labeled.memory"]),
        ("plan", ["plan", "images", *TINY, "--trial", "1", "--searcher", "faiss:Flat"]),
        (
            "plan",
            ["plan", "images", *TINY, "--layer", "1", "--trial", "1", "--searcher", "faiss:IVF999,Flat"],
        ),
        ("query", ["query", "a.memory", "images/blue/0.png", "broken.png"]),
        (
            "segment",
            ["segment", "labeled.memory", "images", "--masks", "masks", "--figures", "1", "-o", "out1"],
        ),
        ("segment", ["segment", "labeled.memory", "images", "--figures", "0", "-o", "out2"]),
        (
            "segment-layers",
            ["segment", "labeled.memory.1", "labeled.memory.3", "images", "--masks", "masks", "-o", "out3"],
        ),
        (
            "segment-layers",
            [
                "segment",
                "labeled.memory",
                "images",
                "--masks",
                "masks",
                "--exclude",
                "none",
                "-o",
                "out4",
                "--baseline",
                "position",
                "--figures",
                "0",
            ],
        ),
        ("segment-layers", ["segment", "labeled.memory.1", "labeled.memory.3", "images", "-o", "out5"]),
        ("verify", ["verify", "a.memory"]),
        ("tune", ["tune", "a.memory", "--queries", "20", "--searcher", "faiss:Flat"]),
    ],
)
def test_output_is_as_its_schema_says(schemas, folder, monkeypatch, name, arguments):
    monkeypatch.chdir(folder)
    document = json.loads(run(*arguments, "--json"))
    assert complaints(schemas[name], document) == []


def test_a_memory_is_as_its_schema_says(schemas, folder):
    settings = json.loads((folder / "a.memory" / "memory.json").read_text())
    assert complaints(schemas["memory"], settings) == []
    assert complaints(schemas["memory"], {**settings, "channels": 0})
    assert complaints(schemas["memory"], {**settings, "more": 0})


@pytest.mark.slow
def test_a_pooled_memory_and_its_rule(schemas, folder, monkeypatch):
    monkeypatch.chdir(folder)
    run("index", "split.csv", "--split", "train", "-o", "pooled.memory", "--descriptor", "gap", *TINY)
    for rule in ("hull", "centroid", "knn"):
        document = json.loads(
            run("evaluate", "pooled.memory", "--leave-one-out", "--classifier", rule, "--k", "2", "--json")
        )
        assert complaints(schemas["evaluate"], document) == []


@pytest.mark.slow
def test_verdicts(schemas, folder, monkeypatch):
    monkeypatch.chdir(folder)
    shown = json.loads(
        run("observe", "all", "a.memory", "--k", "3", "--control", "random-mirror", "-o", "out", "--json")
    )
    assert complaints(schemas["verdicts"], shown) == []
    seconds = shown.pop("seconds")
    assert {"extract", "pool", "search", "density", "hue", "figures"} < set(seconds)
    assert sum(seconds.values()) == pytest.approx(2 * seconds.pop("total"))
    assert json.loads((folder / "out" / "verdicts.json").read_text()) == shown
    # Each kind of number is there: one that was measured and one that was not.
    assert {None} < {verdict["effect"] for verdict in shown["verdicts"]}


@pytest.mark.slow
def test_a_comparison(schemas, folder, monkeypatch):
    monkeypatch.chdir(folder)
    small = ["--backbone", "squeezenet1_1", "--weights", "none", "--epochs", "1", "--batch-size", "4"]
    small += ["--crop", "36", "--side", "42", "--device", "cpu"]
    losses = ["--losses", "onehot,hue:eq5", "--seeds", "2", "--robustness"]
    document = json.loads(run("compare", "split.csv", "-o", "study", *small, *losses, "--json"))
    assert complaints(schemas["compare"], document) == []


def test_a_data_set_that_differs(schemas, tmp_path, folder):
    run("data", "init", folder / "images", "-o", tmp_path / "mine.toml", "--checksums")
    text = re.sub(r"MEND[^\"]*", "x", (tmp_path / "mine.toml").read_text())
    (tmp_path / "mine.toml").write_text(text)
    next((folder / "images" / "red").iterdir()).write_bytes(b"damaged")
    out = CliRunner().invoke(
        main, ["data", "verify", str(tmp_path / "mine.toml"), "--root", str(folder / "images"), "--json"]
    )
    assert out.exit_code == 1, out.output
    document = json.loads(out.stdout)
    assert complaints(schemas["data-verify"], document) == [] and document["problems"]


@pytest.mark.parametrize("classes", ["images", "others"])
def test_trust(schemas, folder, tmp_path, monkeypatch, classes):
    """With a split as the calibration set, or with images elsewhere, and with outside images or without."""
    monkeypatch.chdir(folder)
    rng = np.random.default_rng(1)
    for name in ("blue", "red"):
        (tmp_path / "others" / name).mkdir(parents=True)
        for i in range(3):
            values = rng.integers(0, 250, (30, 36, 3)).astype(np.uint8)
            Image.fromarray(values).save(tmp_path / "others" / name / f"{i}.png")
    calibration = tmp_path / "others" if classes == "others" else "train"
    asked = ["evaluate", "a.memory", "split.csv", "--split", "test", "--calibration", calibration]
    alone = json.loads(run(*asked, "--json"))
    assert complaints(schemas["evaluate"], alone) == [] and alone["outside"] is None
    document = json.loads(run(*asked, "--outside", tmp_path / "others" / "red", "--json"))
    assert complaints(schemas["evaluate"], document) == []
    assert document["calibration"] == alone["calibration"]
    assert "1 - credibility" in document["outside"]["scores"]
