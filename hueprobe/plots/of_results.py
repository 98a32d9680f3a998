"""All figures of one result: the drawn half of the form that every observation has."""

from functools import singledispatch
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from hueprobe.errors import InputError
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


@singledispatch
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
    """
    raise InputError(
        f"{type(result).__name__} is no result of an observation; give an Energy, AccuracyGrid, Locations, "
        "Conditional or Hue"
    )


@figures.register
def _(result: Energy) -> dict[str, Figure]:
    drawn = {
        "energy_map": energy_maps({"energy": result}),
        "energy_profile": _figure(energy_profile(result)),
    }
    if len(result.classes) > 1:
        drawn["energy_by_class"] = class_energy_maps(result)
    return drawn


@figures.register
def _(result: AccuracyGrid) -> dict[str, Figure]:
    return {"accuracy": accuracy_figure(result)}


@figures.register
def _(result: Locations) -> dict[str, Figure]:
    return {
        "locations": match_locations(result),
        "locations_profile": _figure(match_profile(result)),
        "same_class_shares": same_class_shares(result),
        "locations_by_class": class_locations(result),
        "class_positions": _figure(class_directions(result.positions)),
    }


@figures.register
def _(result: Conditional) -> dict[str, Figure]:
    return {
        "conditional": conditional_maps(result),
        "conditional_summary": conditional_summary(result),
    }


@figures.register
def _(result: Hue) -> dict[str, Figure]:
    return {
        "angle_accuracy": _figure(angle_accuracy(result.accuracy)),
        "axis_information": _figure(axis_information(result.information)),
        "class_hues": _figure(class_hues(result)),
    }


def _figure(ax: Axes) -> Figure:
    figure = ax.figure
    assert isinstance(figure, Figure)  # not one part of a larger one
    return figure
