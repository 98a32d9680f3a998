"""Objectives by name, on a real ResNet: each trains, weight 0 is one-hot, controls do what they say."""

import pytest
import torch
from torch import nn

from hueprobe.errors import BackboneError, InputError, LayerError
from hueprobe.training import TrainingSettings, fresh_network, images_from_arrays, objective_named, train
from hueprobe.training.objective import gradient_shares
from hueprobe.training.objectives import KNOWN, parse_names
from tests.training.conftest import colored

pytestmark = pytest.mark.slow

SETTINGS = TrainingSettings(epochs=2, batch_size=6, crop=32, device="cpu")


def images():
    pixels, targets = colored(12, 0)
    return images_from_arrays(pixels.repeat(3, 2).repeat(3, 3), targets, class_names="abc")


def trained(name, epochs=1):
    network, tap = fresh_network("resnet18", 3, seed=0)
    with objective_named(name, network, 3, tap=tap, image_size=32, seed=0) as objective:
        settings = TrainingSettings(**{**SETTINGS.to_json(), "epochs": epochs})
        run = train(objective, images(), settings)
        extra = sum(p.numel() for p in objective.parameters()) - sum(p.numel() for p in network.parameters())
    assert not any(part._forward_hooks or part._forward_pre_hooks for part in network.modules())
    return network, run, extra


@pytest.fixture(scope="module")
def onehot():
    return trained("onehot", epochs=2)[0].state_dict()


@pytest.mark.parametrize("name", ["hue:eq5:weight0", "hue:eq5:detached"])
def test_weight_zero_and_a_detached_head_are_bitwise_one_hot(name, onehot):
    network, run, extra = trained(name, epochs=2)
    assert all(torch.equal(onehot[key], value) for key, value in network.state_dict().items())
    assert run.log[0]["share_hue"] == 0 and extra == 2 * 512 + 2


@pytest.mark.parametrize("name, extra", [
    ("hue:eq5", 1026), ("hue:l2+smooth", 1026), ("hue:chord:8d", 8 * 513), ("hue:eq5:shuffled", 1026),
    ("auxiliary", 3 * 513), ("al2+catchup", 0), ("maxdropout+dropout", 0),
])  # fmt: skip
def test_each_trains_another_network_than_one_hot(name, extra, onehot):
    network, run, found = trained(name, epochs=2)
    assert found == extra
    assert any(not torch.equal(onehot[key], value) for key, value in network.state_dict().items())
    assert all(row["loss"] > 0 for row in run.log)
    if name.startswith(("hue", "auxiliary")):
        assert 0 < run.log[0]["share_hue" if name.startswith("hue") else "share_auxiliary"] < 1


def test_the_share_of_eq5_is_small_at_first():
    network, tap = fresh_network("resnet18", 10, seed=0)
    with objective_named("hue:eq5", network, 10, tap=tap, image_size=32, seed=0) as objective:
        batch = torch.randn(8, 3, 32, 32, generator=torch.Generator().manual_seed(0))
        shares = gradient_shares(objective(batch, torch.arange(8)), objective.watch.output())
    assert 0.005 < shares["hue"] < 0.2


def test_networks_are_made_under_a_seed_and_not_calibrated():
    first, tap = fresh_network("resnet18", 5, seed=3)
    second, _ = fresh_network("resnet18", 5, seed=3)
    assert tap.layer == "layer4" and first.training and first.fc.out_features == 5
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), second.parameters(), strict=True))
    assert float(first.bn1.running_var.sub(1).abs().max()) == 0
    squeeze, tap = fresh_network("squeezenet1_1", 5, seed=0)
    assert tap.layer == "features" and squeeze(torch.zeros(2, 3, 64, 64)).shape == (2, 5)


def test_names_are_known_or_refused_with_all_of_them():
    assert parse_names("hue:eq5:3d+smooth+al2") == ["hue:eq5:3d", "smooth", "al2"]
    for wrong in ("hue", "hue:eq6", "hue:eq5:4d", "smooth:", "hue:eq5:", "", "one hot"):
        with pytest.raises(InputError, match="unknown loss") as found:
            parse_names(wrong)
        assert all(name in str(found.value) for name in KNOWN)
    with pytest.raises(InputError, match="one kind twice"):
        parse_names("hue:eq5+hue:l2")


def test_networks_without_stages_ask_for_them():
    network, tap = fresh_network("mobilenet_v3_small", 3, seed=0)
    options = {"tap": tap, "image_size": 32, "seed": 0}
    with pytest.raises(LayerError, match=r"no layer1 .*\(--stage\), from: features, avgpool, classifier"):
        objective_named("maxdropout", network, 3, **options).__enter__()
    with objective_named("maxdropout", network, 3, **options, stages=["features.3"]) as objective:
        assert objective.network is network
    with pytest.raises(BackboneError, match="unknown backbone 'resnet19'"):
        fresh_network("resnet19", 3, seed=0)
    assert not any(isinstance(part, nn.Dropout) and part._forward_hooks for part in network.modules())
