"""Where a network's cells look: the center of the image, in cells of its grid.

Strides and one-sided padding shift what a cell sees: the middle cell of a ResNet-50 looks up and to the
left of the image's middle by a third of a cell and more. Distances from the center are then better
taken from the place on the grid that looks at the image's middle.
"""

from dataclasses import dataclass

import numpy as np
import torch

from hueprobe.activations.backbones import Backbone, image_shape
from hueprobe.activations.hooks import as_grid, captured_output
from hueprobe.activations.random_weights import random_images
from hueprobe.errors import InputError

N_IMAGES = 8


@dataclass(frozen=True)
class FieldCenter:
    """Where the middle cell of a grid looks.

    Attributes
    ----------
    pixel : (float, float)
        (row, column) of the gradient centroid of the middle cell, in pixels; the first pixel is at 0.
        Of an even grid, the mean of the cells around its middle.
    image : (int, int)
        Height and width of the images, in pixels.
    cell : (float, float)
        (y, x) on the grid that looks at the image's middle, in cells: what `center=` of the
        observations takes. `pixel` at the image's middle gives the grid's own middle.
    """

    pixel: tuple[float, float]
    image: tuple[int, int]
    cell: tuple[float, float]


def field_center(backbone: Backbone, *, seed: int = 0) -> FieldCenter:
    """Measure where the middle cell of a network's grid looks.

    The centroid of ``|d ||I||^2 / d image|``, summed over colors, I being the middle cell's activation:
    the mean over 8 random images whose spectrum falls as a photograph's does. Cells are taken to look
    a stride (image / grid) apart.

    Parameters
    ----------
    backbone : Backbone
        From `load_backbone`; runs on the device where it lies, in eval mode.
    seed : int
        Of the images.

    Raises
    ------
    InputError
        A 1x1 grid, or a cell that no pixel moves.
    """
    channels, *size = image_shape(backbone.transform)
    device = next(backbone.module.parameters()).device
    images = random_images(N_IMAGES, (size[0], size[1]), seed=seed, channels=channels).to(device)
    layer = backbone.module.get_submodule(backbone.layer)
    shares = []
    for batch in images.split(2):  # the graph of a large network on large images takes gigabytes
        batch.requires_grad_()
        with torch.enable_grad(), captured_output(layer) as outputs:
            backbone.module(batch)
            grid = as_grid(outputs, backbone, images=batch.shape)
            if backbone.apply_closing and backbone.closing is not None:
                grid = getattr(torch.nn.functional, backbone.closing)(grid)
            height, width = grid.shape[2:]
            if height * width == 1:
                raise InputError(f"{backbone.name} gives a 1x1 grid here, which has no center to measure")
            for y in {(height - 1) // 2, height // 2}:
                for x in {(width - 1) // 2, width // 2}:
                    shares.append(_gradient_shares(grid[:, :, y, x], batch, backbone.name))
    share = torch.stack(shares).mean((0, 1)).cpu().numpy()
    pixel = float(share.sum(1) @ np.arange(size[0])), float(share.sum(0) @ np.arange(size[1]))
    cell = tuple(
        (cells - 1) / 2 + ((side - 1) / 2 - seen) * cells / side
        for cells, side, seen in zip((height, width), size, pixel, strict=True)
    )
    return FieldCenter(pixel, (size[0], size[1]), (cell[0], cell[1]))


def _gradient_shares(cell: torch.Tensor, images: torch.Tensor, name: str) -> torch.Tensor:
    """Return how much each pixel moves a cell's energy, of 1 in all, float64 (images, h, w)."""
    (gradient,) = torch.autograd.grad(cell.square().sum(), images, retain_graph=True)
    weight = gradient.abs().sum(1).double()
    total = weight.sum((1, 2), keepdim=True)
    if not bool((total > 0).all()):
        raise InputError(f"no pixel moves the middle cell of {name}; its field cannot be measured")
    return weight / total
