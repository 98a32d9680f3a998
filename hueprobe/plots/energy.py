"""Plots of observation 1: where in the image plane activation energy lies."""

from collections.abc import Mapping, Sequence

from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from hueprobe.arguments import require_kind, takes
from hueprobe.errors import InputError
from hueprobe.observations.energy import Energy
from hueprobe.plots.maps import (
    bar_share,
    cell_map,
    class_ids,
    label_outer,
    largest,
    map_name,
    map_size,
    profile_line,
    small_multiples,
    title_map,
    uniform_line,
)
from hueprobe.plots.style import (
    CATEGORIES,
    ENERGY,
    LINESTYLES,
    colorbar,
    composing,
    drawing,
    measurable,
    shortened,
)

_UNIT = "energy, multiple of an image's mean"


@takes(Energy)
def energy_map(
    result: Energy, *, vmin: float = 0.0, vmax: float | None = None, show_colorbar: bool = True,
    ax: Axes | None = None,
) -> Axes:  # fmt: skip
    """Draw the mean energy map; a cross marks the center from which distances are measured.

    The title gives rho with its interval; rho is below 1 if energy is concentrated near the center.

    Parameters
    ----------
    result : Energy
        From `hueprobe.observations.energy.measure`.
    vmin : float, default=0.0
        Lower end of the color scale, in multiples of an image's mean energy.
    vmax : float, optional
        Upper end, in the same unit; the largest value of the map by default.
    show_colorbar : bool, default=True
        Draw a color bar beside the map.
    ax : Axes, optional
        Where to draw; a new figure's Axes by default.

    Returns
    -------
    Axes
        The Axes drawn into.

    See Also
    --------
    hueprobe.plots.energy_maps : Several networks on one scale.
    hueprobe.plots.energy_profile : Energy by distance from the center.

    Examples
    --------
    >>> energy = hp.observations.energy.measure(memory.energy(), memory.grid)
    >>> ax = hp.plots.energy_map(energy)
    >>> ax.images[0].get_array().shape
    (7, 7)
    """
    norm = Normalize(vmin, vmax if vmax is not None else largest([result.mean_map]))
    with drawing(ax, height=2.6) as ax:
        image = cell_map(result.mean_map, ax, cmap=ENERGY, norm=norm, center=result.center)
        ax.set_title(_rho(result))
        if show_colorbar:
            colorbar(image, ax, _UNIT)
    return ax


def energy_maps(results: Energy | Mapping[str, Energy], *, columns: int = 4) -> Figure:
    """Draw the mean maps of several networks side by side on one scale.

    Parameters
    ----------
    results : Energy or mapping of str to Energy
        One result, or several by the network's name.
    columns : int, default=4
        Maps per row.

    Returns
    -------
    Figure
        A new figure, not managed by pyplot.

    Raises
    ------
    InputError
        No result is given.

    See Also
    --------
    hueprobe.plots.energy_map : One map.
    hueprobe.plots.class_energy_maps : One map per class.

    Examples
    --------
    >>> energy = hp.observations.energy.measure(memory.energy(), memory.grid)
    >>> figure = hp.plots.energy_maps({"layer 1": energy, "layer 3": energy})
    >>> [ax.get_title().splitlines()[0] for ax in figure.axes[:2]]
    ['layer 1', 'layer 3']
    """
    results = _named(results)
    if not results:
        raise InputError("no energy results to draw; give at least one")
    vmax = largest([result.mean_map for result in results.values()])
    columns = min(columns, len(results))
    with composing(*map_size(len(results), columns)) as figure:
        axes = small_multiples(figure, len(results), columns=columns)
        for ax, (name, result) in zip(axes, results.items(), strict=True):
            energy_map(result, vmax=vmax, show_colorbar=False, ax=ax)
            title_map(ax, map_name(name, columns), _rho(result))
        if len({result.grid for result in results.values()}) == 1:
            label_outer(axes, columns=columns)
        colorbar(axes[0].images[0], axes, _UNIT, shrink=bar_share(len(results), columns))
    return figure


@takes(Energy)
def class_energy_maps(result: Energy, *, classes: Sequence[str] | None = None, columns: int = 5) -> Figure:
    """Draw the mean map of each class on one scale.

    Parameters
    ----------
    result : Energy
        From `hueprobe.observations.energy.measure`, with classes.
    classes : sequence of str, optional
        Names of the classes to draw; all by default.
    columns : int, default=5
        Maps per row.

    Returns
    -------
    Figure
        A new figure, not managed by pyplot.

    Raises
    ------
    InputError
        A name is unknown, or there are no classes.

    See Also
    --------
    hueprobe.plots.energy_map : The mean over all classes.
    hueprobe.plots.class_locations : Maps of the matches of each class.

    Examples
    --------
    >>> energy = hp.observations.energy.measure(
    ...     memory.energy(), memory.grid, image_class=memory.image_class, classes=memory.classes
    ... )
    >>> figure = hp.plots.class_energy_maps(energy, classes=["circle", "square"])
    >>> [ax.get_title().splitlines()[0] for ax in figure.axes[:2]]
    ['circle', 'square']
    """
    shown = class_ids(result.classes, classes)
    norm = Normalize(0.0, largest(result.class_maps[shown]))
    columns = min(columns, len(shown))
    with composing(*map_size(len(shown), columns)) as figure:
        axes = small_multiples(figure, len(shown), columns=columns)
        for ax, c in zip(axes, shown, strict=True):
            image = cell_map(result.class_maps[c], ax, cmap=ENERGY, norm=norm, center=result.center)
            title_map(ax, map_name(result.classes[c], columns), f"{result.class_images[c]} images")
        label_outer(axes, columns=columns)
        colorbar(image, axes, _UNIT, shrink=bar_share(len(shown), columns))
    return figure


def energy_profile(results: Energy | Mapping[str, Energy], *, ax: Axes | None = None) -> Axes:
    """Draw energy by distance from the center, with 95 % intervals over images.

    Parameters
    ----------
    results : Energy or mapping of str to Energy
        One result, or several by the network's name. If their grids differ, the unit of distance is half
        the grid's longer side instead of one cell.
    ax : Axes, optional
        Where to draw; a new figure's Axes by default.

    Returns
    -------
    Axes
        The Axes drawn into.

    See Also
    --------
    hueprobe.plots.energy_map : The map that the profile summarizes.
    hueprobe.plots.match_profile : The same for matches.

    Examples
    --------
    >>> energy = hp.observations.energy.measure(memory.energy(), memory.grid)
    >>> ax = hp.plots.energy_profile(energy)
    >>> ax.get_xlabel(), ax.get_title()
    ('distance from the center (cells)', 'n = 12 images, bands: 95 % intervals')
    """
    named = _named(results)
    same_grid = len({result.grid for result in named.values()}) < 2
    with drawing(ax) as ax:
        for i, (name, result) in enumerate(named.items()):
            per = 1.0 if same_grid else max(result.grid.shape) / 2
            color = CATEGORIES[i % len(CATEGORIES)]
            style = LINESTYLES[i // len(CATEGORIES) % len(LINESTYLES)]
            profile_line(result.profile, ax, color=color, label=shortened(name, 28), per=per, linestyle=style)
        uniform_line(ax)
        unit = "cells" if same_grid else "half the grid's longer side is 1"
        ax.set(xlabel=f"distance from the center ({unit})", ylabel=_UNIT, ylim=(0, None))
        if named.keys() - {""}:
            ax.legend()
        counts = sorted({found.n_images for found in named.values()})
        n = " to ".join(f"{count:,}" for count in dict.fromkeys((counts[0], counts[-1]))) if counts else "0"
        ax.set_title(f"n = {n} images, bands: 95 % intervals")
    return ax


def _named(results: Energy | Mapping[str, Energy]) -> dict[str, Energy]:
    require_kind("results", results, Energy, Mapping)
    named = {"": results} if isinstance(results, Energy) else dict(results)
    for name, result in named.items():
        require_kind(f"results[{name!r}]", result, Energy)
    return named


def _rho(result: Energy) -> str:
    return f"ρ = {measurable(result.rho, result.n_images)}, n = {result.n_images:,}"
