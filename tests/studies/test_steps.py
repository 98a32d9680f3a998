"""Every step of an observation is told with its number of how many, and with the time that all may take."""

import itertools
import re

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

import hueprobe as hp
from hueprobe.cli import main
from hueprobe.observations.table import CONTROLS
from hueprobe.studies import ObserveSettings, accuracy_grid, observe
from hueprobe.studies.observing import measuring, steps
from hueprobe.studies.observing.planned import planned_steps
from hueprobe.studies.observing.steps import Step, Steps
from tests.small_memories import noise

SETTINGS = ObserveSettings(k=3)
SAID = re.compile(r"^(.*?)(?:, )?steps? (\d+)(?: to (\d+))? of (\d+): (.*?); (.*)$", re.MULTILINE)


def said(text):
    """Return each announcement: (what it is part of, first and last number, total, name, message)."""
    return [
        (where, int(first), int(last or first), int(total), name, message)
        for where, first, last, total, name, message in SAID.findall(text)
        if "/" not in message.split(",")[0]
    ]


def require_complete(text):
    """Each number once, in order, from 1 to the total, which is the same everywhere."""
    found = said(text)
    numbers = [number for _, first, last, *_ in found for number in range(first, last + 1)]
    assert {total for _, _, _, total, *_ in found} == {len(numbers)}
    assert numbers == list(range(1, len(numbers) + 1))
    return found


@pytest.fixture
def memory(tmp_path):
    return hp.memory_from_arrays(tmp_path / "m", noise(18, channels=6, grid=(4, 4)), list("abc") * 6)


def images_of(folder, n=4):

    rng = np.random.default_rng(len(str(folder)) % 7)
    for name in "ab":
        (folder / name).mkdir(parents=True)
        for i in range(n):
            Image.fromarray(rng.integers(0, 256, (24, 24, 3), np.uint8)).save(folder / name / f"{i}.png")
    return folder


def memory_of_images(tmp_path):
    images = images_of(tmp_path / "images", 6)
    return hp.build_memory(tmp_path / "m", images, backbone="tests.tiny_network:tiny", layer="3")


def test_steps_are_known_before_and_all_are_told(memory, capsys, tmp_path):
    which = ["energy", "accuracy", "locations"]
    report = observe(memory, which, settings=SETTINGS, progress=True, folder=tmp_path / "w")
    found = require_complete(capsys.readouterr().err)
    assert [name for *_, name, _ in found] == [
        "energy", "accuracy, pixel", "accuracy, gap", "accuracy, gmp", "accuracy, gem", "accuracy, rmac",
        "accuracy, flat", "accuracy, pixel, majority vote", "accuracy, pixel, kernel density, K tuned",
        "accuracy, gap, kernel density, K tuned", "accuracy, gap, nearest centroid",
        "accuracy, gap, logistic regression", "locations",
    ]  # fmt: skip
    assert all(re.fullmatch(r"total ETA \d+ s", message) for *_, message in found)
    assert {where for where, *_ in found} == {"m"} and set(report.memories[0].results) == set(which)

    observe(memory, which, settings=SETTINGS, progress=True, folder=tmp_path / "w")
    found = require_complete(capsys.readouterr().err)
    assert [message for *_, name, message in found if name.startswith("accuracy")] == ["finished before"] * 11

    observe(memory, ["energy"], settings=SETTINGS)
    assert capsys.readouterr().err == ""


def test_two_memories_of_one_name_have_steps_of_their_own(memory, capsys):
    observe([memory, memory], ["energy", "conditional"], settings=SETTINGS, progress=True)
    found = require_complete(capsys.readouterr().err)
    assert [name for *_, name, _ in found] == ["energy", "conditional"] * 2


def test_what_one_memory_lacks_is_not_left_out_of_another_of_the_same_name(capsys):
    plan = [Step(("m", "accuracy", "gap"), 1), Step(("m", "accuracy", "gap", "majority vote"), 1)]
    run = Steps(plan, plan, enabled=True)
    with run.under("m"):
        run.leave("accuracy", reason="none")
        run.leave("accuracy", "gap", reason="finished before")
    assert capsys.readouterr().err == (
        "m, steps 1 to 2 of 4: accuracy; none\nm, step 3 of 4: accuracy, gap; finished before\n"
    )


@pytest.mark.slow
def test_under_every_control_the_last_step_is_the_total(tmp_path, capsys):
    memory = memory_of_images(tmp_path)
    observe(memory, ["energy", "locations", "hue"], settings=SETTINGS, controls=list(CONTROLS), progress=True)
    found = require_complete(capsys.readouterr().err)
    by_control = {}
    for where, *_, name, _ in found:
        by_control.setdefault(where, []).append(name)
    assert list(by_control) == ["m", *(f"m, {control}" for control in CONTROLS)]
    assert by_control["m, mirror-all"] == ["images", "energy", "locations", "hue"]
    assert by_control["m, mirror-queries"] == ["images", "energy", "locations", "content or position"]
    assert by_control["m, no-near-duplicates"] == ["images", "energy", "locations"]


def test_held_out_images_are_a_step_where_they_are_needed(tmp_path, capsys):
    memory, asked = memory_of_images(tmp_path), images_of(tmp_path / "asked", 2)
    observe(memory, ["energy", "locations", "hue"], images=asked, settings=SETTINGS, progress=True)
    found = require_complete(capsys.readouterr().err)
    assert [name for *_, name, _ in found] == ["held-out images", "energy", "locations"]
    observe(memory, ["energy"], images=asked, settings=SETTINGS, progress=True)
    assert [name for *_, name, _ in require_complete(capsys.readouterr().err)] == ["energy"]
    accuracy_grid(memory, tmp_path / "w", images=asked, k=3, progress=True)
    found = require_complete(capsys.readouterr().err)
    assert len(found) == 12 and found[0][4] == "held-out images" and found[0][0] == ""


def test_a_step_that_fails_is_left_with_the_reason_of_the_note(tmp_path, capsys, memory):
    """Arrays have no network, so held-out images cannot go through it: one note each, and one try."""
    asked = images_of(tmp_path / "q", 1)
    report = observe(memory, ["accuracy", "locations"], images=asked, settings=SETTINGS, progress=True)
    err = capsys.readouterr().err
    assert [note.split(":")[1].strip() for note in report.notes] == ["accuracy", "locations"]
    assert all("cannot be loaded from its record" in note for note in report.notes)
    found = said(err)
    assert [(first, last, total) for _, first, last, total, *_ in found] == [
        (1, 1, 13), (1, 1, 13), (2, 12, 13), (13, 13, 13),
    ]  # fmt: skip
    assert "cannot be loaded from its record" in found[1][5]
    assert all(message.startswith("cannot be measured: ") for *_, message in found[2:])


def test_the_steps_of_an_observation_that_fails_midway_are_left(memory, capsys, monkeypatch):
    real = measuring.grid_of

    def failing(setup):
        setup.run_of = lambda row: (_ for _ in ()).throw(hp.errors.InputError("no luck"))
        return real(setup)

    monkeypatch.setattr(measuring, "grid_of", failing)
    report = observe(memory, ["accuracy", "conditional"], settings=SETTINGS, progress=True)
    assert report.notes == ("m: accuracy: no luck",)
    numbers = [
        (first, last, total, message) for _, first, last, total, _, message in said(capsys.readouterr().err)
    ]
    assert [one[:3] for one in numbers] == [(1, 1, 12), (1, 11, 12), (12, 12, 12)]
    assert numbers[1][3] == "cannot be measured: no luck"


def test_what_cannot_be_measured_has_no_step(tmp_path):
    memory = hp.memory_from_arrays(tmp_path / "m", noise(6, grid=(1, 1)), list("ababab"))
    names = {step.key[1] for step in planned_steps(memory, ["energy", "accuracy", "hue"], settings=SETTINGS)}
    assert names == {"accuracy"}


def test_the_command_counts_its_report_and_the_self_test(memory, tmp_path):
    done = CliRunner().invoke(
        main,
        ["observe", "energy", str(memory.path), "-o", str(tmp_path / "o"), "--k", "3", "--self-test", "1"],
    )
    assert done.exit_code == 0, done.output
    found = require_complete(done.stderr)
    assert [name for *_, name, _ in found] == ["energy", "self-test", "figures and report"]


@given(
    weights=st.lists(st.floats(0.1, 100), min_size=1, max_size=8),
    pace=st.floats(0.2, 5),
    lost=st.integers(0, 7),
)
def test_the_eta_shrinks_at_an_even_pace_and_ends_at_zero(weights, pace, lost):
    """Where every step takes its weight times one number, the ETA of what is left comes ever closer to it."""
    clock = [0.0]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(steps.time, "monotonic", lambda: clock[0])
        run = Steps([Step((str(i),), weight) for i, weight in enumerate(weights)])
        before = run.eta()
        assert before == pytest.approx(sum(weights))
        errors = [abs(1 - pace)]
        for i, weight in enumerate(weights):
            if i == lost:
                run.leave(str(i), reason="none")
            else:
                with run.of(str(i)):
                    clock[0] += weight * pace
            if left := sum(weights[i + 1 :]):
                errors.append(abs(run.eta() / left - pace))
        assert all(new <= old + 1e-9 for old, new in itertools.pairwise(errors))
        assert run.eta() == 0


def test_an_unplanned_step_is_only_named(capsys):
    with Steps(enabled=True).of("energy"):
        pass
    assert capsys.readouterr().err == ""
