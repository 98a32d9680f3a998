"""Does location follow content or position: what the mirror controls show.

With the *queries alone* mirrored left to right, a match that follows position stays in the cell that asks;
one that follows content lands in its mirror image, where that content is in images that are not mirrored.
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
    """What matches of mirrored queries follow. Cells of an odd grid's middle column are left out.

    Attributes
    ----------
    n : int
        Matches.
    position : Interval
        Share in the cell that asks.
    content : Interval
        Share in its mirror image.
    content_less_position : Interval
        Above 0 where content is followed more.
    """

    n: int
    position: Interval
    content: Interval
    content_less_position: Interval


@takes(Matches)
def content_or_position(matches: Matches) -> ContentOrPosition:
    """Measure what matches follow when the queries alone are mirrored left to right.

    Parameters
    ----------
    matches : Matches
        Of mirrored queries; query cells are those of the mirrored image.
    """
    require_grid(matches.grid, "content or position")
    if matches.grid != matches.query_grid:
        raise ShapeError("queries and memory have different grids; ask images prepared as the memory's were")
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
    """Return the slope of class positions after a control on those before it.

    Parameters
    ----------
    before, after : ndarray of shape (n_classes,)
        One coordinate of each class (`ClassPositions.points()`); a class that is NaN in either is left out.

    Returns
    -------
    float
        1 where classes stay, -1 where they are mirrored; NaN where fewer than two are left or all are alike.
    """
    known = ~np.isnan(before) & ~np.isnan(after)
    if known.sum() < 2:
        return float("nan")
    x, y = before[known] - before[known].mean(), after[known] - after[known].mean()
    return float(x @ y / (x @ x)) if x.any() else float("nan")
