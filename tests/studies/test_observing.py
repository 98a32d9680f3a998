"""The observe study on small memories of made-up activations."""

import fcntl
import json

import numpy as np
import pytest

from hueprobe import KernelDensityClassifier, memory_from_arrays
from hueprobe.errors import HueprobeError, HueprobeWarning, InputError
from hueprobe.matches import read_matches
from hueprobe.memory import build_memory
from hueprobe.observations.accuracy.baselines import KS
from hueprobe.observations.energy import measure as measure_energy
from hueprobe.observations.table import OBSERVATIONS
from hueprobe.observations.verdicts import CLAIMS
from hueprobe.plots import figures
from hueprobe.plots.captions import caption
from hueprobe.stats.intervals import Interval
from hueprobe.studies import ObserveSettings, accuracy_grid, network_center, observe, run_self_test
from hueprobe.studies.observing.controls import Changed, controlled, mirror, padded, shifted
from hueprobe.studies.observing.near_duplicates import near_duplicates, without_near_duplicates
from hueprobe.studies.observing.subject import Subject
from hueprobe.studies.run_store import RunStore

SETTINGS = ObserveSettings(k=4)


def activations(n, *, seed=0, channels=8, grid=(5, 5), labels=None):
    """Positive noise; each class favors a channel of its own."""
    values = np.random.default_rng(seed).random((n, channels, *grid)).astype(np.float32)
    for i, label in enumerate(labels if labels is not None else []):
        values[i, label] += 1.5
    return values


def memory_of(path, n=32, n_classes=4, **options):
    labels = [i % n_classes for i in range(n)]
    names = [f"c{label}" for label in labels]
    return memory_from_arrays(path, activations(n, labels=labels, **options), names)


@pytest.mark.slow
def test_everything_is_measured_judged_and_written(tmp_path):
    memory = memory_of(tmp_path / "a.memory")
    report = observe(memory, settings=SETTINGS, folder=tmp_path / "work")
    assert report.notes == ()
    ids = [verdict.id for verdict in report.verdicts]
    assert sorted(ids) == [
        "1a centre", "1b symmetry", "2 pixel", "3a centre", "3b angle", "3c border",
        "4a stay", "4b spread", "4c tangential", "5 hue",
    ]  # fmt: skip
    # Noise has no favorite place: neither energy nor matches can be found to gather anywhere.
    assert {v.id: v.verdict for v in report.verdicts}["1a centre"] != "holds"
    assert {v.id: v.verdict for v in report.verdicts}["3b angle"] != "holds"
    files = report.save(tmp_path)
    document = json.loads((tmp_path / "verdicts.json").read_text())
    assert set(document["verdicts"][0]) == {
        "id", "claim", "memory", "effect", "unit", "ci95", "null", "p", "n", "definitions", "controls",
        "verdict",
    }  # fmt: skip
    assert {f.name for f in files if f.suffix != ".png"} == {
        "verdicts.json", "report.md", "report.html", "numbers.csv", "accuracy.csv",
        "class_positions.csv", "maps.csv",
    }  # fmt: skip
    drawn = {f.name for f in files if f.suffix == ".png"}
    assert {
        "a_energy_map.png",
        "a_locations.png",
        "a_conditional.png",
        "a_accuracy.png",
        "verdicts.png",
    } <= drawn
    assert all(f.stat().st_size for f in files)
    text = (tmp_path / "report.md").read_text()
    assert text.count("\n### ") == 10  # each claim in words
    for verdict in report.verdicts:
        assert f"\n### {verdict.id}: {verdict.verdict}\n\n{verdict.claim.text}" in text
    assert "layer" in text and "K = 4" in text and "transform" in text
    page = (tmp_path / "report.html").read_text()
    assert page.count("<img ") == len(drawn) and page.count("<h3>") == 10
    # every figure has a caption of its own
    assert all(caption(name) != name.removesuffix(".png") for name in drawn)


def test_energy_at_the_center_is_found(tmp_path):
    values = activations(32, labels=[i % 4 for i in range(32)])
    y, x = np.indices((5, 5))
    values *= np.exp(-((y - 2) ** 2 + (x - 2) ** 2) / 4)
    memory = memory_from_arrays(tmp_path / "m", values, [f"c{i % 4}" for i in range(32)])
    report = observe(memory, ["energy"], settings=SETTINGS, folder=tmp_path)
    assert [v.verdict for v in report.verdicts] == ["holds", "holds"]


@pytest.mark.parametrize(
    "change, said",
    [
        ({"grid": (1, 1)}, "grid"),
        ({"n_classes": 1}, ""),
        ({"n": 4, "n_classes": 4}, ""),
        ({"n": 6, "n_classes": 2}, ""),
        ({"grid": (4, 4)}, ""),
    ],
)
def test_memories_that_cannot_tell_are_said_to_be(tmp_path, change, said):
    memory = memory_of(tmp_path / "m", **change)
    report = observe(memory, ["energy", "locations", "conditional"], settings=SETTINGS, folder=tmp_path)
    assert all(said in note for note in report.notes)
    if change.get("grid") == (1, 1):
        assert len(report.notes) == 3
    assert "3b angle" not in [v.id for v in report.verdicts if v.verdict == "holds"]
    report.save(tmp_path, figure_format=None)


def test_a_memory_without_labels_and_signed_activations(tmp_path, small_memory):
    unlabeled = small_memory(n=12, channels=8, grid=(5, 5))
    report = observe(unlabeled, ["energy", "locations"], settings=SETTINGS, folder=tmp_path)
    assert report.memories[0].energy is not None
    signed = memory_from_arrays(tmp_path / "s", activations(24) - 0.5, [f"c{i % 3}" for i in range(24)])
    with pytest.warns(HueprobeWarning, match="sign"):
        observe(signed, ["energy", "hue"], settings=SETTINGS, folder=tmp_path)


def test_accuracy_runs_are_kept_and_agree_with_the_classifier(tmp_path):
    memory = memory_of(tmp_path / "m", n=24)
    grid = accuracy_grid(memory, tmp_path / "work", k=3)
    assert [run.descriptor for run in grid.runs[:6]] == ["pixel", "gap", "gmp", "gem", "rmac", "flat"]
    assert {run.classifier for run in grid.runs} == {
        "kernel density", "majority vote", "kernel density, K tuned", "nearest centroid",
        "logistic regression",
    }  # fmt: skip
    own = KernelDensityClassifier(memory, k=3).leave_one_out()
    assert grid.runs[0].accuracy == np.mean(own.predicted == memory.image_class)
    before = {p: p.stat().st_mtime_ns for p in (tmp_path / "work").glob("*.cell.json")}
    assert len(before) == len(grid.runs) == len(list((tmp_path / "work").iterdir())) - 5  # memories
    assert accuracy_grid(memory, tmp_path / "work", k=3) == grid
    assert {p: p.stat().st_mtime_ns for p in before} == before
    damaged = min(before)
    damaged.write_text(damaged.read_text()[:-9])
    with pytest.raises(InputError, match=f"{damaged.name} is not a finished run"):
        accuracy_grid(memory, tmp_path / "work", k=3)


def test_two_processes_share_the_accuracy_runs(tmp_path, monkeypatch):
    """While a process holds a run another goes on with the rest, and makes it when that process has ended."""
    memory = memory_of(tmp_path / "m", n=24)
    whole = accuracy_grid(memory, tmp_path / "whole", k=3)
    names = [path.stem.removesuffix(".cell") for path in (tmp_path / "whole").glob("*.cell.json")]
    held = min(name for name in names if name.startswith("flat"))
    folder, order = tmp_path / "work", []
    folder.mkdir()
    real = RunStore.write

    def write(store, name, run):
        order.append(name)
        if len(order) == len(names) - 1:  # the other process ends without having finished its run
            holder.close()
        real(store, name, run)

    monkeypatch.setattr(RunStore, "write", write)
    with (folder / f"{held}.lock").open("a") as holder:
        fcntl.flock(holder, fcntl.LOCK_EX)
        assert accuracy_grid(memory, folder, k=3) == whole
    assert order[-1] == held and sorted(order) == sorted(names) and not list(folder.glob("*.lock"))


@pytest.mark.parametrize("exclude", ["image", "group"])
def test_the_chosen_k_is_the_best_of_the_classifier_itself(tmp_path, exclude):
    """n_C leaves out what the search does: the group of an image, here most of its class, and its copies."""
    labels = [f"c{i % 3}" for i in range(24)]
    values = activations(24, seed=1)
    values[[5, 8, 11, 14, 17]] = values[2]  # with "image", most of class 2 are copies of each other
    groups = [f"g{i % 3}" if i < 18 else str(i) for i in range(24)]
    memory = memory_from_arrays(tmp_path / "m", values, labels, groups=groups)
    grid = accuracy_grid(memory, tmp_path / "work", k=3, exclude=exclude)
    pixel = ("pixel", "kernel density, K tuned")
    (run,) = (run for run in grid.runs if (run.descriptor, run.classifier) == pixel)
    best = max(
        np.mean(found.predicted == memory.image_class)
        for k in KS
        if (found := KernelDensityClassifier(memory, k=k, exclude=exclude).leave_one_out())
    )
    assert run.accuracy == best


def test_near_duplicates_are_found_and_the_first_stays(tmp_path):
    values = activations(6, channels=16)
    values[4] = values[1] + 0.001
    values[5] = values[1] + 0.002
    memory = memory_from_arrays(tmp_path / "m", values, list("aabbab"))
    matches = KernelDensityClassifier(memory, k=2).leave_one_out().matches
    assert near_duplicates(matches, near=0.05)[[1, 4]].tolist() == [4, 1]
    assert (near_duplicates(matches, near=0.05)[[0, 2, 3]] == -1).all()
    assert without_near_duplicates(matches, near=0.05).tolist() == [0, 1, 2, 3]


def test_controls_of_arrays_say_that_they_need_images(tmp_path):
    memory = memory_of(tmp_path / "m")
    subject = Subject(settings=SETTINGS, memory=memory)
    with pytest.raises(InputError, match="was not made from files"):
        controlled("mirror-all", subject, tmp_path)
    with pytest.raises(InputError, match="mirror-queries"):
        controlled("upside-down", subject, tmp_path)
    report = observe(
        memory, ["locations"], settings=SETTINGS, folder=tmp_path, controls=["no-near-duplicates"]
    )
    assert report.verdicts and all("no-near-duplicates" in verdict.controls for verdict in report.verdicts)


def test_the_self_test_counts_rejections(tmp_path):
    rates = run_self_test(memory_of(tmp_path / "m", n=40, n_classes=4), settings=SETTINGS, n_draws=3)
    assert {rate.n for rate in rates} <= {0, 3} and 3 in {rate.n for rate in rates}
    assert any("3b" in rate.test for rate in rates) and any(
        "4a" in rate.test or "4 " in rate.test for rate in rates
    )


def test_changes_of_images():
    from PIL import Image

    values = np.random.default_rng(0).integers(0, 256, (56, 28, 3), np.uint8)
    image = Image.fromarray(values)
    np.testing.assert_array_equal(np.asarray(mirror(image)), values[:, ::-1])
    moved = np.asarray(shifted(image))
    assert moved.shape == values.shape
    np.testing.assert_array_equal(moved[:-2, :-1], values[2:, 1:])
    bordered = np.asarray(padded(image))
    np.testing.assert_array_equal(bordered[7:-7, 3:-3], values)
    np.testing.assert_array_equal(bordered[6, 3:-3], values[1])
    assert repr(Changed("resize", "mirror-all", mirror)) == "mirror-all, then 'resize'"


def memory_of_images(tmp_path, n=12, classes=("a", "b")):
    from PIL import Image

    rng = np.random.default_rng(0)
    for name in classes:
        (tmp_path / "p" / name).mkdir(parents=True)
        for i in range(n):
            image = rng.integers(0, 256, (24, 24, 3), np.uint8)
            Image.fromarray(image).save(tmp_path / "p" / name / f"{i}.png")
    return build_memory(tmp_path / "m", tmp_path / "p", backbone="tests.tiny_network:tiny", layer="3")


def test_controls_say_the_same_in_any_order_and_lose_no_definition(tmp_path):
    memory = memory_of_images(tmp_path)
    names = ["random-mirror", "mirror-queries"]
    reports = [
        observe(memory, ["energy", "locations"], settings=SETTINGS, folder=tmp_path / "w", controls=order)
        for order in (names, names[::-1])
    ]
    first, second = ([v.to_json() for v in report.verdicts] for report in reports)
    assert first == second
    for verdict in first:
        # each control once, under its own name, with the findings that it gave
        assert set(verdict["controls"]) == set(names)
        own, under = (verdict["definitions"][name] for name in ("findings", "findings under controls"))
        assert {name: set(findings) for name, findings in under.items()} == {name: set(own) for name in names}
    angle = next(v for v in first if v["id"] == "3b angle")
    assert angle["definitions"]["k"] == 4
    assert (angle["definitions"]["searcher"], angle["definitions"]["exclude"]) == ("exact", "image")


def test_mirrored_queries_and_random_mirrors_come_from_one_extraction(tmp_path):
    memory = memory_of_images(tmp_path)
    subject = Subject(settings=SETTINGS, memory=memory)
    mirrored = controlled("mirror-all", subject, tmp_path / "w").memory
    direct = KernelDensityClassifier(memory, k=2).vectors_of(memory.images)
    assert not np.allclose(mirrored.image_vectors(np.arange(24)), direct)
    mixed = controlled("random-mirror", subject, tmp_path / "w").memory
    asked = mixed.image_vectors(np.arange(24))
    of_first = np.isclose(asked, memory.image_vectors(np.arange(24)), atol=2e-3).all(axis=(1, 2))
    of_mirror = np.isclose(asked, mirrored.image_vectors(np.arange(24)), atol=2e-3).all(axis=(1, 2))
    assert (of_first ^ of_mirror).all() and 4 < of_first.sum() < 20
    queries = controlled("mirror-queries", subject, tmp_path / "w")
    assert queries.memory is memory and queries.query_memory.path == mirrored.path
    weights = controlled("random-weights", subject, tmp_path / "w").memory
    assert weights.settings.weights == "none" and weights.settings.layer == "3"


def test_distances_are_taken_from_the_networks_own_center_on_request(tmp_path):
    memory = memory_of(tmp_path / "a.memory")
    settings = ObserveSettings(k=4, center=(1.25, 2.5))
    report = observe(memory, ["energy", "locations", "conditional"], settings=settings, folder=tmp_path)
    direct = measure_energy(memory.energy(), memory.grid, center=(1.25, 2.5))
    assert (
        report.memories[0].energy.center == (1.25, 2.5)
        and report.memories[0].energy.rho.estimate == direct.rho.estimate
    )
    usual = observe(memory, ["energy", "locations", "conditional"], settings=SETTINGS, folder=tmp_path)
    effects = [{v.id: v.effect for v in r.verdicts} for r in (report, usual)]
    for claim in ("1a centre", "3a centre", "4c tangential"):
        assert effects[0][claim] != effects[1][claim]
    assert report.verdicts[-1].definitions["centre (y, x)"] == [1.25, 2.5]
    with pytest.raises(HueprobeError):  # made of arrays: no network to measure
        network_center(memory)


def test_a_table_of_matches_is_enough_for_what_matches_tell(tmp_path):
    memory = memory_of(tmp_path / "a.memory")
    matches = KernelDensityClassifier(memory, k=4).leave_one_out().matches
    matches.save(tmp_path / "m.parquet")
    read = read_matches(tmp_path / "m.parquet")
    searched = observe(memory, ["locations", "conditional"], settings=SETTINGS, folder=tmp_path)
    numbers = dict_of_numbers(searched)
    # without the memory: the same numbers, but for the blocked test; what needs the memory says so
    alone = observe(matches=read, settings=SETTINGS, folder=tmp_path)
    assert dict_of_numbers(alone) == {k: v for k, v in numbers.items() if "class positions" not in k[1]}
    assert [v.id for v in alone.verdicts] == [
        "3a centre",
        "3c border",
        "4a stay",
        "4b spread",
        "4c tangential",
    ]
    assert [note.split(":")[1].strip() for note in alone.notes] == ["energy", "accuracy", "hue"]
    # with it: everything, without a search of the whole
    both = observe(memory, ["locations", "conditional"], matches=read, settings=SETTINGS, folder=tmp_path)
    assert dict_of_numbers(both) == numbers
    with pytest.raises(InputError, match="are not of"):
        observe(memory_of(tmp_path / "b.memory", n=12), "locations", matches=read)
    with pytest.raises(InputError, match="nothing to observe"):
        observe()
    with pytest.raises(InputError, match="energy, accuracy, locations"):
        observe(memory, "places")


def dict_of_numbers(report):
    (one,) = report.memories
    return {
        (observation, name): repr((interval.estimate, interval.low, interval.high))  # nan equals nan
        for observation, name, interval in one.numbers()
    }


def test_a_report_shows_itself(tmp_path):
    report = observe(memory_of(tmp_path / "a<b>.memory"), ["energy", "locations"], settings=SETTINGS)
    assert repr(report) == "<Report on a<b>.memory: 5 verdicts>" and len(repr(report)) < 100
    assert "3b angle (a<b>.memory): " in str(report)
    page = report._repr_html_()
    assert page.count("<tr>") == 6 and "a&lt;b&gt;.memory" in page and "a<b>" not in page
    assert {"energy", "locations"} == set(report.memories[0].results)


@pytest.mark.slow
def test_every_result_has_the_one_form(tmp_path):
    """Numbers, claims, tables and figures of all; the table of observations names their claims."""
    report = observe(memory_of(tmp_path / "a.memory"), settings=SETTINGS, folder=tmp_path)
    (one,) = report.memories
    assert set(one.results) == {observation.name for observation in OBSERVATIONS}
    for observation in OBSERVATIONS:
        result = one.results[observation.name]
        assert all(isinstance(number, Interval) for number in result.numbers().values())
        assert result.numbers()
        assert tuple(verdict.id for verdict in result.claims()) == observation.claims
        assert figures(result)
        for rows in result.tables().values():
            assert len({tuple(row) for row in rows}) == 1
    assert sorted(c for observation in OBSERVATIONS for c in observation.claims) == sorted(CLAIMS)
    with pytest.raises(InputError, match="int is not the result of an observation"):
        figures(3)
