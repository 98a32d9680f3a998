"""Networks with random weights whose activations have an ordinary size.

Fresh BatchNorm in eval mode knows nothing of its input: layer by layer, activations vanish or explode
until every comparison of them is blind. So each BatchNorm takes its statistics from one pass over
random images first.

Sums depend in their last digits on the number of threads and on the processor's instructions. So the pass is
done in double precision and its statistics are rounded far above those digits, which show only where a
statistic lies within 1e-8 of its step of the border between two (one network in thousands). What is left are
torch's own draws: the same for any number of threads, but not for all kinds of processors and all versions.
"""

import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from hueprobe.errors import HueprobeWarning

N_CALIBRATION_IMAGES = 16  # with 4, a random EfficientNet still explodes a thousandfold on photographs
STATISTICS_BITS = 16  # of the rounded statistics: a relative 1e-5, where double precision's noise is 1e-13


@contextmanager
def own_randomness(seed: int) -> Iterator[None]:
    """Draw from torch's CPU generator under `seed` in the block, and leave it as it was before."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        yield


def random_images(
    n: int, size: tuple[int, int], *, seed: int, channels: int = 3, dtype: torch.dtype = torch.float32
) -> Tensor:
    """Return (n, channels, h, w) images of blobs of every size, with mean 0 and variance 1.

    Noise of one cell, 2 x 2 cells, 4 x 4, ... is stretched over the image and summed, so that the
    spectrum falls with frequency as a photograph's does; white noise would leave random kernels, and
    so BatchNorm, with another scale than photographs do.
    """
    generator = torch.Generator().manual_seed(seed)
    images = torch.zeros(n, channels, *size, dtype=dtype)
    n_cells = 1
    while n_cells <= max(size):
        noise = torch.randn(n, channels, n_cells, n_cells, generator=generator).to(dtype)
        images += nn.functional.interpolate(noise, size=size, mode="bilinear", align_corners=False)
        n_cells *= 2
    return (images - images.mean()) / images.std()


def calibrate_batchnorm(
    module: nn.Module, size: tuple[int, int], *, seed: int, channels: int = 3, rounded: bool = True
) -> None:
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
    rounded : bool
        Compute in double precision and round. Otherwise compute as version 0.1 did, in the network's own
        precision: then the last digits depend on the number of threads.
    """
    module.eval()
    norms = {
        name: part
        for name, part in module.named_modules()
        if isinstance(part, _BatchNorm) and part.track_running_stats
    }
    if not norms:
        return
    momenta = [norm.momentum for norm in norms.values()]
    for norm in norms.values():
        norm.reset_running_stats()
        norm.momentum = None
        norm.train()
    try:
        with torch.no_grad():
            failure = (
                _take_rounded_statistics(module, norms, size, seed=seed, channels=channels)
                if rounded
                else None
            )
            if failure is not None or not rounded:
                module(random_images(N_CALIBRATION_IMAGES, size, seed=seed, channels=channels))
    finally:
        for norm, momentum in zip(norms.values(), momenta, strict=True):
            norm.momentum = momentum
        module.eval()
    if failure is not None:
        warnings.warn(
            f"{type(module).__name__} cannot compute in double precision ({' '.join(str(failure).split())}), "
            "so the last digits of its random weights' BatchNorm statistics depend on the number of threads",
            HueprobeWarning,
            stacklevel=2,
        )


def _take_rounded_statistics(
    module: nn.Module, norms: Mapping[str, _BatchNorm], size: tuple[int, int], *, seed: int, channels: int
) -> Exception | None:
    """Do so, and return what the network raises where it cannot compute in double precision."""
    tensors = _double_copies(module)
    images = random_images(N_CALIBRATION_IMAGES, size, seed=seed, channels=channels, dtype=torch.float64)
    try:
        torch.func.functional_call(module, tensors, (images,), tie_weights=False)
    except Exception as error:  # where it fails in single precision too, it raises there
        return error
    for name, norm in norms.items():
        prefix = f"{name}." if name else ""
        mean, variance = _rounded(
            tensors[f"{prefix}running_mean"], tensors[f"{prefix}running_var"], eps=norm.eps
        )
        for own, taken in ((norm.running_mean, mean), (norm.running_var, variance)):
            assert own is not None
            own.copy_(taken)
        assert norm.num_batches_tracked is not None
        norm.num_batches_tracked.fill_(1)
    return None


def _rounded(mean: Tensor, variance: Tensor, *, eps: float) -> tuple[Tensor, Tensor]:
    """Round to steps that are a small share of the standard deviation, and of the variance.

    Of the channel's own, with eps: a mean that is zero but for noise must not keep the noise's digits.
    """
    _, exponent = torch.frexp(variance + eps)
    one = torch.ones_like(variance)
    step = torch.ldexp(one, exponent - STATISTICS_BITS)
    step_of_mean = torch.ldexp(one, exponent // 2 - STATISTICS_BITS)
    rounded = (mean / step_of_mean).round() * step_of_mean
    return rounded + 0.0, (variance / step).round() * step  # + 0.0: no zero keeps its noise's sign


def _double_copies(module: nn.Module) -> dict[str, Tensor]:
    """Return a network's parameters and buffers by name, floats in double precision; tied ones stay tied."""
    own = {
        **dict(module.named_parameters(remove_duplicate=False)),
        **dict(module.named_buffers(remove_duplicate=False)),
    }
    copies: dict[int, Tensor] = {}
    for tensor in own.values():
        dtype = torch.float64 if tensor.is_floating_point() else tensor.dtype
        copies.setdefault(id(tensor), tensor.detach().to(dtype, copy=True))
    return {name: copies[id(tensor)] for name, tensor in own.items()}
