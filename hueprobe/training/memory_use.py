"""Memory cost of a training step, the same on every device and in every run."""

import torch
from torch import Tensor

from hueprobe.activations.devices import choose_device
from hueprobe.training.images import TrainingImages
from hueprobe.training.loop import autocasting
from hueprobe.training.objective import Objective
from hueprobe.training.settings import TrainingSettings


def bytes_kept(objective: Objective, images: TrainingImages, settings: TrainingSettings) -> int:
    """Return the bytes that one forward pass keeps for the backward pass, counting each storage once.

    The network's weights are included; gradients and the optimizer's state are not. The pass is in training
    mode and updates BatchNorm's statistics, so measure after the last use of the network.

    Parameters
    ----------
    objective : Objective
        The network with its loss terms.
    images : TrainingImages
        Images, of which the first batch of epoch 0 is used.
    settings : TrainingSettings
        Batch size, augmentation, precision, device and seed.
    """
    device = choose_device(settings.device)
    batches = images.shuffled_batches(
        batch_size=settings.batch_size, crop=settings.crop, flip=settings.flip, seed=settings.seed, epoch=0,
        device=device,
    )  # fmt: skip
    batch, targets = next(batches)
    kept: dict[int, int] = {}

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    objective.train()
    objective.start_epoch(0)
    with (
        torch.random.fork_rng(devices=[device] if device.type == "cuda" else []),
        torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor),
        autocasting(device, settings.precision),
    ):
        torch.default_generator.manual_seed(settings.seed)
        terms = objective(batch, targets)
    total = sum(kept.values())
    del terms  # kept alive until here, since the address of a freed storage could be reused
    return total
