"""All figures of one result: the drawn half of the form that every observation has."""

import warnings
from collections.abc import Callable
from functools import singledispatch
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from hueprobe.errors import HueprobeWarning, InputError
from hueprobe.observations.accuracy.grid import AccuracyGrid
from hueprobe.observations.conditional.conditional import Conditional
from hueprobe.observations.energy import Energy
from hueprobe.observations.hue.hue import Hue
from hueprobe.observations.locations.maps import Locations
from hueprobe.plots.accuracy import accuracy_figure
from hueprobe.plots.conditional import conditional_maps, conditional_summary
from hueprobe.plots.directions import class_directions
from hueprobe.plots.energy import class_energy_maps, energy_maps, energy_profile
from hueprobe.plots.hue import angle_accuracy, axis_information, class_hues
from hueprobe.plots.locations import class_locations, match_locations, match_profile, same_class_shares

Drawings = dict[str, Callable[[], Figure]]


def figures(result: Any) -> dict[str, Figure]:
    """Return every figure of an observation's result, by name.

    Parameters
    ----------
    result : Energy, AccuracyGrid, Locations, Conditional or Hue
        What a `measure` of `hueprobe.observations` returned.

    Returns
    -------
    dict of str to Figure

    Raises
    ------
    InputError
        The result is of no observation.

    Warns
    -----
    HueprobeWarning
        There is nothing to draw in one of them, such as no same-class match; that one is left out.
    """
    drawn = {}
    for name, draw in _drawings(result).items():
        try:
            drawn[name] = draw()
        except InputError as error:
            warnings.warn(f"no figure {name!r}: {error}", HueprobeWarning, stacklevel=2)
    return drawn


@singledispatch
def _drawings(result: Any) -> Drawings:
    raise InputError(
        f"{type(result).__name__} is no result of an observation; give an Energy, AccuracyGrid, Locations, "
        "Conditional or Hue"
    )


@_drawings.register
def _(result: Energy) -> Drawings:
    drawings: Drawings = {
        "energy_map": lambda: energy_maps({"energy": result}),
        "energy_profile": lambda: _figure(energy_profile(result)),
    }
    if len(result.classes) > 1:
        drawings["energy_by_class"] = lambda: class_energy_maps(result)
    return drawings


@_drawings.register
def _(result: AccuracyGrid) -> Drawings:
    return {"accuracy": lambda: accuracy_figure(result)}


@_drawings.register
def _(result: Locations) -> Drawings:
    return {
        "locations": lambda: match_locations(result),
        "locations_profile": lambda: _figure(match_profile(result)),
        "same_class_shares": lambda: same_class_shares(result),
        "locations_by_class": lambda: class_locations(result),
        "class_positions": lambda: _figure(class_directions(result.positions)),
    }


@_drawings.register
def _(result: Conditional) -> Drawings:
    return {
        "conditional": lambda: conditional_maps(result),
        "conditional_summary": lambda: conditional_summary(result),
    }


@_drawings.register
def _(result: Hue) -> Drawings:
    return {
        "angle_accuracy": lambda: _figure(angle_accuracy(result.accuracy)),
        "axis_information": lambda: _figure(axis_information(result.information)),
        "class_hues": lambda: _figure(class_hues(result)),
    }


def _figure(ax: Axes) -> Figure:
    figure = ax.figure
    assert isinstance(figure, Figure)  # not one part of a larger one
    return figure
