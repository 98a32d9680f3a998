"""Upsampling against torch's interpolation."""

import numpy as np
import pytest
import torch

from hueprobe.dense import label_map, upsample
from hueprobe.dense.upsampling import leading_labels, seen_pixels
from hueprobe.errors import ShapeError


@pytest.mark.parametrize(
    "grid, size", [((3, 5), (17, 40)), ((7, 7), (7, 7)), ((1, 4), (9, 6)), ((5, 1), (3, 2))]
)
def test_upsampling_is_that_of_torch(grid, size):
    shares = np.random.default_rng(0).random((*grid, 3), np.float32)
    expected = torch.nn.functional.interpolate(
        torch.from_numpy(shares).permute(2, 0, 1)[None], size=size, mode="bilinear", align_corners=False
    )[0]
    np.testing.assert_allclose(upsample(shares, size), expected.permute(1, 2, 0).numpy(), atol=2e-6)


def test_a_crop_puts_cells_where_the_network_saw_them():
    shares = np.random.default_rng(1).random((4, 3, 2), np.float32)
    inside = upsample(shares, (16, 12))
    whole = upsample(shares, (30, 20), (4, 6, 16, 22))
    np.testing.assert_allclose(whole[6:22, 4:16], inside, atol=1e-6)
    labels, margin = label_map(shares, (30, 20), (4, 6, 16, 22))
    np.testing.assert_array_equal(labels >= 0, seen_pixels((30, 20), (4, 6, 16, 22)))
    assert (labels >= 0).sum() == 16 * 12 and not margin[labels < 0].any()


def test_labels_and_margin_are_of_the_largest_shares():
    shares = np.random.default_rng(2).random((2, 2, 5), np.float32)
    labels, margin = label_map(shares, (6, 6))
    ordered = np.sort(upsample(shares, (6, 6)), axis=-1)
    np.testing.assert_array_equal(labels, upsample(shares, (6, 6)).argmax(-1))
    np.testing.assert_allclose(margin, ordered[..., -1] - ordered[..., -2], atol=1e-7)


@pytest.mark.parametrize(
    "size, box", [((300, 50), None), ((200, 90), (0, -8, 90, 190.5)), ((129, 64), (3, 2, 60, 129))]
)
def test_tall_images_and_labels_that_occur_nowhere(size, box):
    """Pixels are computed some rows at a time, and labels without any share are left out."""
    shares = np.random.default_rng(3).random((9, 4, 6), np.float32)
    shares[..., [0, 4]] = 0
    whole = upsample(shares, size, box)
    expected = whole.argmax(-1)
    if box is not None:
        expected[~seen_pixels(size, box)] = -1
    labels, margin = label_map(shares, size, box)
    np.testing.assert_array_equal(labels, expected)
    np.testing.assert_array_equal(leading_labels(shares, size, box), expected)
    ordered = np.sort(whole, axis=-1)
    lead = np.where(expected < 0, 0, ordered[..., -1] - ordered[..., -2])
    np.testing.assert_allclose(margin, lead, atol=1e-6)


def test_ties_and_cells_without_votes():
    labels, margin = label_map(np.array([[[0.5, 0.5], [0.0, 0.0]]]), (1, 2))
    assert labels.tolist() == [[0, -1]] and margin.tolist() == [[0, 0]]
    assert label_map(np.ones((1, 1, 1)), (2, 2))[1].tolist() == [[1, 1], [1, 1]]


def test_shares_of_no_grid_are_refused():
    with pytest.raises(ShapeError, match="need"):
        upsample(np.ones((2, 2)), (3, 3))
