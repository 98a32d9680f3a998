"""Memories on which little can be measured: what can be is written, the rest told first, with its reason."""

import json

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

import hueprobe as hp
from hueprobe.classification import Classification
from hueprobe.cli import main
from hueprobe.errors import HueprobeWarning, InputError
from hueprobe.exclusion import Exclusion
from hueprobe.observations.accuracy import evaluate
from hueprobe.studies import ObserveSettings, accuracy_grid, observe
from hueprobe.studies.observing.memories import foreseen
from tests.small_memories import noise

ALL = {"energy", "accuracy", "locations", "conditional", "hue"}
PLACES = {"energy", "locations", "conditional"}
CASES = {  # number of images, classes, further options of the memory, what can be measured
    "singletons": (3, list("abc"), {}, PLACES),
    "one class": (5, list("aaaaa"), {}, PLACES),
    "unlabeled": (5, None, {}, PLACES),
    "one image": (1, ["a"], {}, {"energy"}),
    "one unlabeled image": (1, None, {}, {"energy"}),
    "one cell": (6, list("ababab"), {"grid": (1, 1)}, {"accuracy"}),
    "some alone": (7, list("aaabbbc"), {}, ALL),
    "one pair": (4, list("aabc"), {}, ALL - {"hue"}),
    "two channels": (6, list("ababab"), {"channels": 2}, ALL - {"hue"}),
}


def memory_of(path, n, classes, *, grid=(3, 3), channels=6, **options):
    return hp.memory_from_arrays(path, noise(n, channels=channels, grid=grid), classes, **options)


def run(*arguments):
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:no figure:hueprobe.errors.HueprobeWarning")
@pytest.mark.parametrize("case", CASES)
def test_what_can_be_measured_is_written_and_the_rest_told_at_the_start(tmp_path, case):
    n, classes, options, expected = CASES[case]
    memory = memory_of(tmp_path / "m", n, classes, **options)
    done = run("observe", "all", memory.path, "-o", tmp_path / "out", "--k", 3)
    assert done.exit_code == 0, done.output
    text = (tmp_path / "out" / "report.md").read_text()
    json.loads((tmp_path / "out" / "verdicts.json").read_text(), parse_constant=pytest.fail)
    told = done.stderr[: done.stderr.index("m: energy, accuracy")]
    for name in ALL:
        reason = f"note: m: {name}: "
        assert done.stderr.count(reason) <= 1
        if name in expected:
            assert any(name in file.name for file in (tmp_path / "out").iterdir()) or name == "hue"
        else:
            assert reason in told, "said before any work"
            assert f"{name}: " in text
    report = observe(memory, settings=ObserveSettings(k=3))
    assert set(report.memories[0].results) == expected


def test_nothing_to_measure_is_an_error_and_leaves_the_report(tmp_path):
    memory = memory_of(tmp_path / "m", 4, None, grid=(1, 1))
    done = run("observe", "energy", memory.path, "-o", tmp_path / "out", "--k", 1)
    assert done.exit_code == 1 and "nothing could be measured for energy" in done.stderr
    assert "1x1 grid has no places" in (tmp_path / "out" / "report.md").read_text()


def test_what_is_foreseen_is_what_is_noted(tmp_path):
    for number, (n, classes, options, _) in enumerate(CASES.values()):
        memory = memory_of(tmp_path / str(number), n, classes, **options)
        found = foreseen(memory, ["energy", "accuracy"], settings=ObserveSettings(k=3))
        noted = observe(memory, ["energy", "accuracy"], settings=ObserveSettings(k=3)).memories[0].notes
        assert found == noted


def test_a_control_that_a_memory_cannot_have_is_refused_before_anything_is_measured(tmp_path, monkeypatch):
    memory = memory_of(tmp_path / "m", 6, list("ababab"))
    monkeypatch.setattr(
        hp.KernelDensityClassifier, "leave_one_out", lambda self, **_: pytest.fail("searched")
    )
    with pytest.raises(InputError, match="'mirror-all' needs the image files"):
        observe(memory, "locations", controls=["mirror-all"])


@given(
    classes=st.lists(st.sampled_from(["a", "b", "c", None]), min_size=2, max_size=9),
    groups=st.lists(st.sampled_from(["x", "y", None]), min_size=9, max_size=9),
    hashes=st.lists(st.sampled_from("01234"), min_size=9, max_size=9),
    rule=st.sampled_from(["image", "group"]),
    data=st.data(),
)
@settings(max_examples=40, deadline=None)
def test_alone_is_who_may_match_no_other_image_of_its_class(
    tmp_path_factory, classes, groups, hashes, rule, data
):
    n = len(classes)
    memory = hp.memory_from_arrays(
        tmp_path_factory.mktemp("m") / "a", noise(n), classes, groups=groups[:n], hashes=hashes[:n]
    )
    used = data.draw(st.lists(st.integers(0, n - 1), min_size=1, unique=True))

    def may(i, j):
        same_group = groups[i] is not None and groups[i] == groups[j] and rule == "group"
        return i != j and hashes[i] != hashes[j] and not same_group

    alone = [
        classes[i] is not None and not any(may(i, j) for j in used if classes[j] == classes[i]) for i in used
    ]
    lone = Exclusion(memory, rule, images=used).lone()
    assert lone[used].tolist() == alone and lone.sum() == sum(alone)
    result = hp.KernelDensityClassifier(memory, k=2, exclude=rule, images=used).leave_one_out()
    assert result.lone.tolist() == [alone[used.index(row)] for row in result.rows]


@pytest.fixture
def some_alone(tmp_path):
    """Seven images; c and d are alone in their class."""
    return memory_of(tmp_path / "m", 7, list("aabbbcd"))


def test_images_alone_in_their_class_leave_the_accuracy_with_a_word(some_alone, tmp_path):
    result = hp.KernelDensityClassifier(some_alone, k=2).leave_one_out()
    found = evaluate(result)
    right = [t == p for t, p in zip(result.true_class[:5], result.predicted_class[:5], strict=True)]
    assert (found.overall.n, found.overall.correct) == (5, sum(right))
    assert found.lone == {"c": 1, "d": 1} and set(found.per_class) == {"a", "b"}
    assert f"{sum(right)} of 5 labeled images right (2 more are alone in their class)" in repr(result)
    result.save(tmp_path / "c.json")
    again = Classification.load(tmp_path / "c.json")
    assert again.lone.tolist() == result.lone.tolist() and evaluate(again) == found
    old = json.loads((tmp_path / "c.json").read_text())
    del old["lone"]  # as written before there were any
    (tmp_path / "c.json").write_text(json.dumps(old))
    assert Classification.load(tmp_path / "c.json").lone is None
    assert evaluate(Classification.load(tmp_path / "c.json")).overall.n == 7
    pooled = hp.memory.derive_memory(tmp_path / "gap", some_alone, "gap")
    assert evaluate(hp.PooledClassifier(pooled, k=2).leave_one_out()).lone == {"c": 1, "d": 1}


def test_the_command_says_who_was_left_out(some_alone):
    done = run("evaluate", some_alone.path, "--leave-one-out", "--k", 2)
    told = "alone in their class, so never classified correctly, excluded from the accuracy: 2 images: c (1),"
    assert told in " ".join(done.stdout.split())
    document = json.loads(run("evaluate", some_alone.path, "--leave-one-out", "--k", 2, "--json").stdout)
    assert document["alone_in_their_class"] == {"c": 1, "d": 1}
    assert document["images"] == 5 and len(document["predictions"]) == 7


def test_where_nobody_could_be_right_there_is_no_accuracy(tmp_path):
    memory = memory_of(tmp_path / "m", 3, list("abc"))
    with pytest.raises(InputError, match="none of 3 images could be classified right"):
        evaluate(hp.KernelDensityClassifier(memory, k=2).leave_one_out())
    done = run("evaluate", memory.path, "--leave-one-out", "--k", 2)
    assert done.exit_code == 1 and "none of 3 images could be classified right" in done.stderr


def test_groups_count_as_one_where_they_are_excluded(tmp_path):
    memory = hp.memory_from_arrays(tmp_path / "m", noise(6), list("aabbbb"), groups=list("xxyyzz"))
    found = evaluate(hp.KernelDensityClassifier(memory, k=2, exclude="group").leave_one_out())
    assert found.lone == {"a": 2} and found.overall.n == 4
    assert evaluate(hp.KernelDensityClassifier(memory, k=2).leave_one_out()).lone == {}


def test_a_held_out_image_may_have_only_itself_to_match(tmp_path):
    memory = hp.memory_from_arrays(tmp_path / "m", noise(4), list("abbb"), groups=list("wxyz"))
    classifier = hp.KernelDensityClassifier(memory, k=2, exclude="group")
    result = classifier.classify_activations(noise(2, seed=3), classes=["a", "b"], groups=["w", "w"])
    assert result.lone.tolist() == [True, False] and evaluate(result).lone == {"a": 1}


@pytest.mark.slow
def test_every_descriptor_leaves_out_the_same_and_says_so(some_alone, tmp_path):
    grid = accuracy_grid(some_alone, tmp_path / "work", k=2)
    assert {run.n for run in grid.runs} == {5} and {run.n_lone for run in grid.runs} == {2}
    assert {row["alone in their class"] for row in grid.rows()} == {2}
    assert all(
        np.isfinite(comparison.p) for comparison in grid.comparisons(grid.runs[0].network, grid.runs[0].task)
    )


def test_a_figure_with_nothing_to_show_is_left_out_with_a_word(tmp_path):
    memory = memory_of(tmp_path / "m", 3, list("abc"))
    report = observe(memory, "locations", settings=ObserveSettings(k=3))
    with pytest.warns(HueprobeWarning, match="no figure 'class_positions': no class has same-class matches"):
        drawn = hp.plots.figures(report.memories[0].locations)
    assert "locations" in drawn and "class_positions" not in drawn
