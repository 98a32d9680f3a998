"""Plots of images as the network saw them, with their grid."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import matplotlib.patheffects as effects
import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle

from hueprobe.grid import Grid
from hueprobe.images.visible import Box
from hueprobe.images.visible import visible_box as visible_box
from hueprobe.plots.style import text_on

if TYPE_CHECKING:
    from PIL import Image


@dataclass(frozen=True)
class SeenImage:
    """An image and the part of it that the network saw.

    Attributes
    ----------
    image : PIL.Image.Image
        The whole image, RGB.
    box : (left, top, right, bottom) or None
        The visible part in pixels of `image`; edges lie between pixels. It extends beyond the image if the
        crop was padded. None if unknown because of a custom transform; then no cell is drawn into the image.

    See Also
    --------
    hueprobe.plots.visible_box : Compute the box.
    hueprobe.plots.query_figure : Draw a query and its matches.

    Examples
    --------
    >>> image = hp.images.show_image(memory.images, 0)
    >>> seen = hp.plots.SeenImage.as_recorded(image, memory.settings.transform)
    >>> seen.box
    (0.0, 0.0, 64.0, 64.0)
    """

    image: "Image.Image"
    box: Box | None

    @classmethod
    def as_recorded(cls, image: "Image.Image", transform: Mapping[str, Any]) -> "SeenImage":
        """Return an image with the part of it that a memory's recorded transform shows to the network.

        Parameters
        ----------
        image : PIL.Image.Image
            An upright RGB image, for example from `hueprobe.images.show_image`.
        transform : mapping of str to Any
            The recorded transform, `memory.settings.transform`.

        Returns
        -------
        SeenImage
            Its box is None if the record has no `resize` and `crop`, like that of a custom transform.

        Examples
        --------
        >>> image = hp.images.show_image(memory.images, 0)
        >>> hp.plots.SeenImage.as_recorded(image, {"resize": 64, "crop": 32}).box
        (16.0, 16.0, 48.0, 48.0)
        """
        known = {"resize", "crop"} <= set(transform)
        if not known:
            return cls(image, None)
        fit = transform.get("fit", "crop")
        return cls(image, visible_box(image.size, transform["resize"], transform["crop"], fit=fit))


def draw_image(ax: Axes, image: SeenImage, grid: Grid | None = None) -> None:
    """Draw the part of an image that the network saw, and the lines of its grid; axes are in image pixels.

    Parameters
    ----------
    ax : Axes
        Where to draw.
    image : SeenImage
        The image and its visible part.
    grid : Grid, optional
        Draw the edges of its cells, if the box is known.
    """
    width, height = image.image.size
    ax.imshow(np.asarray(image.image), extent=(0, width, height, 0))
    left, top, right, bottom = image.box or (0.0, 0.0, float(width), float(height))
    ax.set(xlim=(left, right), ylim=(bottom, top), xticks=[], yticks=[], facecolor="black")
    for spine in ax.spines.values():
        spine.set_visible(False)
    if image.box is None or grid is None:
        return
    columns = np.linspace(left, right, grid.width + 1)[1:-1]
    rows = np.linspace(top, bottom, grid.height + 1)[1:-1]
    ax.vlines(columns, top, bottom, color="white", linewidth=0.4, alpha=0.6)
    ax.hlines(rows, left, right, color="white", linewidth=0.4, alpha=0.6)


def mark_cell(
    ax: Axes,
    image: SeenImage,
    grid: Grid,
    y: int,
    x: int,
    *,
    color: str,
    label: str,
    beside: bool = False,
) -> None:
    """Outline cell (y, x) in an image drawn by `draw_image`; do nothing if the box is unknown.

    Parameters
    ----------
    ax, image, grid
        As passed to `draw_image`.
    y, x : int
        Row and column of the cell.
    color : str
        Color of the outline and of the label's background.
    label : str
        Text of the label.
    beside : bool, default=False
        Write the label next to the cell, towards the middle of the image, instead of on it. This is for
        small images with one mark.
    """
    if image.box is None:
        return
    left, top, right, bottom = image.box
    x0, y0, x1, y1 = (float(edge) for edge in grid.bounds_in_image(y, x, (bottom - top, right - left)))  # type: ignore[arg-type]
    outline_cells(ax, image, grid, (y, x), (y, x), color=color)
    anchor, shift = left + (x0 + x1) / 2, 0.0
    if beside and grid.width > 1:
        in_right_half = x > (grid.width - 1) / 2
        anchor, shift = (left + x0, -8.0) if in_right_half else (left + x1, 8.0)
    ax.annotate(
        label, (anchor, top + (y0 + y1) / 2), xytext=(shift, 0), textcoords="offset points",
        ha="center", va="center", fontsize=6.5, fontweight="bold", color=text_on(color), zorder=4,
        bbox={"boxstyle": "circle,pad=0.15", "facecolor": color, "edgecolor": "white", "linewidth": 0.5},
    )  # fmt: skip


def outline_cells(
    ax: Axes, image: SeenImage, grid: Grid, first: tuple[int, int], last: tuple[int, int], *, color: str
) -> None:
    """Outline a box of cells in an image drawn by `draw_image`; do nothing if the visible part is unknown.

    Parameters
    ----------
    ax, image, grid
        As passed to `draw_image`.
    first, last : (int, int)
        Row and column of the top left and of the bottom right cell.
    color : str
        Color of the outline.
    """
    if image.box is None:
        return
    left, top, right, bottom = image.box
    size = bottom - top, right - left
    x0, y0, _, _ = (float(edge) for edge in grid.bounds_in_image(*first, size))  # type: ignore[arg-type]
    _, _, x1, y1 = (float(edge) for edge in grid.bounds_in_image(*last, size))  # type: ignore[arg-type]
    halo = [effects.Stroke(linewidth=2.6, foreground="white"), effects.Normal()]
    ax.add_patch(
        Rectangle(
            (left + x0, top + y0), x1 - x0, y1 - y0,
            fill=False, edgecolor=color, linewidth=1.6, path_effects=halo, zorder=3,
        )
    )  # fmt: skip
