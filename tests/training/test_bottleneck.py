"""What a trained network shows at its bottleneck."""

import numpy as np
import torch

from hueprobe.training import Objective
from hueprobe.training.bottleneck import bottleneck_activations, head_directions
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
