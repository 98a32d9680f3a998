"""One image's answer: where its pixels matched, what they voted for, how likely each class is."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import matplotlib.patheffects as effects
import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import PatchCollection
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import MaxNLocator

from hueprobe.arguments import takes
from hueprobe.classification import Classification
from hueprobe.errors import ImageError, InputError
from hueprobe.images.reading import show_image
from hueprobe.observations.accuracy.votes import QueryVotes, query_votes
from hueprobe.plots.images import SeenImage, draw_image, mark_cell
from hueprobe.plots.style import CATEGORIES, GRAY, INK, PAGE, PALE, cell_axes, composing, drawing, shortened

_COLUMNS = 3  # matched images in a row


@takes(Classification)
def query(
    result: Classification,
    i: int = 0,
    *,
    images_root: str | Path | None = None,
    n_matches: int = 6,
    n_classes: int = 8,
) -> Figure:
    """Draw one classified image beside its most telling matches, its votes and its class likelihoods.

    The images are read again, from where they were classified and where the memory was made.

    Parameters
    ----------
    result : Classification
        With its match table, of image files (or a Dataset).
    i : int
        Position in `result.images`.
    images_root : path, optional
        Where the memory's images lie now, if they have moved.
    n_matches : int
        Memory images to show, at most, each with one match.
    n_classes : int
        Classes in the bar chart.

    Raises
    ------
    InputError
        The result has no match table, was loaded from a file, or has no such image.
    ImageError
        An image cannot be read.
    """
    votes = query_votes(result, i, n_telling=n_matches)
    if result.sources is None:
        raise InputError(
            "this classification was loaded from a file and does not say where its images lie; classify "
            "them again, or give images to query_figure"
        )
    memory, transform = result.sources.memory, result.sources.memory.settings.transform
    kept = memory.images if images_root is None else memory.images.relocated(Path(images_root))
    matched = sorted(set(votes.telling.image.tolist()))
    try:
        seen = {row: SeenImage.as_recorded(show_image(kept, row), transform) for row in matched}
    except ImageError as error:
        raise ImageError(
            f"{error}; if the memory's images have moved, say where with images_root (--images-root)"
        ) from None
    own = SeenImage.as_recorded(show_image(result.sources.queries, int(result.rows[i])), transform)
    return query_figure(votes, own, seen, n_classes=n_classes)


@takes(QueryVotes)
def query_figure(
    votes: QueryVotes, query: SeenImage, memory_images: Mapping[int, SeenImage], *, n_classes: int = 8
) -> Figure:
    """Draw a query beside its most telling matches, its pixels' votes and its class likelihoods.

    Numbers pair a query pixel with the memory pixel it matched. Colors are classes, the same in all
    parts: those with the largest likelihood have one each, all others are gray.

    Parameters
    ----------
    votes : QueryVotes
        From `hueprobe.observations.query_votes`.
    query : SeenImage
        The image that was asked.
    memory_images : mapping of int to SeenImage
        By memory row, at least those in `votes.telling.image`.
    n_classes : int
        Classes in the bar chart, most likely first; the true one is added where it is not among them.

    Returns
    -------
    Figure
        As wide as a page of a paper (6.9 inches).

    Raises
    ------
    InputError
        The image of a listed match is missing.
    """
    telling = votes.telling
    missing = sorted({int(row) for row in telling.image} - set(memory_images))
    if missing:
        raise InputError(f"memory_images lacks row {missing[0]}; give every row in votes.telling.image")
    colors = class_colors(votes)
    n_rows = max(1, -(-len(telling) // _COLUMNS))
    with composing(PAGE, 2.6 + 1.6 * max(n_rows, 2)) as figure:
        parts: Any = figure.subfigures(2, 2, width_ratios=(1, 1.5), height_ratios=(1.6 * max(n_rows, 2), 2.3))
        (left, right), (maps, bars) = parts
        ax = left.add_subplot()
        draw_image(ax, query, votes.grid)
        true = f"\nclass: {shortened(votes.true_class, 40)}" if votes.true_class is not None else ""
        ax.set_title(f"query: {shortened(votes.name, 40)}{true}")
        if query.box is None:
            ax.set_xlabel("whole image (the part seen is not recorded)")
        if not len(telling):
            blank = right.add_subplot()
            blank.axis("off")
            blank.text(0.5, 0.5, "no match", ha="center", va="center", color=GRAY)
        for i in range(len(telling)):
            class_id = int(telling.match_class[i])
            color = colors[class_id] if class_id >= 0 else GRAY
            y, x = int(telling.query_y[i]), int(telling.query_x[i])
            mark_cell(ax, query, votes.grid, y, x, color=color, label=str(i + 1))
            match_ax = right.add_subplot(n_rows, _COLUMNS, i + 1)
            image = memory_images[int(telling.image[i])]
            draw_image(match_ax, image)
            y, x = int(telling.y[i]), int(telling.x[i])
            mark_cell(match_ax, image, telling.grid, y, x, color=color, label=str(i + 1), beside=True)
            match_ax.set_title(_caption(votes, i, image), fontsize=6.5)
        vote_map(votes, ax=maps.add_subplot())
        class_likelihoods(votes, n_classes=n_classes, ax=bars.add_subplot())
    return figure


@takes(QueryVotes)
def vote_map(votes: QueryVotes, *, ax: Axes | None = None) -> Axes:
    """Draw a square for each pixel: its color the class that got most kernel weight, its area the share.

    Numbers are those of `votes.telling`.

    Parameters
    ----------
    votes : QueryVotes
    ax : Axes, optional
    """
    colors = class_colors(votes)
    with drawing(ax, height=3.2) as ax:
        y, x = votes.grid.rows_and_columns()
        side = 0.95 * np.sqrt(votes.share)
        voted = votes.leading >= 0
        squares = [
            Rectangle((cx - s / 2, cy - s / 2), s, s)
            for cx, cy, s in zip(x[voted], y[voted], side[voted], strict=True)
        ]
        faces = [colors[c] for c in votes.leading[voted]]
        ax.add_collection(PatchCollection(squares, facecolor=faces, edgecolor="none"))
        halo = [effects.withStroke(linewidth=1.5, foreground="white")]
        for i in range(len(votes.telling)):
            ax.text(
                int(votes.telling.query_x[i]), int(votes.telling.query_y[i]), str(i + 1),
                ha="center", va="center", fontsize=6.5, fontweight="bold", color=INK, path_effects=halo,
            )  # fmt: skip
        if not voted.any():
            ax.text(0.5, 0.5, "no votes", ha="center", va="center", color=GRAY, transform=ax.transAxes)
        cell_axes(ax, votes.grid)
        ax.set_title("votes: color is the leading class of a cell,\narea its share of the cell's weight")
        for spine in ax.spines.values():
            spine.set(visible=True, color=PALE)
    return ax


@takes(QueryVotes)
def class_likelihoods(votes: QueryVotes, *, n_classes: int = 8, ax: Axes | None = None) -> Axes:
    """Draw the normalized likelihoods of the most likely classes; predicted and true class are named.

    Classes without any likelihood are left out, save the true one.

    Parameters
    ----------
    votes : QueryVotes
    n_classes : int
        Bars; one more for the true class where it is not among them.
    ax : Axes, optional
    """
    colors = class_colors(votes)
    ranked = _ranked(votes)
    shown = [c for c in ranked if votes.likelihood[c] > 0][:n_classes] or ranked[:n_classes]
    true = votes.classes.index(votes.true_class) if votes.true_class in votes.classes else None
    if true is not None and true not in shown:
        shown.append(true)
    with drawing(ax, height=0.7 + 0.2 * len(shown)) as ax:
        values = votes.likelihood[shown]
        ax.barh(range(len(shown)), values, color=[colors[c] for c in shown], height=0.75)
        for row, (c, value) in enumerate(zip(shown, values, strict=True)):
            marks = ["predicted (tie)" if votes.tie else "predicted"] * (c == votes.predicted)
            marks += ["true"] * (c == true)
            led = votes.leads(c)
            marks.insert(0, f"{led} {'cell' if led == 1 else 'cells'}")
            ax.annotate(
                f"{value:.3f}  {', '.join(marks)}", (value, row),
                xytext=(3, 0), textcoords="offset points", va="center", fontsize=6.5,
            )  # fmt: skip
        ax.set_yticks(range(len(shown)), [shortened(votes.classes[c]) for c in shown])
        top = values.max(initial=0.0) or 1.0
        some = f"{len(shown)} of {len(votes.classes)}" if len(shown) < len(votes.classes) else len(shown)
        ax.set(
            xlim=(0, 2.0 * top), ylim=(max(len(shown), 5) - 0.4, -0.6),
            xticks=[tick for tick in MaxNLocator(5).tick_values(0, top) if tick <= 1.05 * top],
            xlabel="likelihood (normalized, sums to 1 over all classes)",
            title=f"classes: {some}; cells: those of {votes.grid.n_cells} that a class leads",
        )  # fmt: skip
        if votes.predicted < 0:
            text = "no prediction: no match has a class"
            ax.text(0.5, 0.5, text, ha="center", va="center", color=GRAY, transform=ax.transAxes)
    return ax


def class_colors(votes: QueryVotes) -> tuple[str, ...]:
    """Return a color for each class: the likeliest get one of their own, all others are gray."""
    colors = [GRAY] * len(votes.classes)
    for c, color in zip(_ranked(votes), CATEGORIES, strict=False):
        if votes.likelihood[c] > 0:
            colors[c] = color
    return tuple(colors)


def _ranked(votes: QueryVotes) -> list[int]:
    """Return class ids, most likely first, the lower id in ties."""
    ranked: list[int] = np.argsort(-votes.likelihood, kind="stable").tolist()
    return ranked


def _caption(votes: QueryVotes, i: int, image: SeenImage) -> str:
    telling = votes.telling
    class_id = int(telling.match_class[i])
    name = shortened(telling.classes[class_id]) if class_id >= 0 else "(no class)"
    where = "" if image.box is not None else f"\nrow {telling.y[i]}, column {telling.x[i]}"
    share, cells = votes.telling_share[i], votes.telling_cells[i]
    tells = "" if np.isnan(share) else f"{share:.1%} of likelihood\n"
    numbers = f"{tells}{cells} {'cell' if cells == 1 else 'cells'}, distance {telling.distance[i]:.2f}"
    return f"{i + 1}  {name}{where}\n{numbers}"
