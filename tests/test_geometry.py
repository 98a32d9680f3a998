"""Angles on an exact case: a network that is mirrored and turned with the image.

Its kernels are symmetric under mirroring and quarter turns, its padding is too, and its input of
225 = 32 * 7 + 1 pixels leaves strides no side to prefer. (At 224 a stock network is not equivariant.)
"""

import numpy as np
import pytest
import torch

from hueprobe import KernelDensityClassifier, images, memory_from_arrays
from hueprobe.activations import Extractor, load_backbone
from hueprobe.observations.energy import measure as measure_energy
from hueprobe.observations.locations import class_positions
from hueprobe.stats.circular import difference, mirror, quarter_turn

pytestmark = pytest.mark.slow

N, CLASSES = 24, ("a", "b", "c")


def symmetric_network():
    """Five convolutions of stride 2 with kernels symmetrised over the eight symmetries of the square."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        layers = []
        for inside, outside in ((3, 8), (8, 12), (12, 16), (16, 16), (16, 20)):
            layer = torch.nn.Conv2d(inside, outside, 3, stride=2, padding=1)
            with torch.no_grad():
                turned = [
                    torch.rot90(k, t, (2, 3)) for k in (layer.weight, layer.weight.flip(3)) for t in range(4)
                ]
                layer.weight.copy_(torch.stack(turned).mean(0) * 3)
            layers += [layer, torch.nn.ReLU()]
        return torch.nn.Sequential(*layers).eval()


@pytest.fixture(scope="module")
def blobs():
    """Blobs in places that each class prefers, (N, 3, 225, 225)."""
    rng = np.random.default_rng(0)
    y, x = np.indices((225, 225)) / 225
    blobs = np.empty((N, 3, 225, 225), np.float32)
    for i in range(N):
        angle = 0.7 + 2 * np.pi / 3 * (i % 3) + rng.normal(0, 0.2)
        v, u = 0.5 - 0.28 * np.sin(angle), 0.5 + 0.28 * np.cos(angle)
        blob = np.exp(-((y - v) ** 2 + (x - u) ** 2) / 0.02)
        noise = rng.normal(0, 0.3, (3, 225, 225))
        blobs[i] = noise + blob * rng.uniform(1, 3, 3)[:, None, None]
    return torch.from_numpy(blobs)


def observed(folder, network, blobs):
    """Return energy and match positions of the classes, in leave-one-out, and their angles."""
    transform = images.Transform(resize=225, crop=225)
    extractor = Extractor(load_backbone(network, layer="9", transform=transform), device="cpu")
    names = [CLASSES[i % 3] for i in range(N)]
    memory = memory_from_arrays(folder, extractor(blobs), names, dtype="float32")
    matches = KernelDensityClassifier(memory, k=5).leave_one_out().matches
    found = measure_energy(
        memory.energy(), memory.grid, image_class=memory.image_class, classes=memory.classes
    )
    where = class_positions(matches).points()
    return found.centroids, where, np.arctan2(where[:, 1], where[:, 0])


def test_mirroring_and_turning_the_images_mirror_and_turn_every_angle(tmp_path, blobs):
    network = symmetric_network()
    energies, where, theta = observed(tmp_path / "0", network, blobs)
    assert np.linalg.norm(where, axis=1).min() > 0.05, "classes need a direction for this test to tell"
    mirrored_energies, mirrored, mirrored_theta = observed(tmp_path / "m", network, blobs.flip(3))
    np.testing.assert_allclose(mirrored_energies, energies * [-1, 1], atol=1e-5)
    np.testing.assert_allclose(mirrored, where * [-1, 1], atol=1e-5)
    np.testing.assert_allclose(difference(mirrored_theta, mirror(theta)), 0, atol=1e-5)
    # A quarter turn to the left: (u, v) becomes (-v, u), theta grows by pi/2.
    turned_energies, turned, turned_theta = observed(
        tmp_path / "t", network, torch.rot90(blobs, 1, (2, 3)).contiguous()
    )
    np.testing.assert_allclose(turned_energies, energies[:, ::-1] * [-1, 1], atol=1e-5)
    np.testing.assert_allclose(turned, where[:, ::-1] * [-1, 1], atol=1e-5)
    np.testing.assert_allclose(difference(turned_theta, quarter_turn(theta)), 0, atol=1e-5)


def test_at_224_pixels_the_same_network_is_not_equivariant(tmp_path, blobs):
    network = symmetric_network()
    energies, _, _ = observed(tmp_path / "0", network, blobs[..., :224, :224])
    mirrored, _, _ = observed(tmp_path / "m", network, blobs[..., :224, :224].flip(3))
    assert np.abs(mirrored - energies * [-1, 1]).max() > 1e-3
