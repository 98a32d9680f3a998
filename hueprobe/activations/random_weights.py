"""Networks with random weights whose activations have an ordinary size.

Fresh BatchNorm in eval mode knows nothing of its input: layer by layer, activations vanish or explode
until every comparison of them is blind. So each BatchNorm takes its statistics from one pass over
random images first.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

N_CALIBRATION_IMAGES = 16  # with 4, a random EfficientNet still explodes a thousandfold on photographs


@contextmanager
def own_randomness(seed: int) -> Iterator[None]:
    """Draw from torch's CPU generator under `seed` in the block, and leave it as it was before."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        yield


def random_images(n: int, size: tuple[int, int], *, seed: int, channels: int = 3) -> Tensor:
    """Return (n, channels, h, w) images of blobs of every size, with mean 0 and variance 1.

    Noise of one cell, 2 x 2 cells, 4 x 4, ... is stretched over the image and summed, so that the
    spectrum falls with frequency as a photograph's does; white noise would leave random kernels, and
    so BatchNorm, with another scale than photographs do.
    """
    generator = torch.Generator().manual_seed(seed)
    images = torch.zeros(n, channels, *size)
    n_cells = 1
    while n_cells <= max(size):
        noise = torch.randn(n, channels, n_cells, n_cells, generator=generator)
        images += nn.functional.interpolate(noise, size=size, mode="bilinear", align_corners=False)
        n_cells *= 2
    return (images - images.mean()) / images.std()


def calibrate_batchnorm(module: nn.Module, size: tuple[int, int], *, seed: int, channels: int = 3) -> None:
    """Set the running statistics of every BatchNorm from one pass over a fixed batch.

    Parameters
    ----------
    module : nn.Module
        On the CPU; its BatchNorms run in train mode with momentum None, which makes the running
        statistics those of this batch, while dropout and the like stay off. Left in eval mode.
    size : (int, int)
        Height and width of the images that the network will see.
    seed : int
        Of the batch.
    channels : int
        Of the images.
    """
    module.eval()
    norms = [part for part in module.modules() if isinstance(part, _BatchNorm) and part.track_running_stats]
    if not norms:
        return
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None
        norm.train()
    try:
        with torch.no_grad():
            module(random_images(N_CALIBRATION_IMAGES, size, seed=seed, channels=channels))
    finally:
        for norm, momentum in zip(norms, momenta, strict=True):
            norm.momentum = momentum
        module.eval()
