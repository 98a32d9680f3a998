"""Centers of receptive fields: the grid position, in cells, that corresponds to the image center.

Strides and one-sided padding shift receptive fields. The middle cell of a ResNet-50 is centered above
and to the left of the image center, by more than a third of a cell. Distances from the center are then
better measured from the grid position whose receptive field is centered on the image.
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
    """Center of the receptive field of a grid's middle cell.

    Attributes
    ----------
    pixel : (float, float)
        (row, column) of the gradient centroid of the middle cell, in pixels; the first pixel is at 0.
        For a grid with an even number of cells, the mean over the cells around its middle.
    image : (int, int)
        Height and width of the images, in pixels.
    cell : (float, float)
        (y, x) of the grid position whose receptive field is centered on the image, in cells: the value
        for `center=` of the observations. Equals the middle of the grid if `pixel` is the image center.

    See Also
    --------
    hueprobe.activations.field_center : Measure it.
    """

    pixel: tuple[float, float]
    image: tuple[int, int]
    cell: tuple[float, float]


def field_center(backbone: Backbone, *, seed: int = 0) -> FieldCenter:
    """Measure the center of the receptive field of the middle cell of a network's grid.

    The center is the centroid of ``|d ||I||^2 / d image|``, summed over colors, where I is the
    activation of the middle cell. It is averaged over 8 random images whose spectrum falls with
    frequency like a photograph's. Neighboring cells are assumed to be one stride (image / grid) apart.

    Parameters
    ----------
    backbone : Backbone
        Network and layer, from `hueprobe.activations.load_backbone`; runs in eval mode on the device
        where it already is.
    seed : int, default=0
        Seed of the random images.

    Returns
    -------
    FieldCenter
        The center in pixels of the image and in cells of the grid.

    Raises
    ------
    InputError
        If the grid is 1x1, or if no pixel has an effect on the middle cell.

    See Also
    --------
    hueprobe.activations.describe_backbone : Look up the tabulated center of a known network.

    Examples
    --------
    >>> from hueprobe.activations import load_backbone
    >>> center = field_center(load_backbone(network, layer="3", transform=transform))
    >>> center.image, np.round(center.cell).tolist()  # the grid's own middle is (3, 3)
    ((64, 64), [3.0, 3.0])
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
                raise InputError(f"{backbone.name} has a 1x1 grid here, which has no center to measure")
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
    """Return each pixel's share of the effect on a cell's energy, summing to 1, float64 (images, h, w)."""
    (gradient,) = torch.autograd.grad(cell.square().sum(), images, retain_graph=True)
    weight = gradient.abs().sum(1).double()
    total = weight.sum((1, 2), keepdim=True)
    if not bool((total > 0).all()):
        raise InputError(f"no pixel affects the middle cell of {name}; its field cannot be measured")
    return weight / total
