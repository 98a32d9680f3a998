"""Where an image is unlike the memory: distances of its cells, and the nearest memory patches."""

from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from hueprobe.arguments import as_count, takes
from hueprobe.classification import Classification
from hueprobe.errors import ImageError, InputError
from hueprobe.grid import Grid
from hueprobe.images.reading import show_image
from hueprobe.plots.images import SeenImage, draw_image, mark_cell
from hueprobe.plots.style import (
    INK,
    OTHER,
    PAGE,
    SEQUENTIAL,
    cell_axes,
    colorbar,
    composing,
    drawing,
    shortened,
)
from hueprobe.trust.distances import NearestPatches, nearest_patches

TYPICAL = 0.95  # quantile of inside cells above which a cell is strange
_COLUMNS = 3


@takes(NearestPatches)
def distance_map(
    patches: NearestPatches, i: int = 0, *, inside: NearestPatches | None = None, ax: Axes | None = None
) -> Axes:
    """Draw the distance of each cell of an image to its nearest memory vector.

    Parameters
    ----------
    patches : NearestPatches
        From `hueprobe.trust.nearest_patches`.
    i : int, default=0
        Position of the image.
    inside : NearestPatches, optional
        Patches of images like those of the memory, such as its own in leave-one-out. Cells that are farther
        than 95 % of all their cells are outlined, and the color scale covers their range too. By default no
        cell is outlined.
    ax : Axes, optional
        Where to draw; a new figure's Axes by default.

    Returns
    -------
    Axes
        The Axes drawn into; a cell without a match is white.

    Raises
    ------
    InputError
        There is no such image.

    See Also
    --------
    hueprobe.plots.strangeness_map : The same beside the image and its nearest memory patches.

    Examples
    --------
    >>> patches = hp.trust.nearest_patches(result)
    >>> hp.plots.distance_map(patches, 0, inside=patches).get_xlabel()
    'column x'
    """
    _require_image(len(patches), i)
    distance = patches.distance[i]
    known = distance if inside is None else np.append(distance, inside.distance)
    top = float(np.nanmax(known)) if np.isfinite(known).any() else 1.0
    with drawing(ax, height=3.0) as ax:
        shown = ax.imshow(distance, cmap=SEQUENTIAL, vmin=0, vmax=top or 1.0)
        cell_axes(ax, Grid(*distance.shape))
        colorbar(shown, ax, "distance to the nearest memory vector")
        title = f"mean distance {np.nanmean(distance):.2f}" if np.isfinite(distance).any() else "no matches"
        if inside is not None:
            limit = strange_beyond(inside)
            strange = np.argwhere(distance > limit)
            for y, x in strange:
                ax.add_patch(Rectangle((x - 0.45, y - 0.45), 0.9, 0.9, fill=False, edgecolor=OTHER, lw=1.2))
            title += f"\noutlined: {len(strange)} cells beyond {limit:.2f}, as 5 % of inside cells are"
        ax.set_title(title)
    return ax


def strange_beyond(inside: NearestPatches) -> float:
    """Return the distance that 95 % of the cells of inside images stay below; NaN without any match.

    Parameters
    ----------
    inside : NearestPatches
        Patches of images like those of the memory.
    """
    known = inside.distance[np.isfinite(inside.distance)]
    return float(np.quantile(known, TYPICAL)) if len(known) else float("nan")


@takes(Classification)
def strangeness_map(
    result: Classification,
    i: int = 0,
    *,
    inside: NearestPatches | None = None,
    images_root: str | Path | None = None,
    n_patches: int = 6,
) -> Figure:
    """Draw where an image is unlike the memory, and the nearest memory patch of its strangest cells.

    The image files are read again, at the paths where they were classified and where the memory was built.

    Parameters
    ----------
    result : Classification
        A result with a match table, for image files or a Dataset.
    i : int, default=0
        Position in `result.images`.
    inside : NearestPatches, optional
        Patches of images like those of the memory; see `distance_map`.
    images_root : path, optional
        Folder of the memory's images if they have moved; the recorded folder by default.
    n_patches : int, default=6
        Number of strangest cells whose nearest memory patch is shown.

    Returns
    -------
    Figure
        As wide as a page of a paper (6.9 inches), not managed by pyplot. Numbers pair a cell of the image
        with its nearest patch.

    Raises
    ------
    InputError
        The result has no match table, was loaded from a file, or has no such image.
    ImageError
        An image cannot be read.

    See Also
    --------
    hueprobe.plots.distance_map : The map alone.
    hueprobe.trust.image_scores : One score for each image.

    Examples
    --------
    >>> inside = hp.trust.nearest_patches(result)
    >>> figure = hp.plots.strangeness_map(result, 0, inside=inside, n_patches=2)
    >>> figure.axes[0].get_title()
    'circle/circle0.png'
    """
    n_patches = as_count("n_patches", n_patches)
    patches = nearest_patches(result)
    _require_image(len(patches), i)
    if result.sources is None:
        raise InputError(
            "this classification was loaded from a file and does not record where its images are; classify "
            "them again"
        )
    memory, transform = result.sources.memory, result.sources.memory.settings.transform
    kept = memory.images if images_root is None else memory.images.relocated(Path(images_root))
    distance = np.where(np.isnan(patches.distance[i]), -np.inf, patches.distance[i])
    order = np.argsort(-distance, axis=None, kind="stable")
    cells = np.argwhere(np.ones_like(distance, bool))[order]
    strangest = [(int(y), int(x)) for y, x in cells[:n_patches] if patches.image[i, y, x] >= 0]
    rows = {int(patches.image[i, y, x]) for y, x in strangest}
    try:
        seen = {row: SeenImage.as_recorded(show_image(kept, row), transform) for row in sorted(rows)}
    except ImageError as error:
        raise ImageError(
            f"{error}; if the memory's images have moved, give their folder with images_root"
        ) from None
    own = SeenImage.as_recorded(show_image(result.sources.queries, int(result.rows[i])), transform)
    grid = Grid(*patches.distance.shape[1:])
    n_rows = max(1, -(-len(strangest) // _COLUMNS))
    with composing(PAGE, 2.7 + 1.6 * n_rows) as figure:
        parts: Any = figure.subfigures(2, 1, height_ratios=(2.7, 1.6 * n_rows))
        left, right = parts[0].subplots(1, 2)
        draw_image(left, own, grid)
        left.set_title(shortened(result.images[i], 40))
        distance_map(patches, i, inside=inside, ax=right)
        for number, (y, x) in enumerate(strangest, 1):
            mark_cell(left, own, grid, y, x, color=OTHER, label=str(number))
            ax = parts[1].add_subplot(n_rows, _COLUMNS, number)
            row = int(patches.image[i, y, x])
            draw_image(ax, seen[row])
            at = int(patches.y[i, y, x]), int(patches.x[i, y, x])
            mark_cell(ax, seen[row], memory.grid, *at, color=INK, label=str(number), beside=True)
            name = memory.images.classes[row] or Path(memory.images.paths[row]).name
            told = f"{number}  {shortened(name)}\ndistance {patches.distance[i, y, x]:.2f}"
            ax.set_title(told, fontsize=6.5)
    return figure


def _require_image(n: int, i: int) -> None:
    if not 0 <= i < n:
        raise InputError(f"there is no image {i}; give 0 to {n - 1}")
