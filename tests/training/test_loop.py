"""The loop: the same from one seed, exact after a stop, stopped by NaN with the step named."""

import csv
import math
import sys
from dataclasses import replace
from types import ModuleType

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from torch import nn

from hueprobe import progress
from hueprobe.errors import InputError, NumericsError, ShapeError
from hueprobe.training import Objective, TrainingSettings, predict_classes, train
from hueprobe.training.objective import gradient_shares
from tests.training.conftest import hue_objective, small_network


def weights_of(objective):
    return {name: value.clone() for name, value in objective.network.state_dict().items()}


def same(first, second):
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


def without_times(log):
    return [{k: v for k, v in row.items() if k not in ("seconds", "images_per_second")} for row in log]


def test_learns_logs_and_leaves_the_generators_alone(images, test_images, settings, tmp_path):
    before = torch.get_rng_state()
    objective = hue_objective()
    run = train(objective, images, replace(settings, epochs=15), test=test_images, folder=tmp_path)
    assert torch.equal(before, torch.get_rng_state())
    assert run.log[-1]["test_accuracy"] > 0.9 and run.log[-1]["loss_class"] < run.log[0]["loss_class"] / 2
    rates = [0.01 * (1 + math.cos(math.pi * epoch / 15)) for epoch in range(15)]
    assert [row["learning_rate"] for row in run.log] == pytest.approx(rates)
    assert all(row["steps"] == 5 for row in run.log)
    for row in run.log:
        assert row["loss"] == pytest.approx(row["loss_class"] + row["loss_hue"])
        assert 0 < row["share_hue"] < 1 and row["share_hue"] + row["share_class"] == pytest.approx(1)
    with (tmp_path / "log.csv").open() as file:
        assert [float(row["loss"]) for row in csv.DictReader(file)] == [row["loss"] for row in run.log]
    assert pq.read_table(tmp_path / "log.parquet").num_rows == 15
    predicted = predict_classes(objective.network, test_images, settings)
    assert float((predicted == test_images.targets.numpy()).mean()) == run.log[-1]["test_accuracy"]


def test_is_the_same_again_and_another_from_another_seed(images, settings):
    first, second, third = hue_objective(), hue_objective(), hue_objective()
    runs = [train(objective, images, settings) for objective in (first, second)]
    train(third, images, replace(settings, seed=1))
    assert same(weights_of(first), weights_of(second)) and not same(weights_of(first), weights_of(third))
    for row, other in zip(*(without_times(run.log) for run in runs), strict=True):
        assert row == pytest.approx(other, nan_ok=True, rel=0, abs=0)


def test_weight_zero_is_bitwise_the_one_hot_run(images, settings):
    plain, zero, one = Objective(small_network()), hue_objective(weight=0.0), hue_objective()
    for objective in (plain, zero, one):
        train(objective, images, settings)
    assert same(weights_of(plain), weights_of(zero))
    assert not same(weights_of(plain), weights_of(one))


@pytest.mark.parametrize("optimizer", ["adam", "sgd"])
def test_a_stopped_run_ends_as_the_undisturbed_one(images, test_images, settings, tmp_path, optimizer):
    settings = replace(settings, optimizer=optimizer)
    undisturbed = hue_objective()
    expected = train(undisturbed, images, settings, test=test_images)
    stopped = hue_objective()
    begin = stopped.start_epoch

    def until_the_third(epoch):
        begin(epoch)
        if epoch == 2:
            raise KeyboardInterrupt

    stopped.start_epoch = until_the_third
    with pytest.raises(KeyboardInterrupt):
        train(stopped, images, settings, test=test_images, folder=tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["checkpoint.pt", "log.csv"]
    resumed = hue_objective()
    found = train(resumed, images, settings, test=test_images, folder=tmp_path)
    assert same(weights_of(undisturbed), weights_of(resumed))
    assert without_times(found.log) == without_times(expected.log)
    again = train(hue_objective(), images, settings, test=test_images, folder=tmp_path)
    assert again.log == found.log  # finished: nothing is trained


def test_checkpoints_of_another_run_are_refused_with_the_difference(images, test_images, settings, tmp_path):
    train(hue_objective(), images, settings, folder=tmp_path)
    with pytest.raises(InputError, match="another run: seed was 0 and is 1"):
        train(hue_objective(), images, replace(settings, seed=1), folder=tmp_path)
    with pytest.raises(InputError, match="another run: objective was 'hue' and is 'onehot'"):
        train(Objective(small_network()), images, settings, folder=tmp_path)
    with pytest.raises(InputError, match="another run: data was"):
        train(hue_objective(), test_images, settings, folder=tmp_path)
    wider = nn.Sequential(*small_network(), nn.Linear(3, 3))
    with pytest.raises(InputError, match="checkpoint of another network"):
        train(hue_objective(network=wider), images, settings, folder=tmp_path)
    (tmp_path / "checkpoint.pt").write_bytes(b"cut off")
    with pytest.raises(InputError, match="no checkpoint that can be read"):
        train(hue_objective(), images, settings, folder=tmp_path)


def test_nan_stops_the_run_and_names_the_step(images, settings, tmp_path):
    objective = hue_objective()
    calls = iter(range(100))
    objective.terms["odd"] = lambda targets: torch.tensor(math.nan if next(calls) == 7 else 0.0)
    with pytest.raises(NumericsError, match="loss is nan in step 3 of epoch 2; lower the learning rate"):
        train(objective, images, settings, folder=tmp_path)
    saved = torch.load(tmp_path / "checkpoint.pt", weights_only=True)
    assert saved["epochs_done"] == 1
    assert all(torch.isfinite(value).all() for value in saved["state"]["objective"].values())


def test_networks_that_do_not_classify_so_many_classes_are_refused(images, settings):
    with pytest.raises(InputError, match="target 2 is no class; with 2 classes"):
        train(Objective(small_network(2)), images, settings)
    with pytest.raises(ShapeError, match=r"must give logits \(B, classes\)"):
        train(Objective(small_network()[:3]), images, settings)


def test_bf16_trains_too(images, settings):
    run = train(hue_objective(), images, replace(settings, precision="bf16"))
    assert run.log[-1]["loss_class"] < run.log[0]["loss_class"]


def test_shares_are_norms_of_gradients_by_hand():
    stem = torch.tensor([3.0, 4.0], requires_grad=True)
    terms = {"class": (stem**2).sum() / 2, "hue": 5 * stem[0], "none": torch.tensor(1.0)}
    assert gradient_shares(terms, stem) == {"class": 0.5, "hue": 0.5, "none": 0.0}  # norms 5, 5, 0
    assert gradient_shares({"none": torch.tensor(1.0)}, stem) == {"none": 0.0}
    assert stem.grad is None


def test_evaluation_leaves_each_module_in_its_mode(images, settings):
    network = small_network().train()
    network[1].eval()
    predicted = predict_classes(network, images, settings)
    assert predicted.shape == (40,) and not network[1].training and network[5].training
    moved = predict_classes(network, images, settings, perturb=torch.zeros_like)
    assert len(np.unique(moved)) == 1


@pytest.mark.parametrize("wrong, text", [
    ({"epochs": 0}, "epochs is 0"), ({"batch_size": 1}, "batch_size is 1"),
    ({"optimizer": "lion"}, "adam, sgd"),
    ({"learning_rate": math.inf}, "learning_rate is inf"), ({"precision": "fp8"}, "fp32, bf16"),
    ({"weight_decay": -1.0}, "weight_decay is"),
])  # fmt: skip
def test_settings_out_of_range_are_refused(wrong, text):
    with pytest.raises(InputError, match=text):
        TrainingSettings(**wrong)


def test_logs_to_tensorboard_where_asked_and_says_where_it_is_not_there(
    images, settings, tmp_path, monkeypatch
):
    added, made = [], []

    class SummaryWriter:  # as torch.utils.tensorboard's
        def __init__(self, folder, purge_step):
            made.append((folder, purge_step))

        def add_scalar(self, name, value, step):
            added.append((step, name, value))

        def flush(self):
            pass

        def __enter__(self):
            return self

        def __exit__(self, *_):
            made.append("closed")

    there = ModuleType("torch.utils.tensorboard")
    there.SummaryWriter = SummaryWriter
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", there)
    run = train(hue_objective(), images, settings, folder=tmp_path, tensorboard=True)
    assert made == [(str(tmp_path), 1), "closed"]
    assert [value for _, name, value in added if name == "loss"] == [row["loss"] for row in run.log]
    assert {step for step, *_ in added} == {1, 2, 3, 4}
    assert "test_accuracy" not in {name for _, name, _ in added}  # NaN without test images
    train(hue_objective(), images, settings, folder=tmp_path, tensorboard=True)
    assert made[2] == (str(tmp_path), 5)

    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.raises(InputError, match="asked for and not installed; `pip install tensorboard`"):
        train(hue_objective(), images, settings, folder=tmp_path / "other", tensorboard=True)
    with pytest.raises(InputError, match="without a folder"):
        train(hue_objective(), images, settings, tensorboard=True)


def test_progress_tells_loss_and_accuracy(images, test_images, settings, capsys, monkeypatch):
    monkeypatch.setattr(progress, "SECONDS_BETWEEN_LINES", 0.0)
    run = train(Objective(small_network()), images, settings, test=test_images, progress=True)
    lines = capsys.readouterr().err.splitlines()
    for number, (row, line) in enumerate(zip(run.log, lines, strict=True), 1):
        assert line.startswith(f"training: {number}/4 epochs, ")
        assert line.endswith(f"; loss {row['loss']:.4f}, test accuracy {row['test_accuracy']:.3f}")
    alone = train(Objective(small_network()), images, settings, progress=True).log[-1]
    assert capsys.readouterr().err.endswith(f"; loss {alone['loss']:.4f}\n")
