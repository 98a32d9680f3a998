"""What a trained network shows at its bottleneck, and its weights on disk."""

import numpy as np
import pytest
import torch

from hueprobe.errors import WeightsError
from hueprobe.training import Objective, train
from hueprobe.training.bottleneck import bottleneck_activations, head_directions
from hueprobe.training.trained import load_trained, save_trained
from tests.training.conftest import hue_objective, small_network


def test_activations_are_those_of_the_center_crops(images, settings):
    objective = hue_objective()
    images.skipped[7] = ("a.png", "cut off")
    chosen = images.select(np.array([7, 3]))
    del images.skipped[7]
    seen = bottleneck_activations(objective.network, objective.watch.tap, chosen, settings)
    assert seen.rows.tolist() == [1] and len(seen.hashes) == 1 and objective.network.training
    ((batch, _),) = images.select(np.array([3])).batches(batch_size=1, crop=10, device=torch.device("cpu"))
    network = objective.network.eval()
    np.testing.assert_allclose(seen.values, network[:3](batch).detach().numpy(), rtol=1e-6)
    whole = bottleneck_activations(network, objective.watch.tap, images, settings)
    assert len(set(whole.hashes)) == 40 and whole.hashes[3] == seen.hashes[0]


def test_the_heads_directions_are_its_weights_or_none(images, settings):
    objective = hue_objective()
    head = objective.beside["head"]
    np.testing.assert_array_equal(head_directions(objective), head.layers[0].weight.detach().numpy())
    assert head_directions(Objective(small_network())) is None


def test_trained_weights_come_back_bit_for_bit_and_into_their_own_kind_only(images, settings, tmp_path):
    objective, path = hue_objective(), tmp_path / "w.safetensors"
    train(objective, images, settings)
    save_trained(path, objective)
    other = hue_objective()
    load_trained(path, other)
    for name, value in objective.state_dict().items():
        assert torch.equal(value, other.state_dict()[name]), name
    with pytest.raises(WeightsError, match="does not hold the weights of objective 'onehot'"):
        load_trained(path, Objective(small_network()))
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(WeightsError, match="remove it"):
        load_trained(path, other)
