"""Bottleneck activations of a trained network as arrays, for observations, which do not import torch."""

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
        Rows of the images that could be read.
    hashes : tuple of str
        SHA-256 of the network's input for each image: the same for every network.
    """

    values: np.ndarray
    rows: np.ndarray
    hashes: tuple[str, ...]


def bottleneck_activations(
    network: nn.Module, tap: Tap, images: TrainingImages, settings: TrainingSettings
) -> BottleneckActivations:
    """Return a network's bottleneck activations for the center crops of images, in float32.

    Parameters
    ----------
    network : nn.Module
        The network; its mode is restored afterwards.
    tap : Tap
        The bottleneck, as `fresh_network` returns it.
    images : TrainingImages
        Images to run through the network.
    settings : TrainingSettings
        Only batch_size, crop and device are used.
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

    The result is None if there is no hue head, or if the head is not a single linear layer from pooled
    activations to two numbers.
    """
    head = dict(objective.beside.named_children()).get("head")
    if not isinstance(head, HueHead) or head.input != "pooled" or len(head.layers) != 1:
        return None
    weight = head.layers[0].weight
    assert isinstance(weight, torch.Tensor)
    return weight.detach().double().cpu().numpy() if weight.shape[0] == 2 else None
