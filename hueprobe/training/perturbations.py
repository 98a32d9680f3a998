"""Perturbations of test images: noise, blur and reduced contrast, at three severities each."""

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn

from hueprobe.errors import InputError, require_choice
from hueprobe.images.transform import IMAGENET_MEAN, IMAGENET_STD

# Noise: standard deviation for pixels from 0 to 1. Blur: standard deviation as a share of the image's side.
# Contrast: factor of the difference from the image's mean.
SEVERITIES = {"noise": (0.05, 0.1, 0.2), "blur": (0.01, 0.02, 0.04), "contrast": (0.6, 0.4, 0.2)}


def perturbation(kind: str, severity: int, *, seed: int) -> Callable[[Tensor], Tensor]:
    """Return a function that perturbs normalized images (B, 3, h, w), with pixels clipped to 0-1.

    Parameters
    ----------
    kind : str
        `noise`, `blur` or `contrast`.
    severity : int
        1 to 3; see `SEVERITIES`.
    seed : int
        Seed of the noise, which is drawn batch after batch.

    Raises
    ------
    InputError
        The kind or the severity is unknown.
    """
    require_choice("perturbation", kind, SEVERITIES)
    if not 1 <= severity <= len(SEVERITIES[kind]):
        raise InputError(f"severity of {kind} is {severity}; it must be 1 to {len(SEVERITIES[kind])}")
    strength = SEVERITIES[kind][severity - 1]
    generator = torch.Generator().manual_seed(seed)

    def perturb(batch: Tensor) -> Tensor:
        mean, std = (
            torch.tensor(values, device=batch.device)[:, None, None]
            for values in (IMAGENET_MEAN, IMAGENET_STD)
        )
        pixels = batch * std + mean
        if kind == "noise":
            pixels = pixels + strength * torch.randn(pixels.shape, generator=generator).to(batch.device)
        elif kind == "blur":
            pixels = _blurred(pixels, strength * pixels.shape[-1])
        else:
            middle = pixels.mean((1, 2, 3), keepdim=True)
            pixels = middle + strength * (pixels - middle)
        return (pixels.clamp(0, 1) - mean) / std

    return perturb


def _blurred(pixels: Tensor, deviation: float) -> Tensor:
    """Blur by a Gaussian of this standard deviation in pixels, replicating the border."""
    reach = min(math.ceil(3 * deviation), pixels.shape[-1] - 1)
    places = torch.arange(-reach, reach + 1, device=pixels.device, dtype=pixels.dtype)
    kernel = torch.exp(-0.5 * (places / deviation) ** 2)
    kernel = (kernel / kernel.sum()).expand(3, 1, 1, -1)
    padded = nn.functional.pad(pixels, (reach, reach, reach, reach), mode="replicate")
    across = nn.functional.conv2d(padded, kernel, groups=3)
    return nn.functional.conv2d(across, kernel.transpose(2, 3), groups=3)
