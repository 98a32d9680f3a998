"""Images as the network saw them, with their grid."""

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
    image : PIL image, RGB
    box : (left, top, right, bottom) or None
        In pixels of `image`, edges lying between pixels; beyond the image where the crop was padded.
        None where a transform of one's own leaves it unknown: then no cell is drawn into the image.
    """

    image: "Image.Image"
    box: Box | None

    @classmethod
    def as_recorded(cls, image: "Image.Image", transform: Mapping[str, Any]) -> "SeenImage":
        """Return the image as a memory's recorded transform, `memory.settings.transform`, shows it."""
        known = {"resize", "crop"} <= set(transform)
        if not known:
            return cls(image, None)
        fit = transform.get("fit", "crop")
        return cls(image, visible_box(image.size, transform["resize"], transform["crop"], fit=fit))


def visible_box(size: tuple[int, int], resize: Any, crop: Any, *, fit: str = "crop") -> Box:
    """Return (left, top, right, bottom), in image pixels, of what resizing and cropping leave.

    Parameters
    ----------
    size : (int, int)
        Width and height of the image, as PIL has it.
    resize, crop : int, (int, int) or None
        As in `hueprobe.images.Transform`: one number is the shorter side or a square, two are height
        and width, None leaves the step out.
    fit : {"crop", "squash", "pad"}
        As in `hueprobe.images.Transform`; with a border the box is larger than the image.

    Examples
    --------
    >>> visible_box((512, 256), resize=256, crop=224)
    (144.0, 16.0, 368.0, 240.0)
    """
    width, height = size
    if fit != "crop":
        return _framed_box(size, crop or resize, fit)
    new_width, new_height = width, height
    if isinstance(resize, int):  # torchvision cuts the longer side down to whole pixels
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
    """Return the frame round a whole image, in image pixels."""
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
    """Return where torchvision's center crop begins; below 0 where it pads."""
    return -((crop - length) // 2) if crop > length else round((length - crop) / 2)


def draw_image(ax: Axes, image: SeenImage, grid: Grid | None = None) -> None:
    """Show what the network saw of an image, and the lines of its grid; axes are in image pixels.

    Parameters
    ----------
    ax : Axes
    image : SeenImage
    grid : Grid, optional
        Draw the edges of its cells, where the box is known.
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
    """Outline cell (y, x) in an image drawn by `draw_image`; where the box is unknown do nothing.

    Parameters
    ----------
    ax, image, grid
        As drawn.
    y, x : int
        Row and column.
    color, label : str
        Of the outline; what to write.
    beside : bool
        Write next to the cell, towards the middle of the image, instead of upon it: for small images
        with one mark.
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
