"""Observation 1 in images: where in the image plane activation energy lies."""

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
    """Draw the mean energy map; a cross marks the center that distances are taken from.

    The title gives rho, below 1 for energy near the center, with its interval.

    Parameters
    ----------
    result : Energy
        From `hueprobe.observations.energy`.
    vmin, vmax : float, optional
        Ends of the color scale, in multiples of an image's mean energy; from 0 to the largest value.
    show_colorbar : bool
    ax : Axes, optional
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
        One, or several by the network's name.
    columns : int
        Maps in a row.

    Raises
    ------
    InputError
        No result is given.
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
    classes : sequence of str, optional
        Names to show; all by default.
    columns : int
        Maps in a row.

    Raises
    ------
    InputError
        A name is unknown, or there are no classes.
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
        One, or several by the network's name. Where their grids differ, the distance is given in halves
        of the grid's longer side instead of cells.
    ax : Axes, optional
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
