"""Recall against speed of every searcher tried on a memory."""

from collections.abc import Sequence
from itertools import groupby
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patheffects import withStroke
from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, NullFormatter, NullLocator
from matplotlib.transforms import Bbox

from hueprobe.arguments import require_kind
from hueprobe.plots.style import CATEGORIES, GRAY, INK, OTHER, PALE, SAME, drawing
from hueprobe.search.spec import parse_spec

if TYPE_CHECKING:
    from hueprobe.search.tuning import Trial, Tuning

_TICKS = (0.0, 0.5, 0.9, 0.99, 0.999, 0.9999, 1.0)
_MARKERS = ("o", "s", "^", "v", "P", "X")
_COLORS = (INK, GRAY, *CATEGORIES[1:4], SAME)
# Where a label may stand about its point, in points, and how it is aligned there; the best that is free.
_PLACES = (
    (4, 4, "left", "bottom"),
    (5, 0, "left", "center"), (-5, 0, "right", "center"), (0, 5, "center", "bottom"),
    (0, -5, "center", "top"),
    (6, 8, "left", "bottom"), (-4, 5, "right", "bottom"), (4, -5, "left", "top"), (-4, -5, "right", "top"),
    (12, 12, "left", "bottom"), (-12, 12, "right", "bottom"), (12, -12, "left", "top"),
    (-12, -12, "right", "top"), (0, 16, "center", "bottom"), (0, -16, "center", "top"),
)  # fmt: skip


def recall_speed(tuning: "Tuning", *, ax: Axes | None = None) -> Axes:
    """Draw the speed of every trial against its recall, a line an index, its settings beside the points.

    Dots are medians over the rounds of timing, vertical lines go from quartile to quartile. Speed is in
    multiples of exact search in the same round. Recall is spaced by the share of neighbors that is missed,
    logarithmically, down to half of one neighbor of the sample. The wished recall is a dotted line, the
    recommended SPEC a ring. A setting whose label finds no free place has none.

    Parameters
    ----------
    tuning : Tuning
    ax : Axes, optional
    """
    from hueprobe.search.tuning import Tuning

    require_kind("tuning", tuning, Tuning)
    floor = 0.5 / (tuning.n_queries * tuning.k)
    with drawing(ax, width=4.8, height=3.6) as ax:
        ax.set_xscale("function", functions=(lambda r: _spread(r, floor), lambda x: _recall(x, floor)))
        ax.set_yscale("log")
        ax.axvline(tuning.wished, color=GRAY, linewidth=0.8, linestyle=":", zorder=0)
        drawn = [trial for trial in tuning.trials if np.isfinite(trial.recall)]
        for i, (name, group) in enumerate(groupby(drawn, key=_index_name)):
            trials = sorted(group, key=lambda trial: (trial.recall, -trial.times_exact))
            ax.plot(
                [trial.recall for trial in trials], [trial.times_exact for trial in trials],
                marker=_MARKERS[i % len(_MARKERS)], color=_COLORS[i % len(_COLORS)], label=name,
                linewidth=0.9, clip_on=False,
            )  # fmt: skip
            ax.vlines(
                [trial.recall for trial in trials], [trial.times_exact_low for trial in trials],
                [trial.times_exact_high for trial in trials], color=_COLORS[i % len(_COLORS)], linewidth=0.7,
                clip_on=False,
            )  # fmt: skip
        best = tuning.recommended
        ax.plot(
            best.recall, best.times_exact, "o", markersize=9, markerfacecolor="none", markeredgecolor=OTHER,
            linestyle="none", label="recommended", clip_on=False,
        )  # fmt: skip
        lowest = min([tuning.wished, *(trial.recall for trial in drawn)])
        ax.set_xlim(float(_recall(_spread(np.array(lowest), floor) - 0.15, floor)), 1)
        ax.xaxis.set_major_locator(FixedLocator([tick for tick in _TICKS if 1 - tick > floor or tick == 1]))
        ax.xaxis.set_minor_locator(NullLocator())
        ax.xaxis.set_major_formatter(FuncFormatter(lambda recall, _: f"{recall:g}"))
        ax.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        ax.yaxis.set_minor_formatter(NullFormatter())
        ax.yaxis.set_major_formatter(FuncFormatter(lambda ratio, _: f"{ratio:g}"))
        ax.grid(color=PALE, linewidth=0.4)
        ax.set_axisbelow(True)
        ax.set(
            xlabel=f"recall@{tuning.k} ({tuning.n_queries} queries at once, own image excluded)",
            title=f"recommended for recall {tuning.wished:g}: {best.spec}\n{_rounds(drawn)}".rstrip(),
            ylabel=f"speed in multiples of exact search\n({tuning.n_vectors:,} vectors)",
        )
        ax.legend(loc="upper center", bbox_to_anchor=(0.5, -0.16), ncols=3)
        for _ in range(2):  # the second round finds what the first moved
            ax.figure.canvas.figure.draw_without_rendering()
        _label(ax, drawn)
    return ax


def _index_name(trial: "Trial") -> str:
    """Return a SPEC without the settings of the search."""
    spec = parse_spec(trial.spec)
    return "exact" if spec.kind == "exact" else f"{spec.kind}:{spec.build}"


def _rounds(trials: Sequence["Trial"]) -> str:
    """Say how often speeds were measured; nothing where that is not known."""
    numbers = sorted({trial.rounds for trial in trials if trial.rounds})
    if not numbers:
        return ""
    n = f"{numbers[0]}" if len(numbers) == 1 else f"{numbers[0]} to {numbers[-1]}"
    return f"median speed of n = {n} rounds; vertical lines: quartiles"


def _spread(recall: np.ndarray, floor: float) -> np.ndarray:
    nines: np.ndarray = -np.log10(np.maximum(1 - np.asarray(recall, float), 0) + floor)
    return nines


def _recall(place: np.ndarray, floor: float) -> np.ndarray:
    return 1 + floor - 10.0 ** -np.asarray(place, float)


def _label(ax: Axes, trials: Sequence["Trial"]) -> None:
    """Write each trial's settings beside its point, inside the frame, where they cover the least of lines.

    Text and points are never covered.
    """
    points = ax.transData.transform([(trial.recall, trial.times_exact) for trial in trials])
    frame = ax.get_window_extent()
    dot = ax.figure.canvas.figure.dpi / 9  # pixels: 8 points
    taken = [Bbox.from_bounds(x - dot / 2, y - dot / 2, dot, dot) for x, y in points]
    drawn = np.concatenate([_along(ax.transData.transform(line.get_xydata())) for line in ax.lines])
    for trial in sorted(trials, key=lambda trial: -trial.times_exact):
        settings = parse_spec(trial.spec).search
        if not settings:
            continue
        text = ", ".join(f"{name} {value}" for name, value in settings.items())
        label = ax.annotate(
            text, (trial.recall, trial.times_exact), xytext=(0, 0), textcoords="offset points",
            fontsize=5.5, color=INK, path_effects=[withStroke(linewidth=1.5, foreground="white")],
        )  # fmt: skip
        label.set_in_layout(False)
        places = []
        for order, (right, up, across, along) in enumerate(_PLACES):
            label.set(position=(right, up), ha=across, va=along)
            box = label.get_window_extent()
            inside = frame.x0 <= box.x0 and box.x1 <= frame.x1 and frame.y0 <= box.y0 and box.y1 <= frame.y1
            if inside and not any(box.overlaps(other) for other in taken):
                covered = ((drawn >= (box.x0, box.y0)) & (drawn <= (box.x1, box.y1))).all(axis=1).sum()
                places.append((covered + 3 * order, order, (right, up, across, along), box))
        if not places:
            label.remove()
            continue
        _, _, (right, up, across, along), box = min(places)
        label.set(position=(right, up), ha=across, va=along)
        taken.append(box)


def _along(corners: np.ndarray) -> np.ndarray:
    """Return points on the line through corners (n, 2), in pixels."""
    steps = np.linspace(0, 1, 100)[:, None]
    parts = [start + steps * (stop - start) for start, stop in zip(corners, corners[1:], strict=False)]
    return np.concatenate([corners, *parts])
