"""Plot of where the matches of single images land."""

from pathlib import PurePosixPath

from matplotlib.figure import Figure

from hueprobe.arguments import takes
from hueprobe.errors import InputError
from hueprobe.observations.locations.of_images import ImageLocations
from hueprobe.plots.maps import (
    bar_share,
    cell_map,
    label_outer,
    map_name,
    map_size,
    over_base,
    ratio_colorbar,
    ratio_norm,
    small_multiples,
    tell_maps,
    title_map,
)
from hueprobe.plots.mean_arrows import fitting_stretch, mean_arrow, stretch_text
from hueprobe.plots.style import RATIO, composing

_UNIT = "p(x, y), multiple of the base rate"


@takes(ImageLocations)
def image_locations(result: ImageLocations, *, columns: int = 5, stretch: float | None = None) -> Figure:
    """Draw p(x, y) of the same-class matches of single images, over the base rate, with an arrow on each map.

    Arrows point from the center to the mean position of the matches. Where they have one direction for all
    images of a class, its matches lean to an angle (claim 3b). One image is little evidence:
    `hueprobe.plots.class_locations` tells how far the images agree.

    Parameters
    ----------
    result : ImageLocations
        From `hueprobe.observations.locations.image_locations`.
    columns : int, default=5
        Maps per row.
    stretch : float, optional
        How many times as long as the distance in cells arrows are; by default as long as fits on the grid.

    Returns
    -------
    Figure
        A new figure, not managed by pyplot.

    Raises
    ------
    InputError
        There are no images.

    See Also
    --------
    hueprobe.plots.class_locations : The same by class.

    Examples
    --------
    >>> found = hp.observations.locations.image_locations(matches, ["circle"], n_each=2)
    >>> figure = hp.plots.image_locations(found)
    >>> [ax.get_title().splitlines()[:2] for ax in figure.axes[:2]]
    [['circle', 'circle0'], ['circle', 'circle1']]
    """
    n = len(result.paths)
    if not n:
        raise InputError("no image has same-class matches, so there is no map of one to draw")
    ratios = over_base(result.density, result.base)
    norm = ratio_norm([ratios])
    columns = min(columns, n)
    if stretch is None:
        stretch = fitting_stretch(result.u, result.v, result.grid.shape)
    with composing(*map_size(n, columns, lines=3, told=2)) as figure:
        axes = small_multiples(figure, n, columns=columns)
        for i, ax in enumerate(axes):
            image = cell_map(ratios[i], ax, cmap=RATIO, norm=norm)
            mean_arrow(ax, result.u[i], result.v[i], center=result.center, stretch=stretch)
            names = [
                map_name(name, columns) for name in (result.classes[i], PurePosixPath(result.paths[i]).stem)
            ]
            title_map(ax, *names, f"{result.n_matches[i]:,} matches")
        label_outer(axes, columns=columns)
        ratio_colorbar(image, axes, _UNIT, shrink=bar_share(n, columns))
        tell_maps(figure, "same-class matches of single images", stretch_text(stretch))
    return figure
