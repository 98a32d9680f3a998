"""That the benchmark of interventions measures what it says, on memories that take no time."""

import argparse
import io
import json
import tarfile

import numpy as np
import pytest
from PIL import Image

from benchmarks import interventions
from benchmarks.intervention_tables import interventions_tables
from hueprobe import memory_from_arrays
from hueprobe.json_documents import json_text
from hueprobe.observations.interventions import Planted, measure, simulate
from hueprobe.observations.interventions.doses import class_displacements
from hueprobe.studies import InterveneSettings
from hueprobe.studies.intervening.study import deal_sides, positions_of

ASKED = argparse.Namespace(deals=2)


@pytest.fixture(scope="module")
def memory(tmp_path_factory):
    values = np.random.default_rng(0).random((60, 8, 3, 3)).astype(np.float32)
    values[4, :, 1, 1] = 0  # a zero vector
    values[::3, 0] += 2
    return memory_from_arrays(tmp_path_factory.mktemp("m") / "a.memory", values, ["a", "b", "c"] * 20)


def test_lists_give_the_positions_that_the_study_finds(memory):
    sides = deal_sides(memory, memory, n_deals=2, seed=0)
    settings = InterveneSettings(k=10, n_deals=2)
    expected = positions_of(sides, settings=settings)
    lists = interventions.Lists.of(memory, ASKED)
    for deal, block in enumerate(sides.block_of_image):
        found, missing = lists.positions(block, memory.image_class)
        np.testing.assert_allclose(found, expected[deal], atol=1e-6)
        assert missing == 0


def test_pseudo_classes_are_dealt_into_blocks_evenly(memory):
    lists = interventions.Lists.of(memory, ASKED)
    positions, missing = interventions.pseudo_positions(memory, [lists] * 3, ASKED, seed=3)
    assert positions.flips == ("e", "h", "r") and 0 <= missing < 0.2
    assert np.bincount(positions.image_class).tolist() == [20, 20, 20]
    assert (positions.image_class != memory.image_class).any()
    for block in positions.block:
        counts = np.bincount(block * 3 + positions.image_class)
        assert counts.max() - counts.min() <= 1
    again, _ = interventions.pseudo_positions(memory, [lists] * 3, ASKED, seed=4)
    assert (again.image_class != positions.image_class).any()


def a_run():
    content = np.array([(0.8, 0.2), (-0.6, 0.4), (0.0, -0.6)])
    away = class_displacements(3, 32) / 32
    base = simulate(content, 0 * content, n_images=20, seed=0, n_deals=2)
    moved = Planted(32, away, simulate(content + 0.4 * away, 0 * content, n_images=20, seed=0, n_deals=2))
    both = measure(base, planted=[moved], n_permutations=99)
    document = json.loads(json_text(both.to_json()))
    document["estimators"]["plain"] = document["estimators"]["energy"]
    one = {"estimate": 0.5, "ci95": [0.4, 0.6]}
    return both, {
        **document, "network": "net", "set": "dtd_10x40", "variant": "crop-225",
        "mirror_alone": {"energy": {"content": one, "network": one}},
        "decoders": {"r2": [one, one], "content_followed": {"inner": [one, one], "border": [one, one]}},
    }  # fmt: skip


def test_tables_show_what_was_measured():
    found, run = a_run()
    energy = found.separations["energy"]
    rate = {"test": "energy, content", "rate": 0.05, "n": 120, "ci95": [0.02, 0.1]}
    level = {"network": "net", "set": "dtd_10x40", "variant": "", "draws": 120, "deals": 20, "rates": [rate]}
    row = {"design": "3 classes x 20", "at_80": 0.5, "formula": 0.6, "both_axes_at_80": None}
    plain = {**run, "variant": ""}
    text = interventions_tables(
        {"runs": [run, plain], "plants": [run], "level": [level], "power": {"draws": 9, "rows": [row]}}
    )
    name = "net, DTD, 10 x 40, crop-225"
    content = energy.content.effect
    assert f"| {name} |" in text and found.conclusion.verdict in text
    assert f"{content.estimate:.3f} [{content.low:.3f}, {content.high:.3f}], p {content.p_value:.4f}" in text
    assert "none, at most" in text  # the network
    slope = found.responses["energy"].slope[0]
    assert f"{slope.estimate:.3f} [{slope.low:.3f}, {slope.high:.3f}];" in text
    assert "| energy, content | 0.050 [0.020, 0.100] |" in text
    sd = energy.image_sd["content"]
    assert f"| 3 classes x 20 | 0.50 | 0.60 |  | {0.5 * sd:.2f} |" in text
    assert interventions_tables(interventions.EMPTY) == "This has not been measured yet."


def test_power_is_that_of_the_design():
    found = interventions.simulated_power(4, 12, draws=6)
    assert found["found"][0] <= found["found"][-1] == 1
    assert found["distances"][2] == pytest.approx(found["formula"])
    assert interventions._crossing(np.array([1.0, 2.0, 3.0]), [0.2, 0.6, 1.0]) == pytest.approx(2.5)
    assert interventions._crossing(np.array([1.0, 2.0]), [0.2, 0.6]) is None


def test_records_replace_those_of_the_same_case(tmp_path, monkeypatch):
    monkeypatch.setattr(interventions, "RESULT", tmp_path / "interventions.json")
    case = {"network": "resnet50", "set": "dtd_10x40", "variant": ""}
    interventions.enter("runs", {**case, "n": 1})
    interventions.enter("runs", {**case, "set": "caltech101_20x40", "n": 2})
    interventions.enter("runs", {**case, "n": 3})
    interventions.enter("power", {"rows": []})
    assert [(one["set"], one["n"]) for one in interventions.results()["runs"]] == [
        ("caltech101_20x40", 2), ("dtd_10x40", 3),
    ]  # fmt: skip
    assert interventions.results()["power"] == {"rows": []} and interventions.EMPTY["runs"] == []


def test_a_tar_gives_the_classes_with_enough_images(tmp_path, monkeypatch):
    (tmp_path / "train").mkdir()
    with tarfile.open(tmp_path / "train" / "some.tar", "w") as archive:
        for name, n in (("few", 2), ("many", 5)):
            for i in range(n):
                file = io.BytesIO()
                Image.new("RGB", (4, 4), (i, 0, 0)).save(file, "PNG")
                member = tarfile.TarInfo(f"{name}/{i}.png")
                member.size = file.tell()
                file.seek(0)
                archive.addfile(member, file)
    monkeypatch.setattr(interventions, "SHARED", tmp_path)
    monkeypatch.setitem(interventions.TARS, "some", ("some.tar", 3, 4))
    table = interventions.table_of("some", tmp_path, None)
    assert table.classes == ("many",) * 4
    assert len(interventions.table_of("some", tmp_path, 2)) == 2
