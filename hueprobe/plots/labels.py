"""Names for points: beside each where they are few, numbers and a key at the side where they are many."""

import unicodedata
from collections.abc import Iterable, Sequence
from typing import Any

import matplotlib.patheffects as effects
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.transforms import Bbox

from hueprobe.plots.fonts import cover_scripts, missing_told
from hueprobe.plots.style import GRAY, INK, shortened

MOST_BESIDE = 8  # points that carry their names themselves
_LONGEST = 28  # characters of a name in the key
_ROWS = 24  # of the key, before it takes another column
_MOST_COLUMNS = 3
_FONT = 6.5
_LINE = 1.42 * _FONT / 72  # inches from one row of the key to the next
_RADIUS = 2.5  # points, of a dot
_RINGS = (1.0, 4.0, 8.0, 13.0, 19.0, 26.0, 34.0, 44.0, 56.0, 70.0)  # points between a dot's rim and its label
_NEAR = 4.0  # points; what lies farther away has a line to its dot
_OUTWARD = 3  # points of a line that may be covered rather than that a label moves to the next ring
_ANGLES = np.linspace(0, 2 * np.pi, 16, endpoint=False)


def key_size(names: Sequence[str]) -> tuple[float, float]:
    """Return width and height, in inches, of the key that `name_points` makes of these names.

    Parameters
    ----------
    names : sequence of str
    """
    if len(names) <= MOST_BESIDE:
        return 0.0, 0.0
    rows, columns = _key_shape(len(names))
    widest = max(_width(shortened(name, _LONGEST)) for name in names)
    return columns * (0.055 * widest + 0.42), rows * _LINE + 0.1


def name_points(
    panels: Sequence[tuple[Axes, np.ndarray]],
    names: Sequence[str],
    colors: Sequence[Any],
    faces: Sequence[Any],
) -> None:
    """Name the points in one Axes, or the same in several; no name covers another or any point.

    Call it last: it lays the figure out, and places names by what it finds.

    Parameters
    ----------
    panels : sequence of (Axes, ndarray of shape (n, 2))
        With the points' places in data coordinates.
    names : sequence of str, length n
    colors, faces : sequence of color, length n
        Of the points' rims and insides, for the key.
    """
    beside = len(names) <= MOST_BESIDE
    if not beside:
        _draw_key([ax for ax, _ in panels], names, colors, faces)
    figure: Any = panels[0][0].figure.canvas.figure
    cover_scripts(figure)
    texts = [shortened(name) for name in names] if beside else [str(i + 1) for i in range(len(names))]
    with missing_told():
        for _ in range(2):  # the second round finds what the first moved
            figure.draw_without_rendering()
        for ax, points in panels:
            _place(ax, np.asarray(points, float), texts, figure)


def _draw_key(
    axes: Sequence[Axes], names: Sequence[str], colors: Sequence[Any], faces: Sequence[Any]
) -> None:
    handles = [
        Line2D(
            [], [], marker="o", linestyle="none", color=color, markerfacecolor=face, markeredgewidth=0.7,
            label=f"{i + 1}  {shortened(name, _LONGEST)}",
        )
        for i, (name, color, face) in enumerate(zip(names, colors, faces, strict=True))
    ]  # fmt: skip
    look: dict[str, Any] = {
        "fontsize": _FONT, "ncols": _key_shape(len(names))[1], "labelspacing": 0.2, "handlelength": 0.8,
        "handletextpad": 0.4, "columnspacing": 1.0, "frameon": False, "borderaxespad": 0.0,
    }  # fmt: skip
    # Beside the last Axes, so that it belongs to them wherever they stand.
    axes[-1].legend(handles=handles, loc="center left", bbox_to_anchor=(1.04, 0.5), **look)


def _key_shape(n: int) -> tuple[int, int]:
    """Rows and columns of a key of n names."""
    columns = min(-(-n // _ROWS), _MOST_COLUMNS)
    return -(-n // columns), columns


def _width(text: str) -> int:
    """Return how many Latin letters a text is about as wide as."""
    return sum(2 if unicodedata.east_asian_width(char) in "WF" else 1 for char in text)


def _place(ax: Axes, points: np.ndarray, texts: Sequence[str], figure: Figure) -> None:
    """Write each text as near to its point as leaves all texts and points free."""
    scale = figure.dpi / 72
    at = ax.transData.transform(points)
    frame = ax.get_window_extent()
    taken = [_box(center, (2 * _RADIUS * scale,) * 2) for center in at]
    drawn = _along_lines(ax, scale)
    halo = [effects.withStroke(linewidth=1.2, foreground="white")]
    apart = np.linalg.norm(at[:, None] - at[None], axis=2) + np.diag(np.full(len(at), np.inf))
    for i in np.argsort(apart.min(axis=1), kind="stable") if len(at) > 1 else range(len(at)):
        label = ax.annotate(
            texts[i], points[i], (0, 0), textcoords="offset points", ha="center", va="center",
            fontsize=_FONT - 0.5, color=INK, path_effects=halo, zorder=5, annotation_clip=False,
        )  # fmt: skip
        label.set_in_layout(False)
        if not texts[i].isascii():
            cover_scripts(figure)
        size = np.array(label.get_window_extent().size)
        size[0] += 2.0 * scale  # two numbers side by side are not one
        others = np.vstack([at[np.arange(len(at)) != i], ax.transData.transform([(0.0, 0.0)])])
        shift, far = _free_place(at[i], size, taken, frame, others, drawn, scale)
        taken.append(_box(at[i] + shift, size))
        label.set_position(tuple(shift / scale))
        if far:
            end = np.clip(at[i], taken[-1].min, taken[-1].max)  # the label's nearest edge
            ax.annotate(
                "", points[i], tuple((end - at[i]) / scale), textcoords="offset points",
                arrowprops={"arrowstyle": "-", "color": GRAY, "linewidth": 0.4, "shrinkA": 0, "shrinkB": 2},
                annotation_clip=False,
            ).set_in_layout(False)  # fmt: skip


def _free_place(
    at: np.ndarray,
    size: np.ndarray,
    taken: Sequence[Bbox],
    frame: Bbox,
    others: np.ndarray,
    drawn: np.ndarray,
    scale: float,
) -> tuple[np.ndarray, bool]:
    """Return where a label's middle may stand, in pixels from its point, and whether that is far from it.

    The nearest free ring is taken, unless labels there would cover lines and those a little farther out
    less of them; and on it the side away from other points and from the origin.
    """
    near = others[np.linalg.norm(others - at, axis=1) < 40 * scale]
    away = at - near.mean(axis=0) if len(near) else np.array([1.0, 0.0])
    preferred = np.arctan2(away[1], away[0]) if np.abs(away).max() > 0 else 0.0
    order = _ANGLES[np.argsort(np.abs(np.angle(np.exp(1j * (_ANGLES - preferred)))), kind="stable")]
    fallback = best = None
    least = np.inf
    for number, ring in enumerate(_RINGS):
        if least <= _OUTWARD * number:  # nothing farther out can be better
            break
        for angle in order:
            toward = np.array([np.cos(angle), np.sin(angle)])
            shift = toward * ((ring + _RADIUS) * scale + size / 2)
            box = _box(at + shift, size)
            if any(_overlap(box, other) for other in taken):
                continue
            if frame.x0 <= box.x0 and box.x1 <= frame.x1 and frame.y0 <= box.y0 and box.y1 <= frame.y1:
                covered = ((drawn >= box.min) & (drawn <= box.max)).all(axis=1).sum()
                if covered + _OUTWARD * number < least:
                    least, best = covered + _OUTWARD * number, (shift, ring > _NEAR)
            fallback = fallback or (shift, ring > _NEAR)
    return best or fallback or (np.array([0.0, size[1]]), False)


def _along_lines(ax: Axes, scale: float) -> np.ndarray:
    """Return places a point apart along all lines of the Axes, in pixels, shape (n, 2)."""
    parts = [np.empty((0, 2))]
    for line in ax.lines:
        corners = line.get_transform().transform(line.get_xydata())
        for start, end in zip(corners, corners[1:], strict=False):
            steps = max(2, int(np.hypot(*(end - start)) / scale))
            parts.append(start + np.linspace(0, 1, steps)[:, None] * (end - start))
    return np.concatenate(parts)


def _box(center: Iterable[float], size: Iterable[float]) -> Bbox:
    (x, y), (width, height) = center, size
    return Bbox.from_bounds(x - width / 2, y - height / 2, width, height)


def _overlap(one: Bbox, other: Bbox) -> bool:
    return bool(one.x0 < other.x1 and other.x0 < one.x1 and one.y0 < other.y1 and other.y0 < one.y1)
