"""What a run leaves: weights under the network's own names, and a record of what they are."""

import json
from dataclasses import replace

import pytest
import safetensors.torch
import torch
from torch import nn

from hueprobe import images as tables
from hueprobe.errors import InputError, WeightsError
from hueprobe.training import Objective, load_images, read_trained, save_trained, train
from hueprobe.training.trained import load_trained, save_beside
from tests.training.conftest import hue_objective, small_network


def saved(folder, objective, run, images, settings, **options):
    return save_trained(
        objective, run, images, settings, backbone="small", begun_from="none",
        weights=folder / "weights.safetensors", config=folder / "config.json", **options,
    )  # fmt: skip


def same(first, second):
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


def test_the_weights_are_the_networks_own_and_the_record_says_whose(images, test_images, settings, tmp_path):
    objective = hue_objective()
    run = train(objective, images, settings, test=test_images)
    told = saved(tmp_path, objective, run, images, settings, test=test_images, head={"project": True})
    state = safetensors.torch.load_file(tmp_path / "weights.safetensors")
    alone = small_network()
    alone.load_state_dict(state)  # strict: nothing of the head, nothing under another name
    batch = torch.rand(5, 3, 10, 10)
    torch.testing.assert_close(alone.eval()(batch), objective.network.eval()(batch))
    assert read_trained(tmp_path / "config.json") == told
    document = json.loads((tmp_path / "config.json").read_text())
    assert document["classes"] == ["red", "green", "blue"] and document["loss"] == "hue"
    assert document["training"]["learning_rate"] == 0.02 and document["head"] == {"project": True}
    assert document["transform"]["resize"] is None and document["transform"]["crop"] == 10  # arrays
    assert document["test_accuracy"] == run.log[-1]["test_accuracy"] and document["n_test"] == 30


def test_a_run_without_test_images_has_no_accuracy_and_files_are_resized(
    folder_of_images, settings, tmp_path
):
    read = load_images(tables.from_folder(folder_of_images), side=12)
    objective = Objective(small_network())
    told = saved(tmp_path, objective, train(objective, read, replace(settings, epochs=1)), read, settings)
    assert told.test_accuracy is None and told.n_test == 0 and told.transform["resize"] == 12
    assert "NaN" not in (tmp_path / "config.json").read_text()


@pytest.mark.parametrize(
    "wrap", [nn.DataParallel, torch.compile, lambda net: torch.compile(nn.DataParallel(net))]
)
def test_wrappers_leave_no_trace_in_the_names(images, settings, tmp_path, wrap):
    plain = Objective(small_network())
    run = train(plain, images, replace(settings, epochs=1))
    saved(tmp_path, Objective(wrap(plain.network)), run, images, settings)
    assert same(safetensors.torch.load_file(tmp_path / "weights.safetensors"), plain.network.state_dict())


def test_an_objective_comes_back_bit_for_bit_and_into_its_own_kind_only(images, settings, tmp_path):
    objective = hue_objective()
    run = train(objective, images, settings)
    path, beside = tmp_path / "weights.safetensors", tmp_path / "beside.safetensors"
    saved(tmp_path, objective, run, images, settings)
    save_beside(beside, objective)
    other = hue_objective()
    load_trained(path, other, beside=beside)
    assert same(other.state_dict(), objective.state_dict())
    plain = Objective(small_network())
    save_beside(tmp_path / "none.safetensors", plain)
    assert not (tmp_path / "none.safetensors").exists()
    load_trained(path, plain, beside=beside)  # a network alone needs nothing beside it
    assert same(plain.network.state_dict(), objective.network.state_dict())
    with pytest.raises(WeightsError, match="does not hold the weights of objective 'onehot'"):
        load_trained(path, Objective(small_network(5)), beside=beside)
    beside.unlink()
    with pytest.raises(WeightsError, match="does not hold the weights of objective 'hue'"):
        load_trained(path, other, beside=beside)
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(WeightsError, match="remove it"):
        load_trained(path, other, beside=beside)


def test_weights_that_0_1_kept_come_back(images, settings, tmp_path):
    objective, other = hue_objective(), hue_objective()
    train(objective, images, replace(settings, epochs=1))
    kept = {name: value.contiguous() for name, value in objective.state_dict().items()}
    assert {name.split(".")[0] for name in kept} == {"network", "beside"}
    safetensors.torch.save_file(kept, tmp_path / "kept.safetensors")
    load_trained(tmp_path / "kept.safetensors", other, beside=tmp_path / "none")
    assert same(other.state_dict(), objective.state_dict())


@pytest.mark.parametrize("content, text", [
    (None, "cannot read"), ("{", "is no record of a trained network"), ("[]", "is no JSON object"),
    ('{"format": 1}', "lacks backbone"),
])  # fmt: skip
def test_a_record_that_is_none_is_refused(tmp_path, content, text):
    if content is not None:
        (tmp_path / "config.json").write_text(content)
    with pytest.raises(InputError, match=text):
        read_trained(tmp_path / "config.json")
