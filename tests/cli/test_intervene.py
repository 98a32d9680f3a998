"""`hueprobe intervene`: the numbers of the library, a folder that resumes, and what is refused."""

import json

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

import hueprobe as hp
from hueprobe.cli import main
from hueprobe.studies import InterveneSettings

TINY = ["--backbone", "tests.tiny_network:tiny", "--layer", "3", "--batch-size", "8"]
SMALL = ["--flips", "e,h,r", "--deals", "2", "--k", "3", "--device", "cpu", "--workers", "0"]


def run(*arguments, code=0):
    result = CliRunner().invoke(main, [str(a) for a in arguments])
    assert result.exit_code == code, result.output + repr(result.exception)
    return result


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("intervene")
    rng = np.random.default_rng(0)
    for c, name in enumerate("abc"):
        (folder / "images" / name).mkdir(parents=True)
        for i in range(12):
            values = rng.integers(0, 120, (24, 24, 3))
            values[8 * c : 8 * c + 8, :, c] += 120
            Image.fromarray(values.astype(np.uint8)).save(folder / "images" / name / f"{i}.png")
    run("data", "split", folder / "images", "--train", "0.84", "--seed", "0", "-o", folder / "split.csv")
    run("index", folder / "split.csv", "--split", "train", "-o", folder / "a.memory", *TINY)
    return folder


@pytest.fixture
def inside(folder, monkeypatch):
    monkeypatch.chdir(folder)
    return folder


def test_the_numbers_are_those_of_the_library(inside, tmp_path):
    settings = InterveneSettings(flips="e,h,r", n_deals=2, k=3, shift=4, seed=3, margin=0.2, workers=0)
    found = hp.intervene(hp.open_memory("a.memory"), settings=settings)
    asked = [*SMALL, "--shift", "4", "--seed", "3", "--margin", "0.2"]
    result = run("intervene", "a.memory", "-o", tmp_path / "out", *asked, "--json")
    assert json.loads(result.stdout) == found.to_json()
    assert json.loads((tmp_path / "out" / "interventions.json").read_text()) == found.to_json()
    assert "e-4px: search" in result.stderr and "flips: 4/4" in result.stderr
    assert not list((tmp_path / "out" / "work").glob("*.memory"))


def test_the_report_is_told_and_the_folder_resumes(inside, tmp_path):
    first = run("intervene", "a.memory", "-o", tmp_path / "out", *SMALL, "--keep")
    found = hp.observations.interventions.Interventions.load(tmp_path / "out" / "interventions.npz")
    assert "energy, content-locked" in first.stdout
    assert f"{found.conclusion.verdict}: {found.conclusion.text}" in first.stdout
    assert (tmp_path / "out" / "class_vectors.png").is_file()
    assert (tmp_path / "out" / "work" / "r.memory").is_dir()
    again = run("intervene", "a.memory", "-o", tmp_path / "out", *SMALL, "--format", "svg")
    assert again.stdout.splitlines()[:-1] == first.stdout.splitlines()[:-1]
    assert "search" not in again.stderr
    assert (tmp_path / "out" / "class_vectors.svg").is_file()


def test_images_may_be_held_out(inside, tmp_path):
    asked = ["--images", "split.csv", "--split", "test"]
    result = run("intervene", "a.memory", "-o", tmp_path / "out", *SMALL, *asked, "--json")
    assert json.loads(result.stdout)["definitions"]["queries"] == "given"


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--split", "test"], "--split selects from --images"),
        (["--plant"], "--plant moves images by up to --shift PIXELS"),
        (["--margin", "0"], "--margin"),
        (["--k", "100000"], "--k 100000 is larger than the memory"),
    ],
)
def test_refuses_options_that_do_not_go_together(inside, tmp_path, arguments, told):
    assert told in run("intervene", "a.memory", "-o", tmp_path / "out", *arguments, code=2).stderr


def test_refuses_flips_that_separate_nothing(inside, tmp_path):
    told = run("intervene", "a.memory", "-o", tmp_path / "out", "--flips", "e", code=1).stderr
    assert "flips 'e' separate nothing" in told and not (tmp_path / "out").exists()
