"""Plots of an audit: pairs of duplicates side by side, shared patches, and label-noise candidates."""

from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from hueprobe.arguments import as_count, takes
from hueprobe.errors import ImageError, InputError
from hueprobe.images.reading import show_image
from hueprobe.plots.images import SeenImage, draw_image, outline_cells
from hueprobe.plots.style import OTHER, PAGE, composing, shortened
from hueprobe.trust.audit_result import Audit

_PAIRS, _CANDIDATES = 3, 6  # in a row
_HEIGHT = 1.45  # inches of a row


@takes(Audit)
def audit_figure(
    found: Audit,
    *,
    images_root: str | Path | None = None,
    n_pairs: int = 6,
    n_patches: int = 3,
    n_candidates: int = 6,
) -> Figure:
    """Draw pairs of duplicates and of shared patches side by side, and images with unlikely labels.

    Of duplicates, exact ones come first. Shared patches are outlined in both images. The image files are read
    again.

    Parameters
    ----------
    found : Audit
        From `hueprobe.trust.audit`.
    images_root : path, optional
        Folder of the memory's images if they have moved; the recorded folder by default.
    n_pairs : int, default=6
        Maximum number of pairs of duplicates (of a set of exact duplicates, the first two).
    n_patches : int, default=3
        Maximum number of pairs that share a patch.
    n_candidates : int, default=6
        Maximum number of label-noise candidates.

    Returns
    -------
    Figure
        As wide as a page of a paper (6.9 inches), not managed by pyplot.

    Raises
    ------
    InputError
        There is neither a pair nor a candidate.
    ImageError
        An image cannot be read.

    See Also
    --------
    hueprobe.trust.Audit.to_pandas : All pairs and candidates.

    Examples
    --------
    >>> found = hp.trust.audit(memory, k=5, relative_distance=0.9)
    >>> len(hp.plots.audit_figure(found, n_pairs=1, n_patches=0, n_candidates=2).axes)
    4
    """
    counts = {"n_pairs": n_pairs, "n_patches": n_patches, "n_candidates": n_candidates}
    n_pairs, n_patches, n_candidates = (as_count(name, value, least=0) for name, value in counts.items())
    pairs = [(images[0], images[1], "equal content") for images in found.exact]
    for i, (first, second) in enumerate(zip(found.near.first, found.near.second, strict=True)):
        told = f"relative distance {found.near.relative_distance[i]:.2f}, {found.near.cells[i]} cells"
        pairs.append((int(first), int(second), told))
    pairs = pairs[:n_pairs]
    n_patches = min(n_patches, len(found.patches))
    n_candidates = min(n_candidates, found.labels.n_candidates)
    heights = [
        _HEIGHT * -(-len(pairs) // _PAIRS),
        _HEIGHT * -(-n_patches // _PAIRS),
        _HEIGHT * -(-n_candidates // _CANDIDATES),
    ]
    if not any(heights):
        raise InputError(
            "there are no duplicates, shared patches or label-noise candidates to draw; audit other images"
        )
    with composing(PAGE, sum(heights) + 0.3) as figure:
        shown = [height for height in heights if height]
        parts: Any = iter(figure.subfigures(len(shown), 1, height_ratios=shown, squeeze=False)[:, 0])
        if pairs:
            part = next(parts)
            part.suptitle("duplicates", fontsize=8)
            _draw_pairs(part, found, pairs, images_root)
        if n_patches:
            part = next(parts)
            part.suptitle("shared patches", fontsize=8)
            _draw_patches(part, found, n_patches, images_root)
        if n_candidates:
            part = next(parts)
            part.suptitle("label-noise candidates: class, likeliest class", fontsize=8)
            _draw_candidates(part, found, n_candidates, images_root)
    return figure


def _draw_pairs(part: Any, found: Audit, pairs: list[tuple[int, int, str]], root: str | Path | None) -> None:
    n_rows = -(-len(pairs) // _PAIRS)
    for i, (first, second, told) in enumerate(pairs):
        for side, image in enumerate((first, second)):
            ax = part.add_subplot(n_rows, 2 * _PAIRS, 2 * i + side + 1)
            draw_image(ax, _image(found, image, root))
            _name(ax, found, image)
            if side == 0:
                ax.set_xlabel(told, fontsize=6, loc="left")


def _draw_patches(part: Any, found: Audit, n: int, root: str | Path | None) -> None:
    patches = found.patches
    for i in range(n):
        sides = ((patches.first, patches.y, patches.x), (patches.second, patches.other_y, patches.other_x))
        for side, (images, tops, lefts) in enumerate(sides):
            ax, image = part.add_subplot(-(-n // _PAIRS), 2 * _PAIRS, 2 * i + side + 1), int(images[i])
            seen = SeenImage.as_recorded(_image(found, image, root).image, found.transform)
            draw_image(ax, seen)
            y, x = int(tops[i]), int(lefts[i])
            until = y + int(patches.height[i]) - 1, x + int(patches.width[i]) - 1
            outline_cells(ax, seen, found.grid, (y, x), until, color=OTHER)
            _name(ax, found, image)
            if side == 0:
                told = f"{patches.cells[i]} cells, mean distance {patches.distance[i]:.2f}"
                ax.set_xlabel(told, fontsize=6, loc="left")


def _name(ax: Any, found: Audit, image: int) -> None:
    ax.set_title(shortened(found.classes[image] or Path(found.images[image]).name, 16), fontsize=6.5)


def _draw_candidates(part: Any, found: Audit, n: int, root: str | Path | None) -> None:
    labels = found.labels
    for number, i in enumerate(labels.candidates[:n], 1):
        ax = part.add_subplot(-(-n // _CANDIDATES), _CANDIDATES, number)
        draw_image(ax, _image(found, int(labels.rows[i]), root))
        names = f"{shortened(labels.given[i], 16)}\n{shortened(labels.predicted[i], 16)}?"
        ax.set_title(names, fontsize=6.5)
        ax.set_xlabel(f"margin {labels.margin[i]:+.2f}", fontsize=6)


def _image(found: Audit, image: int, root: str | Path | None) -> SeenImage:
    """Read an audited image; it is drawn whole."""
    memory, *others = found.sources
    if image >= len(memory):
        return SeenImage(show_image(others[0], image - len(memory)), None)
    kept = memory if root is None else memory.relocated(Path(root))
    try:
        return SeenImage(show_image(kept, image), None)
    except ImageError as error:
        raise ImageError(
            f"{error}; if the memory's images have moved, give their folder with images_root"
        ) from None
