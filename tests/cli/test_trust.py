"""`evaluate --calibration` and `--outside`: the numbers of the library, and what does not go together."""

import json

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

import hueprobe as hp
from hueprobe.cli import main

TINY = ["--backbone", "tests.tiny_network:tiny", "--layer", "3", "--batch-size", "4"]


def run(*arguments, code=0):
    result = CliRunner().invoke(main, [str(a) for a in arguments])
    assert result.exit_code == code, result.output + repr(result.exception)
    return result


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Three classes that differ a little in color, a table with three splits and groups, and gray images."""
    folder = tmp_path_factory.mktemp("trust")
    rng = np.random.default_rng(0)
    lines = ["path,class,split,group"]
    for c, name in enumerate(["blue", "green", "red"]):
        (folder / "images" / name).mkdir(parents=True)
        for i in range(12):
            values = rng.integers(0, 200, (30, 36, 3))
            values[..., 2 - c] += 4
            Image.fromarray(values.astype(np.uint8)).save(folder / "images" / name / f"{i}.png")
            split = ("train", "cal", "test")[i % 3]
            lines.append(f"images/{name}/{i}.png,{name},{split},{split}{i // 6}{name}")
    (folder / "parts.csv").write_text("\n".join(lines) + "\n")
    (folder / "plain.csv").write_text("\n".join(line.rpartition(",")[0] for line in lines) + "\n")
    (folder / "gray").mkdir()
    for i in range(5):
        Image.fromarray(rng.integers(0, 40, (30, 36, 3)).astype(np.uint8)).save(folder / "gray" / f"{i}.png")
    run("index", folder / "plain.csv", "--split", "train", "-o", folder / "a.memory", *TINY)
    run("index", folder / "plain.csv", "--split", "train", "-o", folder / "l.memory", *TINY, "--layer", "1")
    return folder


@pytest.fixture
def inside(folder, monkeypatch):
    monkeypatch.chdir(folder)
    return folder


def measured(table):
    """Return calibration and test classifications of a table, and that of the gray images."""
    classifier = hp.KernelDensityClassifier(hp.open_memory("a.memory"), k=10)
    every = hp.images.resolve_images(table)
    parts = [classifier.classify(every.where_split(name)) for name in ("cal", "test")]
    return (*parts, classifier.classify("gray"))


@pytest.mark.parametrize("table", ["plain.csv", "parts.csv"])
def test_the_numbers_are_those_of_the_library(inside, table):
    asked = ["evaluate", "a.memory", table, "--split", "test", "--calibration", "cal", "--outside", "gray"]
    document = json.loads(run(*asked, "--json").stdout)
    calibration, test, gray = measured(table)
    conformal = hp.trust.conformal_predictions(calibration, test)
    found = document["calibration"]
    assert found["images"] == 12 and found["groups"] == (6 if table == "parts.csv" else 12)
    for level, row in zip((0.9, 0.95), found["levels"], strict=True):
        coverage = conformal.coverage(level)
        assert row["coverage"] == pytest.approx(coverage.share.estimate)
        assert row["ci95"] == pytest.approx([coverage.share.low, coverage.share.high])
        assert row["classes"] == pytest.approx(coverage.size.estimate)
        assert (row["expected"] is None) == (table == "parts.csv")
    for row, p in zip(found["predictions"], conformal.p_values, strict=True):
        assert list(row["p_values"].values()) == pytest.approx(p)
        assert row["credibility"] == pytest.approx(p.max())
    check = hp.trust.calibration_check(calibration, test)
    assert found["temperature"]["value"] == pytest.approx(check.temperature.value.estimate)
    after = found["reliability"]["after"]["width"]
    assert after["error"] == pytest.approx(check.after["width"].error.estimate)
    assert [one["n"] for one in after["bins"]] == check.after["width"].n.tolist()
    detection = hp.trust.detect_outside(
        hp.trust.image_scores(test, conformal=conformal),
        hp.trust.image_scores(gray, conformal=hp.trust.conformal_predictions(calibration, gray)),
    )
    assert set(document["outside"]["scores"]) == set(detection.by_score)
    for name, one in document["outside"]["scores"].items():
        assert one["auroc"] == pytest.approx(detection.by_score[name].auroc.estimate)
        assert one["fpr95"] == pytest.approx(detection.by_score[name].fpr95.estimate)
        assert one["outside"] == pytest.approx(detection.by_score[name].outside)


@pytest.mark.parametrize("outside", [False, True])
def test_p_values_of_layers_are_those_of_a_slow_loop(inside, outside):
    """Nonconformities of both layers are added; each memory is asked on its own here."""
    asked = ["evaluate", "l.memory.3", "plain.csv", "--split", "test", "--calibration", "cal"]
    asked += ["--outside", "gray"] if outside else []
    document = json.loads(run(*asked, "--layers", "l.memory.1", "--json").stdout)
    every, likelihoods = hp.images.resolve_images("plain.csv"), []
    for layer in ("l.memory.3", "l.memory.1"):
        classifier = hp.KernelDensityClassifier(hp.open_memory(layer), k=10)
        parts = [classifier.classify(every.where_split(name)) for name in ("cal", "test")]
        likelihoods.append([{image: dict(zip(part.classes, row, strict=True)) for image, row in zip(
            part.images, part.likelihood, strict=True)} for part in parts])  # fmt: skip
    (cal_3, test_3), (cal_1, test_1) = likelihoods
    scores = []
    for image in cal_3:
        own = image.split("/")[1]
        scores.append(2 - cal_3[image][own] - cal_1[image][own])
    found = document["calibration"]
    assert found["memories"] == 2 and len(found["predictions"]) == len(test_3) == 12
    for row in found["predictions"]:
        for name, p in row["p_values"].items():
            score = 2 - test_3[row["image"]][name] - test_1[row["image"]][name]
            at_least = sum(one >= score - 1e-9 for one in scores)
            assert p == pytest.approx((1 + at_least) / (1 + len(scores)))
    alone = json.loads(run(*asked, "--json").stdout)
    assert alone["calibration"]["memories"] == 1
    assert alone["calibration"]["predictions"] != found["predictions"]
    for name in ("accuracy", "predictions", "confusion"):  # these are of the first memory alone
        assert document[name] == alone[name]
    assert document["calibration"]["temperature"] == alone["calibration"]["temperature"]
    if outside:
        scores = document["outside"]["scores"], alone["outside"]["scores"]
        assert scores[0]["1 - credibility"]["inside"] == pytest.approx(
            [1 - row["credibility"] for row in found["predictions"]]
        )
        assert scores[0]["mean distance"] == scores[1]["mean distance"]


def test_the_report_names_the_number_of_layers(inside):
    asked = ["evaluate", "l.memory.3", "plain.csv", "--split", "test", "--calibration", "cal"]
    assert "12 images; p-values of 2 memories" in run(*asked, "--layers", "l.memory.1").stdout
    assert "p-values of" not in run(*asked).stdout


def test_without_the_options_there_is_nothing(inside):
    document = json.loads(run("evaluate", "a.memory", "plain.csv", "--split", "test", "--json").stdout)
    assert document["calibration"] is None and document["outside"] is None


def test_the_report_and_the_figures(inside, tmp_path):
    asked = ["evaluate", "a.memory", "plain.csv", "--split", "test", "--calibration", "cal"]
    out = run(*asked, "--outside", "gray", "--figure", tmp_path / "trust.png")
    for said in ("calibration: 12 images", "prediction sets", "temperature", "expected calibration error"):
        assert said in out.stdout
    assert "telling 5 outside images from 12 inside ones" in out.stdout
    assert sorted(path.name for path in tmp_path.iterdir()) == ["trust-calibration.png", "trust-outside.png"]
    run(*asked, "--figure", tmp_path / "alone.svg")
    assert (tmp_path / "alone.svg").read_text().startswith("<?xml")


def test_outside_images_of_a_memory_left_out_one_at_a_time(inside):
    out = json.loads(run("evaluate", "a.memory", "--leave-one-out", "--outside", "gray", "--json").stdout)
    assert out["outside"]["inside_images"] == 12 and "1 - credibility" not in out["outside"]["scores"]


def test_matches_are_saved_too(inside, tmp_path):
    matches = tmp_path / "matches.parquet"
    run("evaluate", "a.memory", "plain.csv", "--split", "test", "--outside", "gray", "--matches", matches)
    assert len(set(hp.read_matches(matches).query_image.tolist())) == 12


@pytest.mark.parametrize(
    "arguments, said, code",
    [
        (["--leave-one-out", "--calibration", "cal"], "--calibration needs IMAGES", 2),
        (["plain.csv", "--split", "test", "--figure", "a.png"], "--figure draws what", 2),
        (["plain.csv", "--split", "test", "--outside", "gray", "--figure", "a.txt"], "cannot draw into", 2),
        (["plain.csv", "--split", "test", "--calibration", "gray"], "gray has no class labels", 2),
        (["plain.csv", "--calibration", "cal"], "12 images are in the calibration and in the test set", 1),
        (["plain.csv", "--split", "test", "--outside", "gray", "--classifier", "knn"], "--outside needs", 2),
        (["plain.csv", "--split", "test", "--calibration", "nowhere"], "nowhere", 1),
        (["plain.csv", "--split", "test", "--layers", "l.memory.1"], "give --calibration", 2),
        (
            ["plain.csv", "--calibration", "cal", "--layers", "l.memory.1", "--classifier", "knn"],
            "--layers needs --classifier kde",
            2,
        ),
        (
            ["plain.csv", "--split", "test", "--calibration", "cal", "--layers", "l.memory.3"],
            "a.memory and l.memory.3 are both of layer '3'",
            1,
        ),
    ],
)
def test_what_does_not_go_together_is_refused(inside, arguments, said, code):
    found = run("evaluate", "a.memory", *arguments, code=code)
    assert said in " ".join(found.stderr.split()) and "Traceback" not in found.stderr
    assert not (inside / "a.png").exists()


def test_a_name_that_is_a_split_and_a_folder_is_refused(inside):
    (inside / "cal").mkdir()
    try:
        found = run("evaluate", "a.memory", "plain.csv", "--split", "test", "--calibration", "cal", code=2)
        assert "is a split of plain.csv and a file or folder here" in " ".join(found.stderr.split())
    finally:
        (inside / "cal").rmdir()
