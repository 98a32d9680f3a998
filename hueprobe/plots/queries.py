"""Plots of one classified image: the matches of its pixels, their votes and the class likelihoods."""

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

_COLUMNS = 3  # matched images per row


@takes(Classification)
def query(
    result: Classification,
    i: int = 0,
    *,
    images_root: str | Path | None = None,
    n_matches: int = 6,
    n_classes: int = 8,
) -> Figure:
    """Draw one classified image with its most informative matches, its votes and its class likelihoods.

    The image files are read again, at the paths where they were classified and where the memory was built.

    Parameters
    ----------
    result : Classification
        A result with a match table, for image files or a Dataset.
    i : int, default=0
        Position in `result.images`.
    images_root : path, optional
        Folder of the memory's images if they have moved; the recorded folder by default.
    n_matches : int, default=6
        Largest number of memory images to show, each with one match.
    n_classes : int, default=8
        Number of classes in the bar chart.

    Returns
    -------
    Figure
        As wide as a page of a paper (6.9 inches), not managed by pyplot.

    Raises
    ------
    InputError
        The result has no match table, was loaded from a file, or has no such image.
    ImageError
        An image cannot be read.

    See Also
    --------
    hueprobe.plots.query_figure : The same with images of your own.
    hueprobe.plots.vote_map : The votes alone.
    hueprobe.plots.class_likelihoods : The likelihoods alone.

    Examples
    --------
    >>> figure = hp.plots.query(result, 0, n_matches=2)
    >>> figure.axes[0].get_title().splitlines()
    ['query: circle/circle0.png', 'class: circle']
    """
    votes = query_votes(result, i, n_telling=n_matches)
    if result.sources is None:
        raise InputError(
            "this classification was loaded from a file and does not record where its images are; classify "
            "them again, or pass images to query_figure"
        )
    memory, transform = result.sources.memory, result.sources.memory.settings.transform
    kept = memory.images if images_root is None else memory.images.relocated(Path(images_root))
    matched = sorted(set(votes.telling.image.tolist()))
    try:
        seen = {row: SeenImage.as_recorded(show_image(kept, row), transform) for row in matched}
    except ImageError as error:
        raise ImageError(
            f"{error}; if the memory's images have moved, give their folder with images_root (--images-root)"
        ) from None
    own = SeenImage.as_recorded(show_image(result.sources.queries, int(result.rows[i])), transform)
    return query_figure(votes, own, seen, n_classes=n_classes)


@takes(QueryVotes)
def query_figure(
    votes: QueryVotes, query: SeenImage, memory_images: Mapping[int, SeenImage], *, n_classes: int = 8
) -> Figure:
    """Draw a query image with its most informative matches, its pixels' votes and its class likelihoods.

    Numbers pair a query pixel with the memory pixel it matched. Colors are classes, the same in all
    parts: the most likely classes have one color each, all others are gray.

    Parameters
    ----------
    votes : QueryVotes
        From `hueprobe.observations.accuracy.query_votes`.
    query : SeenImage
        The query image.
    memory_images : mapping of int to SeenImage
        Memory images by row, at least those in `votes.telling.image`.
    n_classes : int, default=8
        Number of classes in the bar chart, most likely first. The true class is added if it is not among
        them.

    Returns
    -------
    Figure
        As wide as a page of a paper (6.9 inches), not managed by pyplot.

    Raises
    ------
    InputError
        The image of one of the matches is missing.

    See Also
    --------
    hueprobe.plots.query : Read the images of a classification and draw them.
    hueprobe.plots.SeenImage : An image and its visible part.

    Examples
    --------
    >>> votes = hp.observations.accuracy.query_votes(result, 0)
    >>> rows = {0, *votes.telling.image.tolist()}
    >>> seen = {row: hp.plots.SeenImage(hp.images.show_image(memory.images, row), None) for row in rows}
    >>> figure = hp.plots.query_figure(votes, seen[0], seen)
    >>> figure.axes[0].get_xlabel()
    'whole image (the visible part is not recorded)'
    """
    telling = votes.telling
    missing = sorted({int(row) for row in telling.image} - set(memory_images))
    if missing:
        raise InputError(f"memory_images has no row {missing[0]}; give every row in votes.telling.image")
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
            ax.set_xlabel("whole image (the visible part is not recorded)")
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
    """Draw a square for each pixel: color is the class with most kernel weight, area is its share of weight.

    Numbers are those of the matches in `votes.telling`.

    Parameters
    ----------
    votes : QueryVotes
        From `hueprobe.observations.accuracy.query_votes`.
    ax : Axes, optional
        Where to draw; a new figure's Axes by default.

    Returns
    -------
    Axes
        The Axes drawn into.

    See Also
    --------
    hueprobe.plots.query : The votes beside the query and its matches.
    hueprobe.observations.accuracy.query_votes : Compute the votes.

    Examples
    --------
    >>> votes = hp.observations.accuracy.query_votes(result, 0)
    >>> ax = hp.plots.vote_map(votes)
    >>> ax.get_xlabel(), ax.get_ylabel()
    ('column x', 'row y')
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
    """Draw the normalized likelihoods of the most likely classes, and mark the predicted and the true class.

    Classes of likelihood 0 are left out, except the true class.

    Parameters
    ----------
    votes : QueryVotes
        From `hueprobe.observations.accuracy.query_votes`.
    n_classes : int, default=8
        Number of bars. The true class is added if it is not among them.
    ax : Axes, optional
        Where to draw; a new figure's Axes by default.

    Returns
    -------
    Axes
        The Axes drawn into.

    See Also
    --------
    hueprobe.plots.query : The likelihoods beside the query and its matches.

    Examples
    --------
    >>> votes = hp.observations.accuracy.query_votes(result, 0)
    >>> ax = hp.plots.class_likelihoods(votes)
    >>> sorted(label.get_text() for label in ax.get_yticklabels())
    ['circle', 'square', 'triangle']
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
    """Return a color for each class: the most likely get a color of their own, all others are gray."""
    colors = [GRAY] * len(votes.classes)
    for c, color in zip(_ranked(votes), CATEGORIES, strict=False):
        if votes.likelihood[c] > 0:
            colors[c] = color
    return tuple(colors)


def _ranked(votes: QueryVotes) -> list[int]:
    """Return class ids, most likely first, and the lower id first in ties."""
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
