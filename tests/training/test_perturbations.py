"""Perturbed images: what each kind does to means and spreads."""

import pytest
import torch

from hueprobe.errors import InputError
from hueprobe.images.transform import IMAGENET_MEAN, IMAGENET_STD
from hueprobe.training.perturbations import SEVERITIES, perturbation

MEAN, STD = (torch.tensor(values)[:, None, None] for values in (IMAGENET_MEAN, IMAGENET_STD))


def pixels_after(kind, severity, pixels):
    return perturbation(kind, severity, seed=0)((pixels - MEAN) / STD) * STD + MEAN


def test_noise_has_its_deviation_and_is_the_same_again():
    gray = torch.full((2, 3, 50, 50), 0.5)
    for severity, deviation in enumerate(SEVERITIES["noise"], 1):
        assert float(pixels_after("noise", severity, gray).std()) == pytest.approx(deviation, rel=0.05)
    assert torch.equal(pixels_after("noise", 1, gray), pixels_after("noise", 1, gray))


def test_contrast_keeps_the_mean_and_shrinks_the_rest():
    pixels = 0.3 + 0.4 * torch.rand(2, 3, 9, 9, generator=torch.Generator().manual_seed(0))
    found = pixels_after("contrast", 2, pixels)
    middle = pixels.mean((1, 2, 3), keepdim=True)
    assert torch.allclose(found - middle, 0.4 * (pixels - middle), atol=1e-5)


def test_blur_keeps_a_flat_image_and_spreads_a_point_as_a_gaussian():
    flat = torch.full((1, 3, 20, 20), 0.7)
    assert torch.allclose(pixels_after("blur", 3, flat), flat, atol=1e-5)
    point = torch.zeros(1, 3, 101, 101)
    point[..., 50, 50] = 1
    found = pixels_after("blur", 2, point)[0, 0]
    places = torch.arange(101.0) - 50
    assert float(found.sum()) == pytest.approx(1, abs=2e-2)  # float32 around ImageNet's mean
    assert float((found.sum(0) * places**2).sum()) == pytest.approx(2.02**2, rel=0.05)


def test_unknown_kinds_and_severities_are_refused():
    with pytest.raises(InputError, match="noise, blur, contrast"):
        perturbation("rain", 1, seed=0)
    with pytest.raises(InputError, match="severity of blur is 4; it must be 1 to 3"):
        perturbation("blur", 4, seed=0)
