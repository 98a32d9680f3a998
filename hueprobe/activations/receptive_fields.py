"""Where a network's cells look: the centre of the picture, in cells of its grid.

Strides and one-sided padding shift what a cell sees: the middle cell of a ResNet-50 looks up and to the
left of the picture's middle by a third of a cell and more. Distances from the centre are then better
taken from the place on the grid that looks at the picture's middle.
"""

from dataclasses import dataclass

import numpy as np
import torch

from hueprobe.activations.backbones import Backbone, picture_size
from hueprobe.activations.hooks import as_grid, captured_output
from hueprobe.activations.random_weights import random_pictures
from hueprobe.errors import InputError

N_PICTURES = 8


@dataclass(frozen=True)
class FieldCentre:
    """Where the middle cell of a grid looks.

    Attributes
    ----------
    pixel : (float, float)
        (row, column) of the gradient centroid of the middle cell, in pixels; the first pixel is at 0.
        Of an even grid, the mean of the cells around its middle.
    picture : (int, int)
        Height and width of the pictures, in pixels.
    cell : (float, float)
        (y, x) on the grid that looks at the picture's middle, in cells: what `centre=` of the
        observations takes. `pixel` at the picture's middle gives the grid's own middle.
    """

    pixel: tuple[float, float]
    picture: tuple[int, int]
    cell: tuple[float, float]


def field_centre(backbone: Backbone, *, seed: int = 0) -> FieldCentre:
    """Measure where the middle cell of a network's grid looks.

    The centroid of |d ||I||^2 / d picture|, summed over colours, I being the middle cell's activation:
    the mean over 8 random pictures whose spectrum falls as a photograph's does. Cells are taken to look
    a stride (picture / grid) apart.

    Parameters
    ----------
    backbone : Backbone
        From `load_backbone`; runs on the device where it lies, in eval mode.
    seed : int
        Of the pictures.

    Raises
    ------
    InputError
        A 1x1 grid, or a cell that no pixel moves.
    """
    size = picture_size(backbone.transform)
    device = next(backbone.module.parameters()).device
    pictures = random_pictures(N_PICTURES, size, seed=seed).to(device)
    layer = backbone.module.get_submodule(backbone.layer)
    shares = []
    for batch in pictures.split(2):  # the graph of a large network on large pictures takes gigabytes
        batch.requires_grad_()
        with torch.enable_grad(), captured_output(layer) as outputs:
            backbone.module(batch)
            grid = as_grid(outputs, backbone, pictures=batch.shape)
            if backbone.apply_closing and backbone.closing is not None:
                grid = getattr(torch.nn.functional, backbone.closing)(grid)
            height, width = grid.shape[2:]
            if height * width == 1:
                raise InputError(f"{backbone.name} gives a 1x1 grid here, which has no centre to measure")
            for y in {(height - 1) // 2, height // 2}:
                for x in {(width - 1) // 2, width // 2}:
                    shares.append(_gradient_shares(grid[:, :, y, x], batch, backbone.name))
    share = torch.stack(shares).mean((0, 1)).cpu().numpy()
    pixel = float(share.sum(1) @ np.arange(size[0])), float(share.sum(0) @ np.arange(size[1]))
    cell = tuple(
        (cells - 1) / 2 + ((side - 1) / 2 - seen) * cells / side
        for cells, side, seen in zip((height, width), size, pixel, strict=True)
    )
    return FieldCentre(pixel, size, (cell[0], cell[1]))


def _gradient_shares(cell: torch.Tensor, pictures: torch.Tensor, name: str) -> torch.Tensor:
    """Return how much each pixel moves a cell's energy, of 1 in all, float64 (pictures, h, w)."""
    (gradient,) = torch.autograd.grad(cell.square().sum(), pictures, retain_graph=True)
    weight = gradient.abs().sum(1).double()
    total = weight.sum((1, 2), keepdim=True)
    if not bool((total > 0).all()):
        raise InputError(f"no pixel moves the middle cell of {name}; its field cannot be measured")
    return weight / total
