"""Arrows on maps of cells, from the center to a mean position."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patheffects import Stroke, withStroke

from hueprobe.plots.style import SAME

_STRETCHES = (1, 2, 3, 5, 10, 20)


def fitting_stretch(u: np.ndarray, v: np.ndarray, shape: tuple[int, int]) -> float:
    """Return how many times as long to draw arrows (u, v), so that the longest stays on a grid (H, W)."""
    longest = float(np.nanmax(np.hypot(u, v), initial=0.0))
    return float(max((n for n in _STRETCHES if n * longest <= min(shape) / 2), default=1))


def mean_arrow(ax: Axes, u: float, v: float, *, center: tuple[float, float], stretch: float) -> None:
    """Draw an arrow on a map from the center (y, x) to (u, v), v upwards, `stretch` times as long.

    Nothing is drawn where there is no position (NaN), and a dot where it is the center.
    """
    y, x = center
    if np.isnan([u, v]).any():
        return
    halo: list[Stroke] = [withStroke(linewidth=2.2, foreground="white")]
    if stretch * np.hypot(u, v) < 0.05:
        ax.plot(x, y, "o", color=SAME, markersize=2.5, path_effects=halo)
        return
    ax.annotate(
        "", (x + stretch * u, y - stretch * v), (x, y), annotation_clip=False,
        arrowprops={
            "arrowstyle": "-|>,head_length=0.3,head_width=0.15", "color": SAME, "linewidth": 1.0,
            "shrinkA": 0, "shrinkB": 0, "mutation_scale": 9, "path_effects": halo,
        },
    )  # fmt: skip


def stretch_text(stretch: float) -> str:
    """Return what the arrows of a figure are.

    >>> stretch_text(1), stretch_text(3)
    ('arrows: from the center to the mean position', 'arrows: center to mean position, 3 times as long')
    """
    if stretch == 1:
        return "arrows: from the center to the mean position"
    return f"arrows: center to mean position, {stretch:g} times as long"
