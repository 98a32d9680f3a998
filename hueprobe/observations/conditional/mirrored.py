"""Mirror controls: whether match locations follow content or position.

If *only the queries* are mirrored left to right, a match that follows position stays in the query cell. A
match that follows content lands in the mirrored cell, where that content is in unmirrored images.
"""

from dataclasses import dataclass

import numpy as np

from hueprobe.arguments import takes
from hueprobe.errors import ShapeError
from hueprobe.matches import Matches
from hueprobe.observations.units.radial import require_grid
from hueprobe.observations.units.weighted import weighted_matches
from hueprobe.stats.intervals import Interval, ratio_influence


@dataclass(frozen=True)
class ContentOrPosition:
    """Shares of mirrored queries' matches that follow content or position.

    Cells of an odd grid's middle column are left out.

    Attributes
    ----------
    n : int
        Number of matches.
    position : Interval
        Share of matches in the query cell.
    content : Interval
        Share of matches in its mirror image.
    content_less_position : Interval
        Content minus position; above 0 if more matches follow content.
    """

    n: int
    position: Interval
    content: Interval
    content_less_position: Interval


@takes(Matches)
def content_or_position(matches: Matches) -> ContentOrPosition:
    """Measure whether matches follow content or position, with only the queries mirrored left to right.

    Parameters
    ----------
    matches : Matches
        Matches of mirrored queries; query cells are those of the mirrored image.

    Returns
    -------
    ContentOrPosition
        Both shares and their difference.

    Raises
    ------
    InputError, ShapeError
        A 1x1 grid; queries and memory of different grids.

    See Also
    --------
    hueprobe.studies.observe : Runs the control `mirror-queries`.

    Examples
    --------
    Without mirroring, matches that follow content and position are those of the query's own cell:

    >>> found = hp.observations.conditional.content_or_position(matches)
    >>> found.position.estimate > found.content.estimate
    True
    """
    require_grid(matches.grid, "content or position")
    if matches.grid != matches.query_grid:
        raise ShapeError("queries and memory have different grids; prepare queries like the memory's images")
    image = matches.grid.width - 1 - matches.query_x
    matches = matches.select(image != matches.query_x)
    image = matches.grid.width - 1 - matches.query_x
    table = weighted_matches(matches, weighting="count")
    everything = np.ones(len(matches), bool)
    same_row = matches.y == matches.query_y
    position, psi_position = ratio_influence(same_row & (matches.x == matches.query_x), everything)
    content, psi_content = ratio_influence(same_row & (matches.x == image), everything)
    return ContentOrPosition(
        n=len(matches),
        position=table.interval(position, psi_position, everything),
        content=table.interval(content, psi_content, everything),
        content_less_position=table.interval(content - position, psi_content - psi_position, everything),
    )


def position_slope(before: np.ndarray, after: np.ndarray) -> float:
    """Return the slope of class positions under a control on those without it.

    Parameters
    ----------
    before, after : ndarray of shape (n_classes,)
        One coordinate of each class (`ClassPositions.points()`). Classes that are NaN in either are left out.

    Returns
    -------
    float
        1 where classes stay, -1 where they are mirrored; NaN for fewer than two classes or equal positions.
    """
    known = ~np.isnan(before) & ~np.isnan(after)
    if known.sum() < 2:
        return float("nan")
    x, y = before[known] - before[known].mean(), after[known] - after[known].mean()
    return float(x @ y / (x @ x)) if x.any() else float("nan")
