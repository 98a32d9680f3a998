"""Plots of label maps: true and predicted labels, the margin, and where the labels came from."""

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from hueprobe.arguments import takes
from hueprobe.dense.colors import label_colors
from hueprobe.dense.segmentation import Segmentation
from hueprobe.errors import InputError, ShapeError
from hueprobe.images.reading import show_image
from hueprobe.plots.style import SAME, colorbar, composing, drawing, shortened

_NONE = (255, 255, 255)
_SOURCES = 6  # memory images that have a color of their own
_OTHERS = (225, 225, 225)
# Of the memory images: pale ones with dark ones between, none of which is a color of the first labels.
_SHADES = np.array(
    [(153, 221, 255), (255, 170, 187), (187, 204, 51), (238, 136, 102), (119, 119, 119), (238, 221, 136)],
    np.uint8,
)
_WIDTH = 7.2  # inches


@takes(Segmentation)
def segmentation_figure(
    result: Segmentation, i: int, *, images: Any = None, true: np.ndarray | None = None
) -> Figure:
    """Draw an image of a segmentation with its label map.

    The panels are the image, its true labels, the predicted ones, the margin (the largest label share minus
    the second largest), and the memory image that the nearest neighbor of each cell is in.

    Parameters
    ----------
    result : Segmentation
        The result.
    i : int
        Number of the image in it.
    images : path, ImageTable or list of files, optional
        The images that were segmented, to draw the image itself. By default it is not drawn.
    true : ndarray of int, shape (h, w), optional
        True labels; -1 is ignored. By default they are not drawn.

    Returns
    -------
    Figure

    Raises
    ------
    InputError
        There is no such image.
    ImageError
        The image cannot be read.
    ShapeError
        The true labels have another size than the image.

    See Also
    --------
    hueprobe.plots.label_ious : The IoU of each label.
    hueprobe.segment : Make a segmentation.

    Examples
    --------
    >>> labeled = hp.build_memory(
    ...     "labeled.memory", "images", masks="masks", backbone=network, layer="3", transform=transform
    ... )
    >>> found = hp.segment(labeled, "others", backbone=network, transform=transform)
    >>> figure = hp.plots.segmentation_figure(found, 0, images="others")
    """
    from hueprobe.images.resolve import resolve_images

    if not 0 <= i < len(result):
        raise InputError(f"there is no image {i}; the segmentation has {len(result)}, numbered from 0")
    size = tuple(result.sizes[i].tolist())
    if true is not None and np.shape(true) != size:
        raise ShapeError(f"true labels have shape {np.shape(true)}; image {result.images[i]!r} has {size}")
    predicted = result.label_map(i)
    panels: dict[str, np.ndarray] = {}
    if images is not None:
        panels["image"] = np.asarray(show_image(resolve_images(images), int(result.rows[i])))
    if true is not None:
        panels["true labels"] = _colored(np.asarray(true), len(result.labels))
    panels["predicted labels"] = _colored(predicted, len(result.labels))
    n_panels = len(panels) + 2
    columns = min(3, n_panels)
    lines = -(-n_panels // columns)
    height = lines * (_WIDTH / columns * size[0] / size[1] + 0.45) + 0.9
    with composing(_WIDTH, min(height, 12.0)) as figure:
        axes = figure.subplots(lines, columns, squeeze=False).reshape(-1)
        for ax, (title, pixels) in zip(axes, panels.items(), strict=False):
            ax.imshow(pixels, interpolation="nearest")
            ax.set(title=title, xticks=[], yticks=[])
        margin, sources = axes[len(panels) : n_panels]
        shown = margin.imshow(result.margin(i), vmin=0, vmax=1, cmap="cividis", interpolation="nearest")
        margin.set(title="margin", xticks=[], yticks=[])
        colorbar(shown, margin, "share, first minus second", orientation="horizontal", shrink=0.9, pad=0.03)
        for ax in axes:
            ax.set_anchor("N")  # tops in line, whatever stands below
        empty = axes[n_panels:]
        for ax in empty:
            ax.set_axis_off()
        _draw_sources(sources, result, i, None if not len(empty) else empty[0])
        present = sorted(set(np.unique(predicted)) | set([] if true is None else np.unique(true)))
        colors = label_colors(len(result.labels)) / 255
        handles = [
            Patch(facecolor=colors[label], edgecolor="0.4", label=shortened(result.labels.names[label]))
            for label in present
            if label >= 0
        ]
        if present[:1] == [-1]:
            handles.append(Patch(facecolor="white", edgecolor="0.4", label="no label"))
        figure.legend(handles=handles, loc="outside lower center", ncols=6, frameon=False)
        figure.suptitle(shortened(result.images[i], 60))
    return figure


def _colored(labels: np.ndarray, n_labels: int) -> np.ndarray:
    colors = np.vstack([label_colors(n_labels), np.array([_NONE], np.uint8)])
    pixels: np.ndarray = colors[labels]  # -1 is the last
    return pixels


def _draw_sources(ax: Axes, result: Segmentation, i: int, beside: Axes | None) -> None:
    """Color each cell by the memory image of its nearest neighbor; the most frequent ones are named.

    Their names stand in the empty axes beside it, or below.
    """
    grid, nearest = result.grid, result.nearest[i]
    row = np.where(nearest >= 0, nearest // grid.n_cells, -1)
    rows, counts = np.unique(row[row >= 0], return_counts=True)
    most = rows[np.argsort(-counts, kind="stable")[:_SOURCES]].tolist()
    pixels = np.full((*grid.shape, 3), _OTHERS, np.uint8)
    pixels[row < 0] = _NONE
    shades = [tuple(color) for color in (_SHADES / 255).tolist()]
    for rank, image in enumerate(most):
        pixels[row == image] = _SHADES[rank]
    left, top, right, bottom = result.boxes[i].tolist()
    ax.imshow(pixels, extent=(left, right, bottom, top), interpolation="nearest", aspect="equal")
    ax.set(title=f"source of the nearest ({len(rows)} images)", xticks=[], yticks=[])
    handles = [
        Patch(facecolor=shades[rank], label=shortened(result.memory_images[image].rpartition("/")[2], 16))
        for rank, image in enumerate(most)
    ]
    if len(rows) > len(most):
        handles.append(Patch(facecolor="0.88", label="other images"))
    if beside is not None:
        beside.legend(handles=handles, loc="upper left", fontsize=7, frameon=False, title="nearest, from")
    else:
        ax.legend(
            handles=handles, loc="upper center", bbox_to_anchor=(0.5, -0.02), fontsize=5.5, ncols=2,
            frameon=False,
        )  # fmt: skip


@takes(Segmentation)
def label_ious(result: Segmentation, *, ax: Axes | None = None) -> Axes:
    """Draw the IoU of each label with its interval, the mean as a line.

    Parameters
    ----------
    result : Segmentation
        The result of `hueprobe.segment` with masks.
    ax : Axes, optional
        Axes to draw into; those of a new figure by default.

    Returns
    -------
    Axes

    Raises
    ------
    InputError
        No masks were given, so there are no scores.

    See Also
    --------
    hueprobe.plots.segmentation_figure : One image.

    Examples
    --------
    >>> import warnings
    >>> labeled = hp.build_memory(
    ...     "labeled.memory", "images", masks="masks", backbone=network, layer="3", transform=transform
    ... )
    >>> with warnings.catch_warnings():
    ...     warnings.simplefilter("ignore")  # the images are the memory's own
    ...     found = hp.segment(labeled, "images", masks="masks", backbone=network, transform=transform)
    >>> ax = hp.plots.label_ious(found)
    """
    scores = result.scores
    if scores is None:
        raise InputError("the segmentation has no scores: no masks were given; segment with masks=")
    n = len(scores.label_names)
    with drawing(ax, height=0.7 + 0.22 * n) as ax:
        estimate, low, high = (np.array([getattr(one, name) for one in scores.iou]) for name in _BOUNDS)
        y = np.arange(n)
        ax.hlines(y, low, high, color=SAME, linewidth=1.2)
        ax.plot(estimate, y, "o", color=SAME)
        ax.axvline(scores.mean_iou.estimate, color="0.4", linewidth=0.8, linestyle="--")
        ax.set(
            xlim=(0, 1), ylim=(n - 0.5, -0.5), yticks=y,
            yticklabels=[shortened(name) for name in scores.label_names],
            xlabel=f"IoU, 95 % intervals; mean {scores.mean_iou.estimate:.3f} (dashed)",
        )  # fmt: skip
    return ax


_BOUNDS = ("estimate", "low", "high")
