"""The command line as a user meets it, on a seeded network that runs in milliseconds."""

import inspect
import json
import os
import pickle
import shutil
import subprocess
import sys
from pathlib import Path

import click
import numpy as np
import pyarrow.csv
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner
from PIL import Image

from hueprobe import open_memory
from hueprobe.cli import main
from hueprobe.memory import settings
from hueprobe.search.exact.formats import FORMATS

TINY = ["--backbone", "tests.tiny_network:tiny", "--layer", "3", "--batch-size", "4"]


def run(*arguments, code=0):
    result = CliRunner().invoke(main, [str(a) for a in arguments])
    assert result.exit_code == code, result.output + repr(result.exception)
    return result


def refused(*arguments, code=1):
    """Return the one line that says why, with nothing on stdout."""
    result = run(*arguments, code=code)
    assert result.stdout == ""
    lines = [
        line for line in result.stderr.splitlines() if line.lower().startswith(("hueprobe: error", "error"))
    ]
    assert len(lines) == 1, result.stderr
    assert "Traceback" not in result.stderr
    return lines[0]


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    """Three classes that differ in color, eight images each."""
    root = tmp_path_factory.mktemp("set") / "images"
    rng = np.random.default_rng(0)
    for c, name in enumerate(["blue", "green", "red"]):
        (root / name).mkdir(parents=True)
        for i in range(8):
            values = rng.integers(0, 90, (30, 36, 3))
            values[..., 2 - c] += 150
            Image.fromarray(values.astype(np.uint8)).save(root / name / f"{i}.png")
    return root


@pytest.fixture(scope="module")
def table(images):
    run("data", "split", images, "--train", "0.5", "--seed", "0", "-o", images.parent / "split.csv")
    return images.parent / "split.csv"


@pytest.fixture(scope="module")
def memory(table):
    run("index", table, "--split", "train", "-o", table.parent / "a.memory", *TINY)
    return table.parent / "a.memory"


def test_index_query_evaluate_as_in_the_readme(memory, table, images, tmp_path):
    opened = open_memory(memory)
    assert opened.complete and opened.classes == ("blue", "green", "red") and opened.n_images == 12
    found = json.loads(run("evaluate", memory, table, "--split", "test", "--json").stdout)
    assert found["images"] == 12 and found["accuracy"] == 1.0
    assert set(found) == {
        "images", "accuracy", "ci95", "per_class", "confusion", "predictions", "unknown_classes",
        "unlabeled", "chance", "skipped", "searcher", "searcher_recall", "searcher_certified", "k",
        "searcher_format", "seconds", "classifier", "alone_in_their_class", "calibration", "outside",
    }  # fmt: skip
    assert found["confusion"] == {name: {name: 4} for name in ("blue", "green", "red")}
    assert set(found["seconds"]) == {"extract", "search", "density", "total"}
    for record in found["predictions"]:
        assert sum(record["likelihood"].values()) == pytest.approx(1)
    asked = json.loads(run("query", memory, images / "red" / "0.png", "--json").stdout)
    assert set(asked) == {"memory", "searcher", "k", "queries", "skipped"}
    (query,) = asked["queries"]
    assert set(query) == {
        "image",
        "predicted",
        "tie",
        "likelihood",
        "unnormalized",
        "matches",
        "cells",
        "telling",
    }
    assert query["image"] == str(images / "red" / "0.png")
    assert query["predicted"] == "red" and query["matches"] == 36 * 10
    text = run("evaluate", memory, table, "--split", "test").stdout
    assert "accuracy 1.000" in text and "95 %" in text and "seconds: extract" in text
    assert "likelihood" in run("query", memory, images / "red" / "0.png").stdout


def test_leave_one_out_and_other_searchers(memory):
    exact = json.loads(run("evaluate", memory, "--leave-one-out", "--json").stdout)
    assert exact["accuracy"] == 1.0 and exact["searcher_recall"] == 1.0
    assert 0 <= exact["searcher_certified"] <= 1
    told = f"{exact['searcher_certified']:.2%} of queries certified in the first pass"
    assert told in run("evaluate", memory, "--leave-one-out").stdout
    flat = json.loads(run("evaluate", memory, "--leave-one-out", "--searcher", "faiss:Flat", "--json").stdout)
    assert flat["searcher"] == "faiss:Flat" and flat["searcher_certified"] is None
    assert exact["searcher_format"] in FORMATS and flat["searcher_format"] is None
    for one, two in zip(exact["predictions"], flat["predictions"], strict=True):
        assert one["likelihood"] == pytest.approx(two["likelihood"])
    annoy = ["evaluate", memory, "--leave-one-out", "--searcher", "annoy:trees=20,search_k=100000"]
    first, second = run(*annoy), run(*annoy)
    assert "building it" in first.stderr and "building it" not in second.stderr
    assert "recall@10" in second.stdout


@pytest.mark.parametrize("suffix", ["parquet", "arrow", "csv"])
def test_matches_are_saved_with_every_column(memory, tmp_path, suffix):
    file = tmp_path / f"matches.{suffix}"
    run("evaluate", memory, "--leave-one-out", "--k", "3", "--matches", file)
    if suffix == "parquet":
        saved = pq.read_table(file)
    elif suffix == "csv":
        saved = pyarrow.csv.read_csv(file)
    else:
        saved = pyarrow.ipc.open_file(file).read_all()
    assert saved.column_names == [
        "query_image", "query_path", "query_y", "query_x", "query_class", "rank",
        "image", "path", "y", "x", "class", "distance", "weight",
    ]  # fmt: skip
    assert saved.num_rows == 12 * 36 * 3
    row = saved.slice(5, 1).to_pylist()[0]
    assert row["rank"] == 3 and f"/{row['class']}/" in row["path"] and row["query_image"] != row["image"]


@pytest.mark.slow
def test_figures_are_drawn(memory, images, tmp_path):
    run("query", memory, images / "red" / "0.png", "--figure", tmp_path / "one.png")
    with Image.open(tmp_path / "one.png") as drawn:
        assert drawn.size[0] > 600
    run(
        "query",
        memory,
        images / "red" / "0.png",
        images / "blue" / "0.png",
        "--figure",
        tmp_path / "q.pdf",
    )
    assert sorted(p.name for p in tmp_path.glob("q*")) == ["q-1.pdf", "q-2.pdf"]
    assert ".png, .pdf, .svg" in refused(
        "query", memory, images / "red" / "0.png", "--figure", tmp_path / "x.docx", code=2
    )


def test_figures_say_where_images_that_moved_may_be_given(table, images, tmp_path):
    moved = tmp_path / "was"
    moved.mkdir()
    for name in ("red", "blue"):
        (moved / name).mkdir()
        (moved / name / "0.png").write_bytes((images / name / "0.png").read_bytes())
    run("index", moved, "-o", tmp_path / "m", *TINY)
    moved.rename(tmp_path / "is")
    asked = images / "red" / "1.png"
    line = refused("query", tmp_path / "m", asked, "--figure", tmp_path / "f.png")
    assert "--images-root" in line and not (tmp_path / "f.png").exists()
    run("query", tmp_path / "m", asked, "--figure", tmp_path / "f.png", "--images-root", tmp_path / "is")


def test_a_dry_run_writes_nothing(table, tmp_path):
    result = run("index", table, "-o", tmp_path / "m", *TINY, "--dry-run")
    # 24 images x 36 cells x (12 channels x 2 bytes + 4 bytes of energy) = 24,192 bytes
    assert "24 images x 6x6 cells x 12 channels" in result.stderr and "0.0 MB" in result.stderr
    assert not (tmp_path / "m").exists()


def test_a_second_run_continues_and_changes_nothing(memory, table):
    before = {p: p.stat().st_mtime_ns for p in memory.rglob("*") if p.is_file()}
    run("index", table, "--split", "train", "-o", memory, *TINY[:4])  # the batch size is the memory's own
    assert {p: p.stat().st_mtime_ns for p in before} == before


@pytest.mark.parametrize("precision", ["bf16", "fp32"])
def test_precision_is_recorded_and_asked_with(table, tmp_path, precision):
    run("index", table, "--split", "train", "-o", tmp_path / "m", *TINY, "--precision", precision)
    assert open_memory(tmp_path / "m").settings.precision == precision
    found = json.loads(run("evaluate", tmp_path / "m", table, "--split", "test", "--json").stdout)
    assert found["accuracy"] == 1.0


@pytest.mark.parametrize("workers", [0, 2])
def test_workers_do_not_change_a_byte(table, memory, tmp_path, workers):
    run("index", table, "--split", "train", "-o", tmp_path / "m", *TINY, "--workers", workers)
    for path in memory.glob("shards/*"):
        assert (tmp_path / "m" / "shards" / path.name).read_bytes() == path.read_bytes()


LAYERS = ["--layer", "1", "--layer", "3"]


def test_several_layers_become_a_memory_each_and_each_may_be_asked(table, memory, tmp_path):
    one_layer = [*TINY[:2], *TINY[4:]]
    build = ["index", table, "--split", "train", "-o", tmp_path / "m", *one_layer, *LAYERS]
    assert "12 channels" in (dry := run(*build, "--dry-run")).stderr and "16 channels" in dry.stderr
    assert list(tmp_path.iterdir()) == []
    shown = run(*build, "--searcher", "annoy:trees=2").stdout
    assert [line.split(":")[0] for line in shown.splitlines() if "images in" in line] == [
        str(tmp_path / "m.1"), str(tmp_path / "m.3")
    ]  # fmt: skip
    for path in [p for p in memory.rglob("*") if p.is_file() and "indexes" not in p.parts]:
        assert (tmp_path / "m.3" / path.relative_to(memory)).read_bytes() == path.read_bytes()
    for layer in ("1", "3"):
        found = json.loads(run("evaluate", tmp_path / f"m.{layer}", "--leave-one-out", "--json").stdout)
        assert found["accuracy"] == 1.0
        assert (tmp_path / f"m.{layer}" / "indexes" / "annoy-trees=2").is_dir()


@pytest.mark.slow
def test_several_layers_killed_and_continued(table, tmp_path, monkeypatch):
    """The process dies at its fifth ledger line, as under SIGKILL: nothing is tidied up."""
    monkeypatch.setattr(settings, "SHARD_BYTES", 4 * 36 * 16 * 2)
    arguments = [table, *TINY[:2], *TINY[4:], *LAYERS]
    code = (
        "import os, sys; from hueprobe.cli import main; from hueprobe.memory import settings, writer\n"
        "settings.SHARD_BYTES = 4 * 36 * 16 * 2; enter = writer.append_step; lines = []\n"
        "def dies(*a):\n"
        "  lines.append(a)\n"
        "  return enter(*a) if len(lines) < 5 else os._exit(9)\n"
        "writer.append_step = dies; main(sys.argv[1:])"
    )
    command = [sys.executable, "-c", code, "index", *map(str, arguments), "-o", str(tmp_path / "m")]
    assert subprocess.run(command, capture_output=True, check=False).returncode == 9
    assert list(tmp_path.glob("m.*/shards/*.partial"))
    for name in ("m", "straight"):
        run("index", *arguments, "-o", tmp_path / name)
    for layer in ("1", "3"):
        one, other = (
            {p.relative_to(folder): p.read_bytes() for p in folder.rglob("*") if p.is_file()}
            for folder in (tmp_path / f"m.{layer}", tmp_path / f"straight.{layer}")
        )
        assert one == other and len(open_memory(tmp_path / f"m.{layer}").shards) > 2


@pytest.mark.slow
def test_a_network_of_timm_is_indexed_and_asked(table, images, tmp_path, timm_extra):
    build = ["index", table, "--split", "train", "-o", tmp_path / "m", "--backbone", "timm:test_resnet"]
    run(*build, "--weights", "none", "--seed", "1", "--resize", "64", "--crop", "64")
    found = json.loads(run("info", tmp_path / "m", "--json").stdout)
    assert (
        found["settings"]["layer"] == "layer4" and found["nonnegative"] is True
    )  # measured: it ends in ReLU
    asked = json.loads(run("query", tmp_path / "m", images / "red" / "0.png", "--json").stdout)
    assert asked["queries"][0]["predicted"] == "red"
    described = json.loads(run("backbones", "timm:test_resnet", "--json").stdout)
    assert (described["layer"], described["closing"], described["signed"]) == ("layer4", None, None)
    assert run("backbones", "timm:test_resnet").stdout.count("not known") == 2
    assert "--layer" in refused("index", table, "-o", tmp_path / "c", "--backbone", "timm:coat_tiny")


def test_images_are_appended_and_indexes_become_stale(table, images, tmp_path):
    m = tmp_path / "m"
    build = ["index", table, "--split", "train", "-o", m, *TINY, "--searcher", "annoy:trees=2"]
    assert "annoy:trees=2: recall@10" in run(*build).stdout
    index = m / "indexes" / "annoy-trees=2" / "index.annoy"
    built = index.stat().st_mtime_ns
    run(*build)
    assert index.stat().st_mtime_ns == built
    (tmp_path / "more" / "black").mkdir(parents=True)
    Image.new("RGB", (30, 30)).save(tmp_path / "more" / "black" / "0.png")
    run("index", tmp_path / "more", "-o", m, "--append")
    opened = open_memory(m)
    assert opened.classes == ("blue", "green", "red", "black") and opened.n_images == 13
    assert "rebuild" in refused("evaluate", m, "--leave-one-out", "--searcher", "annoy:trees=2")
    run(
        "index", tmp_path / "more", "-o", m, "--append"
    )  # as behind a kill in the last instant: nothing to do
    assert open_memory(m).n_images == 13
    assert "are in" in refused("index", table, "--split", "train", "-o", m, "--append")
    assert "stale" in run("info", m).stdout
    assert "all unchanged" in run("verify", m).stdout


def test_info_and_verify(memory, tmp_path):
    found = json.loads(run("info", memory, "--json").stdout)
    assert found["complete"] and found["images"] == 12 and found["vectors"] == 12 * 36
    assert found["settings"]["backbone"] == "tests.tiny_network:tiny"
    assert "complete" in run("info", memory).stdout
    assert json.loads(run("verify", memory, "--json").stdout)["problems"] == []


def test_info_shows_the_transform(memory, images, tmp_path, monkeypatch):
    shown = " ".join(run("info", memory).stdout.split())
    assert "transform resize 24 (bilinear), crop 24, mean 0.5, 0.5, 0.5, std 0.25, 0.25, 0.25" in shown
    monkeypatch.setattr("tests.tiny_network.TRANSFORM", _Halved())
    run("index", images, "-o", tmp_path / "m", *TINY)
    assert f"transform <{__name__}._Halved object> " in " ".join(run("info", tmp_path / "m").stdout.split())


class _Halved:
    factor = 0.5

    def __call__(self, image):
        import torch

        pixels = np.asarray(image.resize((24, 24)), np.float32).transpose(2, 0, 1)
        return torch.from_numpy(pixels) / 255 * self.factor


def test_a_callables_transform_goes_on_and_a_changed_one_is_told(images, tmp_path, monkeypatch):
    """By its output: neither the address nor the repr of the object is the same, or another."""
    from hueprobe import build_memory
    from tests.tiny_network import tiny

    for _ in range(2):
        monkeypatch.setattr("tests.tiny_network.TRANSFORM", _Halved())
        run("index", images, "-o", tmp_path / "m", *TINY)
    asked = images / "red" / "0.png"
    run("query", tmp_path / "m", asked)
    run("evaluate", tmp_path / "m", images, "--k", "3")
    monkeypatch.setattr(_Halved, "factor", 0.4)
    assert "other settings (transform: " in refused("index", images, "-o", tmp_path / "m", *TINY)
    for line in (
        refused("query", tmp_path / "m", asked),
        refused("evaluate", tmp_path / "m", images, "--k", "3"),
        refused("index", images, "-o", tmp_path / "m", "--append"),
    ):
        assert (
            "_Halved object" in line
            and "values differ by up to" in line
            and "give it in Python with trans" in line
        )
    live = build_memory(tmp_path / "live", images, backbone=tiny()[0], transform=_Halved(), layer="3")
    assert "backbone=module, transform=transform" in refused("query", live.path, asked)


def test_a_random_transform_is_told_once(images, tmp_path, monkeypatch):
    import torchvision.transforms as T

    monkeypatch.setattr("tests.tiny_network.TRANSFORM", T.Compose([T.RandomResizedCrop(24), T.ToTensor()]))
    said = run("index", images, "-o", tmp_path / "m", *TINY).stderr
    assert said.count("warning: the transform is random") == 1 and "not reproducible" in said


def test_the_transform_for_a_weights_file_is_told(images, tmp_path):
    import torch
    from torchvision.models import squeezenet1_1

    torch.save(squeezenet1_1().state_dict(), tmp_path / "mine.pth")
    options = (
        "--backbone",
        "squeezenet1_1",
        "--weights",
        tmp_path / "mine.pth",
        "--dry-run",
        "-o",
        tmp_path / "m",
    )
    (line,) = [x for x in run("index", images, *options).stderr.splitlines() if x.startswith("transform for")]
    assert "mine.pth: resize 256 (bilinear), crop 224, mean 0.485, 0.456, 0.406, std " in line
    assert "that of IMAGENET1K_V1, the default weights, since the file does not record" in line
    assert "--resize, --crop, --mean, --std and --interpolation change it" in line
    said = run("index", images, *options, "--resize", "64", "--crop", "64").stderr
    assert "mine.pth: resize 64 (bilinear), crop 64," in said and "except for --resize, --crop" in said
    assert "transform for" not in run("index", images, "--dry-run", "-o", tmp_path / "m", *TINY).stderr


def test_verify_reports_damage(table, tmp_path):
    run("index", table, "-o", tmp_path / "m", *TINY)
    path = tmp_path / "m" / "shards" / "000000.vectors.npy"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    result = run("verify", tmp_path / "m", code=1)
    assert "000000.vectors.npy" in result.stderr


def test_backbones_are_listed_and_described():
    names = run("backbones").stdout.split()
    assert {"densenet201", "resnet50", "vit_b_16", "efficientnet_lite0"} <= set(names)
    found = json.loads(run("backbones", "densenet201", "--json").stdout)
    assert (found["layer"], found["closing"], found["channels"], found["grid"]) == (
        "features",
        "relu",
        1920,
        [7, 7],
    )
    assert "features" in run("backbones", "densenet201").stdout


def test_unreadable_images_are_listed_and_counted(images, tmp_path):
    root = tmp_path / "p"
    for name in ("blue", "red"):
        (root / name).mkdir(parents=True)
        for i in range(2):
            (root / name / f"{i}.png").write_bytes((images / name / f"{i}.png").read_bytes())
    good = (images / "red" / "2.png").read_bytes()
    (root / "red" / "truncated.png").write_bytes(good[: len(good) // 2])
    (root / "red" / "empty.png").write_bytes(b"")
    (root / "red" / "text.png").write_text("not an image")
    (root / "gone").mkdir()
    (root / "gone" / "corrupt.png").write_bytes(b"\x89PNG\r\n\x1a\n" + b"\0" * 40)
    Image.new("RGB", (1, 1), (200, 10, 10)).save(root / "red" / "one pixel.png")
    result = run("index", root, "-o", tmp_path / "m", *TINY)
    for name in ("truncated", "empty", "text", "corrupt"):
        assert f"{name}.png" in result.stderr
    assert "4 images could not be read" in result.stderr
    assert "no readable image in class 'gone'; the memory does not have this class" in result.stderr
    opened = open_memory(tmp_path / "m")
    assert opened.classes == ("blue", "red") and opened.readable.sum() == 5
    asked = json.loads(
        run("query", tmp_path / "m", root / "red" / "text.png", root / "red" / "0.png", "--json").stdout
    )
    assert [s["path"] for s in asked["skipped"]] == [str(root / "red" / "text.png")]
    assert len(asked["queries"]) == 1
    assert "none of 1 images" in refused("query", tmp_path / "m", root / "red" / "text.png")


@pytest.mark.slow
def test_observations_become_figures_tables_and_verdicts(memory, tmp_path):
    controls = ["--control", "random-mirror", "--control", "mirror-queries"]
    result = run("observe", "all", memory, "-o", tmp_path / "o", "--k", "4", "--json", *controls)
    document = json.loads(result.stdout)
    assert document.pop("seconds")["total"] > 0
    assert document == json.loads((tmp_path / "o" / "verdicts.json").read_text())
    assert len(document["verdicts"]) == 10
    by_id = {verdict["id"]: verdict for verdict in document["verdicts"]}
    assert set(by_id["3a centre"]["controls"]) == {"random-mirror", "mirror-queries"}
    page = (tmp_path / "o" / "report.md").read_text()
    assert "| 3b angle | a.memory |" in page and "Only the queries mirrored" in page
    for name in ("a_energy_map", "a_locations", "a_conditional", "a_class_hues", "a_accuracy", "verdicts"):
        with Image.open(tmp_path / "o" / f"{name}.png") as drawn:
            assert drawn.size[0] > 500
    held_out = memory.parent / "split.csv"
    twin = shutil.copytree(memory, tmp_path / "twin.memory")
    shown = run(
        "observe",
        "locations",
        memory,
        twin,
        "--images",
        held_out,
        "--split",
        "test",
        "-o",
        tmp_path / "h",
        "--format",
        "pdf",
    )
    assert "3c border" in shown.stdout and (tmp_path / "h" / "a_locations.pdf").is_file()
    both = json.loads((tmp_path / "h" / "verdicts.json").read_text())["verdicts"]
    first, second = ([v["effect"] for v in both if v["memory"] == f"{name}.memory"] for name in ("a", "twin"))
    assert first == second and len(both) == 2 * len(first) > 0


@pytest.mark.slow
def test_observations_are_measured_from_a_table_of_matches(memory, tmp_path):
    run("evaluate", memory, "--leave-one-out", "--k", "4", "--matches", tmp_path / "m.parquet")
    options = ["--k", "4", "--json", "-o"]
    searched = json.loads(run("observe", "locations", memory, *options, tmp_path / "a").stdout)
    from_table = ["observe", "locations", "--matches", tmp_path / "m.parquet"]
    alone = json.loads(run(*from_table, *options, tmp_path / "b").stdout)
    with_memory = json.loads(run(*from_table, memory, *options, tmp_path / "c").stdout)
    assert with_memory["verdicts"] == searched["verdicts"]
    effects = {verdict["id"]: verdict["effect"] for verdict in alone["verdicts"]}
    assert set(effects) == {"3a centre", "3c border"}
    assert effects.items() <= {v["id"]: v["effect"] for v in searched["verdicts"]}.items()
    assert "give a MEMORY, or --matches" in refused("observe", "locations", "-o", tmp_path / "d", code=2)
    assert "--control" in refused(*from_table, "--control", "mirror-all", "-o", tmp_path / "d", code=2)


def test_observe_refuses_what_does_not_go_together(memory, table, tmp_path):
    with_images = ["observe", "all", memory, "--images", table, "-o", tmp_path / "o"]
    assert "--images" in refused(*with_images, "--control", "mirror-all", code=2)
    assert "same name" in refused("observe", "energy", memory, memory, "-o", tmp_path / "o", code=2)
    assert not (tmp_path / "o").exists()


# Bad input: one line, the right exit code, nothing half-written.


def test_bad_images(tmp_path, images):
    (tmp_path / "empty").mkdir()
    assert "nowhere" in refused("index", tmp_path / "nowhere", "-o", tmp_path / "m", *TINY)
    assert "empty" in refused("index", tmp_path / "empty", "-o", tmp_path / "m", *TINY)
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "x.png").write_text("no")
    assert "none of 1 images could be read" in refused("index", tmp_path / "bad", "-o", tmp_path / "m", *TINY)
    assert "'nosuch'" in refused(
        "index", images.parent / "split.csv", "--split", "nosuch", "-o", tmp_path / "m", *TINY
    )
    assert not (tmp_path / "m").exists()


@pytest.mark.parametrize(
    "arguments, code, said",
    [
        (["--backbone", "resnet51"], 1, "resnet50"),
        (["--backbone", "tests.tiny_network:tini"], 1, "tiny"),
        (["--backbone", "no.such.module:f"], 1, "no.such.module"),
        (["--backbone", "tests.tiny_network:tiny", "--layer", "33"], 1, "nearest names"),
        (["--backbone", "tests.tiny_network:tiny"], 1, "layer"),
        ([*TINY, "--layer", "33"], 1, "nearest names"),
        ([*TINY, "--layer", "3"], 1, "2 times"),
        (["--backbone", "tests.tiny_network:broken", "--layer", "3"], 1, "NaN"),
        ([*TINY, "--weights", "nowhere.safetensors"], 1, "nowhere.safetensors"),
        ([*TINY, "--searcher", "fast"], 1, "choose exact"),
        ([*TINY, "--descriptor", "max"], 2, "'pixel'"),
        ([*TINY, "--mean", "1,2"], 2, "one number or three"),
        ([*TINY, "--device", "cuda:99"], 1, "cuda"),
        ([], 2, "--backbone"),
    ],
)
def test_bad_options_leave_nothing(images, tmp_path, arguments, code, said):
    assert said in refused("index", images, "-o", tmp_path / "m", *arguments, code=code)
    assert not (tmp_path / "m").exists()


class _Bomb:
    def __reduce__(self):
        return (os.system, ("touch bomb-went-off",))


def test_a_pickle_with_code_is_refused_and_not_run(images, tmp_path, monkeypatch):
    (tmp_path / "weights.pth").write_bytes(pickle.dumps({"weight": _Bomb()}))
    monkeypatch.syspath_prepend(os.getcwd())
    monkeypatch.chdir(tmp_path)
    refused("index", images, "-o", tmp_path / "m", *TINY, "--weights", tmp_path / "weights.pth")
    assert not (tmp_path / "bomb-went-off").exists()
    assert not (tmp_path / "m").exists()


def test_weights_of_another_architecture_name_the_first_mismatch(images, tmp_path):
    import torch

    torch.save({"0.weight": torch.zeros(7, 3, 5, 5)}, tmp_path / "w.pth")
    line = refused("index", images, "-o", tmp_path / "m", *TINY, "--weights", tmp_path / "w.pth")
    assert "0.weight" in line and "16" in line and "7" in line


def test_recorded_weights_that_are_gone_or_changed(images, tmp_path):
    import torch

    from tests.tiny_network import tiny

    state = tiny()[0].state_dict()
    torch.save(state, tmp_path / "w.pth")
    run("index", images, "-o", tmp_path / "m", *TINY, "--weights", tmp_path / "w.pth")
    asked = images / "red" / "0.png"
    (tmp_path / "w.pth").rename(tmp_path / "moved.pth")
    assert "w.pth" in refused("query", tmp_path / "m", asked)
    run("query", tmp_path / "m", asked, "--weights", tmp_path / "moved.pth")
    state["0.weight"] += 1
    torch.save(state, tmp_path / "w.pth")
    assert "not those that built the memory" in refused("query", tmp_path / "m", asked)


def test_bad_memories(tmp_path, images, memory):
    asked = images / "red" / "0.png"
    assert "does not exist" in refused("query", tmp_path / "nowhere", asked)
    assert "not a memory" in refused("info", images)
    assert "not a memory" in refused("index", images, "-o", images, *TINY)
    assert "--k 1000" in refused("query", memory, asked, "--k", "1000", code=2)
    assert "other settings" in refused("index", images, "-o", memory, *TINY, "--descriptor", "gap")
    assert "another list" in refused("index", images, "-o", memory, *TINY)
    assert "cannot save matches" in refused("query", memory, asked, "--matches", tmp_path / "m.xlsx")


def test_evaluate_needs_something_to_evaluate(tmp_path, memory, images):
    assert "IMAGES" in refused("evaluate", memory, code=2)
    assert "give either IMAGES" in refused("evaluate", memory, images, "--leave-one-out", code=2)
    assert "labels" in refused("evaluate", memory, images / "red", code=2)
    run("index", images / "red", "-o", tmp_path / "flat", *TINY)
    assert "at least 2" in refused("evaluate", tmp_path / "flat", "--leave-one-out", code=2)
    query = json.loads(run("query", tmp_path / "flat", images / "blue" / "0.png", "--json").stdout)[
        "queries"
    ][0]
    assert query["predicted"] is None and query["likelihood"] == {} and query["matches"] == 360


@pytest.mark.skipif(os.geteuid() == 0 and not Path("/proc").exists(), reason="root may write everywhere")
def test_no_permission_to_write(images):
    line = refused("index", images, "-o", "/proc/m", *TINY)
    assert "/proc/m" in line


def test_names_with_escapes_and_newlines_are_shown_escaped(images, tmp_path):
    root = tmp_path / "p" / "a"
    root.mkdir(parents=True)
    (root / "1.png").write_bytes((images / "red" / "0.png").read_bytes())
    (root / "evil\n\x1b[31m.png").write_text("no")
    result = run("index", tmp_path / "p", "-o", tmp_path / "m", *TINY)
    assert "\x1b" not in result.stderr and r"evil\n\x1b[31m.png" in result.stderr


def test_help_is_light_and_lists_every_command():
    code = (
        "import sys; sys.argv = ['hueprobe', '--help']\n"
        "before = set(sys.modules)\n"
        "from hueprobe.cli import main\n"
        "try: main()\nexcept SystemExit: pass\n"
        "loaded = {name.split('.')[0] for name in set(sys.modules) - before} - sys.stdlib_module_names\n"
        "assert loaded <= {'hueprobe', 'lazy_loader', 'click', 'rich'} >= {'click'}, loaded"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert shown.returncode == 0, shown.stderr
    for name in ("backbones", "data", "demo", "evaluate", "index", "info", "observe", "query", "verify"):
        assert f"  {name} " in shown.stdout
        run(name, "--help")


def test_commands_name_their_parameters():
    commands = [main.get_command(None, name) for name in main.list_commands(None)]
    commands += [sub for one in commands if isinstance(one, click.Group) for sub in one.commands.values()]
    assert len(commands) > 15
    for command in commands:
        parameters = inspect.signature(command.callback).parameters.values()
        assert not [p.name for p in parameters if p.kind in (p.VAR_KEYWORD, p.VAR_POSITIONAL)], command.name


@pytest.mark.parametrize(
    ("size", "n_bytes"), [("0", 0), ("4096", 4096), ("512M", 512 << 20), ("2g", 2 << 30), (" 1T", 1 << 40)]
)
def test_sizes_are_read(size, n_bytes):
    from hueprobe.cli.options import memory_budget_option

    @click.command()
    @memory_budget_option
    def show(memory_budget):
        click.echo(memory_budget)

    assert CliRunner().invoke(show, ["--memory-budget", size]).output == f"{n_bytes}\n"
    wrong = CliRunner().invoke(show, ["--memory-budget", f"{size}X"])
    assert wrong.exit_code == 2 and "such as 512M" in wrong.output


# --- Images that lie elsewhere than their table ---


@pytest.mark.parametrize("ending", ["csv", "parquet"])
@pytest.mark.parametrize("relative", [False, True])
def test_every_route_takes_a_table_whose_images_lie_elsewhere(
    images, tmp_path, monkeypatch, ending, relative
):
    work, linked = tmp_path / "work", tmp_path / "linked"
    work.mkdir()
    linked.symlink_to(images.parent)
    monkeypatch.chdir(work)
    source = os.path.relpath(images) if relative else linked / images.name
    table = f"split.{ending}" if relative else work / f"split.{ending}"
    line = f"{table}: its images are in {images if relative else source}"
    assert line in run("data", "split", source, "--seed", 0, "-o", table).stderr
    assert line in run("index", table, "--split", "train", "-o", "m", *TINY, "--device", "cpu").stderr
    assert line in run("data", "split", table, "--split", "train", "-o", f"again.{ending}").stderr
    found = run("evaluate", "m", table, "--split", "test", "--json")
    assert line in found.stderr and json.loads(found.stdout)["images"] == 12
    assert line in run("observe", "energy", "m", "--images", table, "--split", "test", "-o", "o").stderr
    training = ["--backbone", "squeezenet1_1", "--epochs", 1, "--crop", 32, "--device", "cpu"]
    assert line in run("train", table, "-o", "t", "--loss", "onehot", *training).stderr


# --- Stopping, and going on ---

KEPT = "hueprobe: stopped; finished work is kept: run the same command again to resume"


@pytest.mark.parametrize(
    "arguments, step, said",
    [
        (["index", "{images}", "-o", "{new}", *TINY], "hueprobe.memory.build_memory", KEPT),
        (
            ["index", "{images}", "-o", "{new}", *TINY, "--overwrite"],
            "hueprobe.memory.build_memory",
            f"{KEPT} (leave out --overwrite)",
        ),
        (
            ["observe", "energy", "{memory}", "-o", "{new}"],
            "hueprobe.studies.observing.memories.observe_memory", KEPT,
        ),
        (
            ["train", "{images}", "-o", "{new}", "--backbone", "squeezenet1_1"],
            "hueprobe.training.load_images", KEPT,
        ),
        (["-v", "info", "{memory}"], "hueprobe.search.index.list_indexes", "hueprobe: stopped"),
        (["query", "{memory}", "index"], "hueprobe.images.from_paths", "hueprobe: stopped"),
        (["data", "list"], "hueprobe.datasets.manifest_names", "hueprobe: stopped"),
    ],
)  # fmt: skip
def test_a_command_that_is_stopped_says_what_it_keeps(
    memory, images, tmp_path, monkeypatch, arguments, step, said
):
    def stop(*_, **__):
        raise KeyboardInterrupt

    places = {"images": images, "memory": memory, "new": tmp_path / "new"}
    monkeypatch.setattr(step, stop)
    result = run(*(argument.format(**places) for argument in arguments), code=130)
    assert result.stderr.splitlines()[-1] == said and result.stdout == ""


def test_observe_says_that_it_goes_on(memory, tmp_path):
    command = ["observe", "accuracy", memory, "--k", 2, "-o", tmp_path / "o"]
    assert "resuming" not in run(*command).stderr
    assert f"{tmp_path / 'o'}: resuming with what was extracted" in run(*command).stderr
