"""What a trained network's bottleneck shows, for observations that know no torch."""

import hashlib
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from hueprobe.activations.devices import choose_device
from hueprobe.activations.hooks import Tap, evaluating
from hueprobe.training.heads import HueHead
from hueprobe.training.images import TrainingImages
from hueprobe.training.layer_watch import LayerWatch
from hueprobe.training.objective import Objective
from hueprobe.training.settings import TrainingSettings


@dataclass(frozen=True)
class BottleneckActivations:
    """Activations of images at the bottleneck.

    Attributes
    ----------
    values : ndarray of float32, shape (n, C, H, W)
        After the closing nonlinearity.
    rows : ndarray of int64, shape (n,)
        Which images: those that could be read.
    hashes : tuple of str
        sha256 of what the network got of each image: the same for every network.
    """

    values: np.ndarray
    rows: np.ndarray
    hashes: tuple[str, ...]


def bottleneck_activations(
    network: nn.Module, tap: Tap, images: TrainingImages, settings: TrainingSettings
) -> BottleneckActivations:
    """Return what a network gives at its bottleneck for the center crops of images, in float32.

    Parameters
    ----------
    network : nn.Module
        Its mode is the same afterwards.
    tap : Tap
        As `fresh_network` gives it.
    images : TrainingImages
    settings : TrainingSettings
        Of them batch_size, crop and device play a part.
    """
    device = choose_device(settings.device)
    network.to(device)
    grids, rows, hashes = [], [], []
    with torch.no_grad(), evaluating(network), LayerWatch(network, tap=tap) as watch:
        for batch, numbers in images.batches(
            batch_size=settings.batch_size, crop=settings.crop, device=device
        ):
            network(batch)
            grids.append(watch.grid().float().cpu().numpy())
            rows.append(numbers)
            hashes += [hashlib.sha256(one.tobytes()).hexdigest() for one in batch.cpu().numpy()]
    return BottleneckActivations(np.concatenate(grids), np.concatenate(rows), tuple(hashes))


def head_directions(objective: Objective) -> np.ndarray | None:
    """Return the two directions (2, C) of activation space that an objective's hue head reads.

    None where there is no hue head, or it is not one linear layer from pooled activations to two numbers.
    """
    head = dict(objective.beside.named_children()).get("head")
    if not isinstance(head, HueHead) or head.input != "pooled" or len(head.layers) != 1:
        return None
    weight = head.layers[0].weight
    assert isinstance(weight, torch.Tensor)
    return weight.detach().double().cpu().numpy() if weight.shape[0] == 2 else None
