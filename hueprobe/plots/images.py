"""Plots of images as the network saw them, with their grid."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import matplotlib.patheffects as effects
import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle

from hueprobe.grid import Grid
from hueprobe.plots.style import text_on

if TYPE_CHECKING:
    from PIL import Image

Box = tuple[float, float, float, float]


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


def visible_box(size: tuple[int, int], resize: Any, crop: Any, *, fit: str = "crop") -> Box:
    """Return the box (left, top, right, bottom), in image pixels, that remains after resizing and cropping.

    Parameters
    ----------
    size : (int, int)
        Width and height of the image in pixels, in the order that PIL uses.
    resize, crop : int, (int, int) or None
        As in `hueprobe.images.Transform`. One number is the shorter side (resize) or the side of a square
        (crop), two numbers are height and width, and None skips the step.
    fit : {"crop", "squash", "pad"}, default="crop"
        As in `hueprobe.images.Transform`. With "pad" the box is larger than the image.

    Returns
    -------
    (float, float, float, float)
        Left, top, right and bottom; edges lie between pixels.

    See Also
    --------
    hueprobe.plots.SeenImage : An image with its box.
    hueprobe.images.Transform : The transform itself.

    Examples
    --------
    >>> visible_box((512, 256), resize=256, crop=224)
    (144.0, 16.0, 368.0, 240.0)
    """
    width, height = size
    if fit != "crop":
        return _framed_box(size, crop or resize, fit)
    new_width, new_height = width, height
    if isinstance(resize, int):  # torchvision rounds the longer side down to whole pixels
        short, long = sorted(size)
        new_width = resize if width == short else resize * long // short
        new_height = resize if height == short else resize * long // short
    elif resize is not None:
        new_height, new_width = resize
    if crop is None:
        return 0.0, 0.0, float(width), float(height)
    crop_height, crop_width = (crop, crop) if isinstance(crop, int) else crop
    left, top = _cropped(new_width, crop_width), _cropped(new_height, crop_height)
    across, down = width / new_width, height / new_height
    return left * across, top * down, (left + crop_width) * across, (top + crop_height) * down


def _framed_box(size: tuple[int, int], frame: Any, fit: str) -> Box:
    """Return the frame around a whole image, in image pixels."""
    width, height = size
    if fit == "squash":
        return 0.0, 0.0, float(width), float(height)
    frame_height, frame_width = (frame, frame) if isinstance(frame, int) else frame
    scale = min(frame_height / height, frame_width / width)
    new_width = min(frame_width, max(1, round(width * scale)))
    new_height = min(frame_height, max(1, round(height * scale)))
    across, down = width / new_width, height / new_height
    left, top = -((frame_width - new_width) // 2) * across, -((frame_height - new_height) // 2) * down
    return left, top, left + frame_width * across, top + frame_height * down


def _cropped(length: int, crop: int) -> int:
    """Return the first pixel of torchvision's center crop; negative where it pads."""
    return -((crop - length) // 2) if crop > length else round((length - crop) / 2)


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
    halo = [effects.Stroke(linewidth=2.6, foreground="white"), effects.Normal()]
    ax.add_patch(
        Rectangle(
            (left + x0, top + y0), x1 - x0, y1 - y0,
            fill=False, edgecolor=color, linewidth=1.6, path_effects=halo, zorder=3,
        )
    )  # fmt: skip
    anchor, shift = left + (x0 + x1) / 2, 0.0
    if beside and grid.width > 1:
        in_right_half = x > (grid.width - 1) / 2
        anchor, shift = (left + x0, -8.0) if in_right_half else (left + x1, 8.0)
    ax.annotate(
        label, (anchor, top + (y0 + y1) / 2), xytext=(shift, 0), textcoords="offset points",
        ha="center", va="center", fontsize=6.5, fontweight="bold", color=text_on(color), zorder=4,
        bbox={"boxstyle": "circle,pad=0.15", "facecolor": color, "edgecolor": "white", "linewidth": 0.5},
    )  # fmt: skip
