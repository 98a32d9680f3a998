"""`index --part` and `join` as a user meets them, on a seeded network that runs in milliseconds."""

import re
import sys

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from hueprobe import open_memory
from hueprobe.cli import main
from hueprobe.memory import settings
from tests.scale.sets import contents

TINY = ["--backbone", "tests.tiny_network:tiny", "--layer", "3", "--batch-size", "4"]
N_IMAGES = 22


def run(*arguments, code=0):
    result = CliRunner().invoke(main, [str(a) for a in arguments])
    assert result.exit_code == code, result.output + repr(result.exception)
    assert "Traceback" not in result.stderr
    return result


@pytest.fixture(autouse=True)
def _small_shards(monkeypatch):
    monkeypatch.setattr(settings, "SHARD_IMAGES", 8)


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    root = tmp_path_factory.mktemp("set") / "images"
    rng = np.random.default_rng(0)
    for i in range(N_IMAGES):
        (root / "ab"[i % 2]).mkdir(parents=True, exist_ok=True)
        values = rng.integers(0, 256, (30, 36, 3), np.uint8)
        Image.fromarray(values).save(root / "ab"[i % 2] / f"{i:02d}.png")
    return root


def test_parts_are_built_and_joined(images, tmp_path):
    run("index", images, "-o", tmp_path / "whole", *TINY)
    m = tmp_path / "m"
    first = run("index", images, "-o", m, *TINY, "--part", "3/3")
    assert f"{m}.parts/0003-of-0003: 6 images in 1 classes, 216 vectors of 12 channels" in first.stdout
    assert f"{m}: 1 of 3 parts are complete" in first.stdout
    assert re.search(rf"^part 3/3: 6 images, 0.0 MB in {m}\.parts/0003-of-0003$", first.stderr, re.MULTILINE)
    assert "part 3/3: index: 6/6 images" in first.stderr
    refusal = run("join", m, code=1)
    assert refusal.stdout == "" and refusal.stderr == (
        f"hueprobe: error: {m} cannot be joined yet: of 3 parts, parts 1 to 2 are not begun; run `hueprobe "
        "index` with --part I/3 for each of these, then join\n"
    )
    run("index", images, "-o", m, *TINY, "--part", "1/3")
    last = run("index", images, "-o", m, *TINY, "--part", "2/3")
    assert last.stdout.splitlines()[-1] == f"{m}: all 3 parts are complete; run `hueprobe join {m}`"
    again = run("index", images, "-o", m, *TINY, "--part", "2/3")
    assert f"{m}.parts/0002-of-0003: already complete; its 8 images are compared with IMAGES" in again.stderr
    joined = run("join", m, "--searcher", "faiss:Flat")
    assert "join: 3/3 shards" in joined.stderr
    assert joined.stdout.splitlines() == [
        "faiss:Flat: recall@10 1.000", f"{m}: 22 images in 2 classes, 792 vectors of 12 channels",
    ]  # fmt: skip
    made = contents(m)
    assert {name: data for name, data in made.items() if not name.startswith("indexes/")} == contents(
        tmp_path / "whole"
    )
    assert any(name.startswith("indexes/") for name in made)
    run("verify", m)
    assert run("join", m).stdout.splitlines() == [joined.stdout.splitlines()[-1]]


def test_packages_of_engines_are_not_imported_unless_asked_for(images, tmp_path, monkeypatch):
    for package in ("ray", "submitit"):
        monkeypatch.setitem(sys.modules, package, None)  # an import fails
    run("index", images, "-o", tmp_path / "m", *TINY, "--part", "1/1")
    run("join", tmp_path / "m")
    search = ["search", tmp_path / "m", "--leave-one-out", "--k", "3"]
    run(*search, "--part", "1/1", "-o", tmp_path / "f.arrow")
    run("merge", tmp_path / "f.arrow", "-o", tmp_path / "f.parquet")
    asked = ["index", images, "-o", tmp_path / "n", *TINY, "--parts", "2", "--engine"]
    for engine, package in (("ray:auto", "ray"), ("submitit:local", "submitit")):
        refused = run(*asked, engine, code=1)
        assert refused.stdout == "" and refused.stderr.splitlines()[-1] == (
            f"hueprobe: error: engine {package} needs the package {package}: pip install "
            f"'hueprobe[{package}]'"
        )
    assert not list(tmp_path.glob("n*"))


def test_layers_are_built_and_joined_in_parts(images, tmp_path):
    options = [*TINY[:2], "--batch-size", "4", "--layer", "1", "--layer", "3"]
    run("index", images, "-o", tmp_path / "whole", *options)
    for part in ("2/2", "1/2"):
        result = run("index", images, "-o", tmp_path / "m", *options, "--part", part)
    for layer in (1, 3):
        assert f"{tmp_path}/m.{layer}: all 2 parts are complete" in result.stdout
    joined = run("join", tmp_path / "m.1", tmp_path / "m.3")
    assert len(joined.stdout.splitlines()) == 2
    for layer in (1, 3):
        assert contents(tmp_path / f"m.{layer}") == contents(tmp_path / f"whole.{layer}")


def test_a_dry_run_of_a_part_writes_nothing(images, tmp_path):
    shown = run("index", images, "-o", tmp_path / "m", *TINY, "--part", "2/3", "--dry-run").stderr
    assert re.search(r"^22 images x 6x6 cells x 12 channels .* in .*/m$", shown, re.MULTILINE)
    assert re.search(r"^part 2/3: 8 images, 0.0 MB in .*/m\.parts/0002-of-0003$", shown, re.MULTILINE)
    assert list(tmp_path.iterdir()) == []


def test_a_part_begun_goes_on_with_its_settings(images, tmp_path):
    run("index", images, "-o", tmp_path / "m", *TINY, "--part", "1/3")
    run("index", images, "-o", tmp_path / "m", *TINY[:4], "--part", "2/3")
    assert open_memory(tmp_path / "m.parts" / "0002-of-0003").settings.batch_size == 4


@pytest.mark.parametrize(
    "arguments, code, said",
    [
        (["--part", "0/3"], 2, "part '0/3' is not I/N with I from 1 to N"),
        (["--part", "3"], 2, "(a SLURM array of them is --array=1-16)"),
        (["--part", "1/4"], 1, "m has 22 images in 3 shards of 8, so at most 3 parts, got 1/4"),
        (["--engine", "local"], 2, "unknown engine 'local'; choose one of: local:N, ray[:ADDRESS]"),
        (["--engine", "local:2", "--part", "1/2"], 2, "leave out --part, or --engine"),
        (["--engine", "local:2", "--append"], 2, "--append is not done in parts; leave out --engine"),
        (["--engine", "local:2", "--overwrite"], 2, "leave out --overwrite, and remove the memory"),
        (
            ["--engine", "local:2", "--engine-option", "time=60"],
            1,
            "engine local:2 has no options, got time=",
        ),
        (["--engine", "ray", "--engine-option", "60"], 2, "give KEY=VALUE, such as partition=gpu; got '60'"),
        (["--engine", "local:2", "--parts", "4"], 1, "in 3 shards, so at most 3 parts, got 4; give fewer"),
        (["--parts", "4"], 2, "--parts is about an engine; give it with --engine"),
        (["--restarts", "0"], 2, "--restarts is about an engine; give it with --engine"),
        (["--part", "1/2", "--append"], 2, "--append is not done in parts; leave out --part"),
        (["--part", "1/2", "--searcher", "annoy"], 2, "give --searcher to `hueprobe join`"),
    ],
)
def test_bad_options_leave_nothing(images, tmp_path, arguments, code, said):
    result = run("index", images, "-o", tmp_path / "m", *TINY, *arguments, code=code)
    assert said in result.stderr and result.stdout == ""
    assert list(tmp_path.iterdir()) == []


def test_what_is_not_done_in_parts(images, tmp_path):
    run("index", images, "-o", tmp_path / "m", *TINY)
    pooled = ["index", tmp_path / "m", "-o", tmp_path / "p", "--descriptor", "gap", "--part", "1/2"]
    assert "a memory is pooled in one piece; leave out --part" in run(*pooled, code=2).stderr
    part = run("index", images, "-o", tmp_path / "m", *TINY, "--part", "1/2", code=1)
    assert "m is a memory already, so no part of it is left to build; leave out --part" in part.stderr
    assert "no parts" in run("join", tmp_path / "n", code=1).stderr
    assert "--index-dir" in run("join", tmp_path / "m", "--index-dir", tmp_path, code=2).stderr
    run("index", images, "-o", tmp_path / "n", *TINY, "--part", "1/2")
    whole = run("index", images, "-o", tmp_path / "n", *TINY, code=1)
    assert "n is being built in parts; build those that are missing with --part" in whole.stderr
    assert "has parts of it" in run("info", tmp_path / "n", code=1).stderr


def test_help_says_how_to_number_the_parts():
    text = " ".join(run("index", "--help").stdout.split())
    assert "counted from 1" in text and "--part ${SLURM_ARRAY_TASK_ID}/16" in text


def test_a_stopped_join_says_how_to_go_on(images, tmp_path, monkeypatch):
    def stop(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("hueprobe.scale.join", stop)
    stopped = run("join", tmp_path / "m", code=130)
    assert stopped.stderr == (
        "hueprobe: stopped; finished work is kept: run the same command again to resume\n"
    )
