"""The training comparison: resumed run by run, paired by seed, and what it leaves for people."""

import csv
import dataclasses
import fcntl
import json
from hashlib import sha256

import numpy as np
import pytest
from PIL import Image

from hueprobe import images, plots
from hueprobe.errors import HueprobeWarning, InputError
from hueprobe.studies import (
    ComparisonSettings,
    compare_curves,
    compare_losses,
    compare_observed,
    run_comparison,
    write_comparison,
)
from hueprobe.studies.comparison import study as module
from hueprobe.studies.comparison import trained_observing

pytestmark = pytest.mark.slow

SETTINGS = {
    "backbone": "squeezenet1_1", "losses": ("onehot", "hue:eq5:weight0", "hue:eq5"), "seeds": 2, "side": 40,
    "training": {"epochs": 2, "batch_size": 6, "crop": 36, "device": "cpu"}, "primary": "hue:eq5",
}  # fmt: skip


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    folder, rng = tmp_path_factory.mktemp("images"), np.random.default_rng(0)
    for name in "abc":
        (folder / name).mkdir()
        for number in range(8):
            pixels = rng.integers(0, 140, (40, 44, 3), np.uint8)
            pixels[..., "abc".index(name)] += 80
            Image.fromarray(pixels).save(folder / name / f"{number}.png")
    return images.split_table(images.from_folder(folder), train=0.5, seed=0)


@pytest.fixture(scope="module")
def study(table, tmp_path_factory):
    folder = tmp_path_factory.mktemp("study")
    return folder, run_comparison(table, folder, ComparisonSettings(**SETTINGS))


def test_runs_are_paired_and_weight_zero_is_one_hot(study):
    folder, runs = study
    assert [(run.seed, run.loss) for run in runs] == [
        (s, loss) for s in (0, 1) for loss in SETTINGS["losses"]
    ]
    for plain, zero in ((runs[0], runs[1]), (runs[3], runs[4])):
        assert plain.curve == zero.curve and plain.robustness == zero.robustness
        assert plain.n_parameters == zero.n_parameters and zero.n_extra == 2 * 512 + 2
    assert sorted(runs[0].robustness) == [
        f"{kind} {n}" for kind in ("blur", "contrast", "noise") for n in (1, 2, 3)
    ]
    assert all(0 < share < 1 for share in runs[2].shares) and runs[0].shares == ()
    assert 1 <= runs[2].saved_bytes / runs[0].saved_bytes < 1.05
    assert not list((folder / "running").iterdir()) and len(list((folder / "cells").iterdir())) == 6


def test_goes_on_where_it_stopped_and_may_grow(table, study, monkeypatch):
    folder, runs = study
    trained = []
    real = module.train_run

    def train_run(run, *given, **options):
        trained.append((run.loss, run.seed))
        real(run, *given, **options)

    monkeypatch.setattr(module, "train_run", train_run)
    again = run_comparison(table, folder, ComparisonSettings(**SETTINGS))
    assert repr(again) == repr(runs) and not trained  # NaN p-values equal themselves as text alone
    (folder / "cells" / "onehot_seed1_test_lr0.001.json").unlink()
    more = ComparisonSettings(**{**SETTINGS, "losses": (*SETTINGS["losses"], "smooth"), "seeds": 2})
    again = run_comparison(table, folder, more)
    assert trained == [("smooth", 0), ("onehot", 1), ("smooth", 1)]
    found = {(run.loss, run.seed): run for run in again}
    assert found["onehot", 1].curve == runs[3].curve


def test_another_study_is_refused_with_the_difference(table, study):
    folder, _ = study
    with pytest.raises(InputError, match="another study: backbone was 'squeezenet1_1' and is 'resnet18'"):
        run_comparison(table, folder, ComparisonSettings(**{**SETTINGS, "backbone": "resnet18"}))
    with pytest.raises(InputError, match="another study: images was"):
        run_comparison(table.select(slice(0, 20)), folder, ComparisonSettings(**SETTINGS))
    (folder / "cells" / "onehot_seed0_test_lr0.001.json").write_text("{}")
    with pytest.raises(
        InputError,
        match=r"lr0.001.json is no finished run of this version .* remove it, and it is trained again",
    ):
        run_comparison(table, folder, ComparisonSettings(**SETTINGS))


def test_leaves_tables_a_page_and_figures(study, tmp_path):
    _, runs = study
    summaries = compare_losses(runs, primary="hue:eq5")
    write_comparison(runs, summaries, tmp_path, figures=["losses.png"])
    with (tmp_path / "comparison.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["loss"] for row in rows] == list(SETTINGS["losses"]) and rows[0]["p"] == ""
    assert float(rows[1]["difference"]) == 0 and float(rows[2]["noise 1"]) >= 0
    assert len((tmp_path / "curves.csv").read_text().splitlines()) == 1 + 6 * 2
    page = (tmp_path / "comparison.md").read_text()
    assert "**hue:eq5**" in page and "fewer than 6 seeds" in page and "(losses.png)" in page
    figure = plots.loss_figure(summaries, compare_curves(runs))
    assert len([ax for ax in figure.axes if ax.get_visible()]) == 4
    curves = plots.loss_curves(compare_curves(runs))
    assert curves.lines[2].get_ydata() == pytest.approx(np.mean([runs[2].curve, runs[5].curve], axis=0))


def test_trained_networks_are_observed_and_their_weights_dropped(table, study):
    folder, runs = study
    assert not list((folder / "weights").iterdir())
    assert (folder / "observed" / "hue-eq5_seed0_test_lr0.001_test36.json").exists()
    plain, zero, hue = (run.observed for run in runs[:3])
    stay, positions = plain.notes
    assert "class positions: 0 of 3 classes have" in positions  # 4 a class
    assert stay.startswith("stay-put, same less other: not measurable")
    assert np.isnan(plain.numbers["stay-put, same less other"].estimate)
    assert plain.part == "test" and plain.n_images == 12 and plain.grid == (2, 2)
    # weight 0 trains the same network, so all that is not the head's is the same
    assert repr({name: zero.numbers[name] for name in plain.numbers}) == repr(dict(plain.numbers))
    assert set(hue.numbers) - set(plain.numbers) == {
        "angle, head's plane",
        "angle, head's plane above random",
    }
    found = {(one.measure, one.loss): one for one in compare_observed(runs)}
    values = [runs[i].observed.numbers["full direction"].estimate for i in (0, 3, 2, 5)]
    own = found["full direction", "hue:eq5"]
    assert own.n_seeds == 2 and own.mean.estimate == pytest.approx(np.mean(values[2:]))
    assert own.difference.estimate == pytest.approx(np.mean(values[2:]) - np.mean(values[:2]))
    assert found["full direction", "hue:eq5:weight0"].difference.estimate == 0
    assert found["full direction", "onehot"].difference is None
    assert found["angle, head's plane", "hue:eq5"].difference is None


def test_observes_later_what_kept_its_weights(table, tmp_path, monkeypatch):
    few = {**SETTINGS, "losses": ("hue:eq5",), "seeds": 1, "primary": None, "robustness": False}
    none = ComparisonSettings(**few, observe="none", keep_weights=True)
    (run,) = run_comparison(table, tmp_path, none)
    assert run.observed is None and not (tmp_path / "observed").exists()
    monkeypatch.setattr(module, "train_run", lambda *_, **__: pytest.fail("trained again"))
    asked = ComparisonSettings(**few, observe="test", observe_crop=64, keep_weights=True)
    (tested,) = run_comparison(table, tmp_path, asked)
    larger = ComparisonSettings(**few, observe="train", observe_crop=64)
    (seen,) = run_comparison(table, tmp_path, larger)
    assert tested.observed.part == "test" and tested.observed.numbers != seen.observed.numbers
    assert seen.observed.part == "train" and seen.observed.grid == (3, 3)
    assert repr(run_comparison(table, tmp_path, larger)) == repr([seen])
    assert not list((tmp_path / "weights").iterdir())
    (missing,) = run_comparison(table, tmp_path, ComparisonSettings(**few))
    assert "without keeping its weights" in missing.observed.notes[0] and not missing.observed.numbers
    write_comparison([seen], compare_losses([seen]), tmp_path)
    page = (tmp_path / "comparison.md").read_text()
    assert "on a grid of 3 x 3" in page and "angle, head's plane above random" in page
    assert len((tmp_path / "observed.csv").read_text().splitlines()) == 1 + len(seen.observed.numbers)


def test_what_is_observed_is_the_trained_network(table, study, tmp_path, monkeypatch):
    _, runs = study
    settings = ComparisonSettings(**{**SETTINGS, "losses": ("hue:eq5",), "seeds": 1, "robustness": False})
    monkeypatch.setattr("hueprobe.training.trained.load_trained", lambda *_, **__: None)  # as it began
    hashes, real = [], trained_observing.memory_from_arrays

    def from_arrays(path, values, *given, **options):
        hashes.append((options["hashes"], sha256(values[0].tobytes()).hexdigest()))
        return real(path, values, *given, **options)

    monkeypatch.setattr(trained_observing, "memory_from_arrays", from_arrays)
    (fresh,) = run_comparison(table, tmp_path, settings)
    trained = runs[2].observed
    assert fresh.curve == runs[2].curve
    ((of_images, of_activations),) = hashes  # blocks are dealt by images: the same for every network
    assert len(set(of_images)) == 12 and of_activations not in of_images
    for name in ("full direction", "angle, head's plane above random", "information, same less other"):
        assert fresh.observed.numbers[name] != trained.numbers[name], name


def test_two_processes_share_the_runs(table, tmp_path, monkeypatch):
    """While a process holds a run another goes on with the rest, and waits for it in the end."""
    settings = ComparisonSettings(**{**SETTINGS, "seeds": 1, "observe": "none"})
    order, real = [], module.train_run

    def train_run(run, *given, **options):
        order.append(run.loss)
        if len(order) == 2:  # the other process ends without having finished its run
            holder.close()
        real(run, *given, **options)

    monkeypatch.setattr(module, "train_run", train_run)
    (tmp_path / "running").mkdir()
    with (tmp_path / "running" / "onehot_seed0_test_lr0.001.lock").open("a") as holder:
        fcntl.flock(holder, fcntl.LOCK_EX)
        runs = run_comparison(table, tmp_path, settings)
    assert order == ["hue:eq5:weight0", "hue:eq5", "onehot"]
    assert [run.loss for run in runs] == list(SETTINGS["losses"]) and not list(
        (tmp_path / "running").iterdir()
    )


def test_folds_cover_each_image_once_and_bad_images_are_named(table, tmp_path):
    folds = list(module._parts(table, ComparisonSettings(**SETTINGS, folds=3)))
    assert [name for name, _ in folds] == ["fold1", "fold2", "fold3"]
    tested = [path for _, part in folds for path in part.where_split("test").paths]
    assert sorted(tested) == sorted(table.paths)
    with pytest.raises(InputError, match="no parts 'train' and 'test'"):
        list(module._parts(images.from_folder(table.roots[0]), ComparisonSettings(**SETTINGS)))
    with pytest.raises(InputError, match="folds is 30"):
        list(module._parts(table, ComparisonSettings(**SETTINGS, folds=30)))
    bad = tmp_path / "bad"
    for number, path in enumerate(table.paths):
        (bad / path).parent.mkdir(parents=True, exist_ok=True)
        (bad / path).write_bytes(table.file(number).read_bytes() if number else b"cut")
    with pytest.warns(HueprobeWarning, match="1 images could not be read and are left out: a/0.png"):
        module._load(table.relocated(bad), 40, 0)


@pytest.mark.parametrize("wrong, text", [
    ({"losses": ()}, "losses are none"), ({"losses": ("onehot", "onehot")}, "each once"),
    ({"seeds": 0}, "seeds is 0"), ({"folds": 1}, "folds is 1"), ({"learning_rates": ()}, "rate"),
    ({"primary": "smooth"}, "primary loss 'smooth'"), ({"observe": "all"}, "images to observe 'all'"),
    ({"observe_crop": -1}, "observe_crop is -1"),
])  # fmt: skip
def test_settings_without_sense_are_refused(wrong, text):
    with pytest.raises(InputError, match=text):
        ComparisonSettings(**{**SETTINGS, **wrong})


def test_settings_are_written_before_anything_is_trained(table, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "train_run", lambda *_, **__: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        run_comparison(table, tmp_path, ComparisonSettings(**SETTINGS))
    assert json.loads((tmp_path / "comparison.json").read_text())["primary"] == "hue:eq5"


def test_a_study_of_images_that_changed_since_is_not_gone_on_with(tmp_path, monkeypatch):
    for row in range(8):
        file = tmp_path / "images" / "ab"[row % 2] / f"{row}.bmp"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (24, 24), (row, 0, 0)).save(file)
    table = images.from_folder(tmp_path / "images")
    table = dataclasses.replace(table, splits=("train", "test") * 4)
    monkeypatch.setattr(module, "train_run", lambda *_, **__: (_ for _ in ()).throw(ZeroDivisionError))
    settings = ComparisonSettings(**SETTINGS)
    for _ in range(2):
        with pytest.raises(ZeroDivisionError):
            run_comparison(table, tmp_path / "study", settings)
    Image.new("RGB", (24, 24), (0, 0, 99)).save(file)
    with pytest.raises(InputError, match="before they changed"):
        run_comparison(table, tmp_path / "study", settings)
    path = tmp_path / "study" / "comparison.json"
    old = json.loads(path.read_text())
    del old["content"]  # as version 0.1 wrote it
    path.write_text(json.dumps(old))
    with pytest.raises(ZeroDivisionError):
        run_comparison(table, tmp_path / "study", settings)
