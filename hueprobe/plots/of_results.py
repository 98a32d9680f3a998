"""All figures of one result of an observation, by name."""

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
from hueprobe.observations.interventions.result import Interventions
from hueprobe.observations.locations.maps import Locations
from hueprobe.plots.accuracy import accuracy_figure
from hueprobe.plots.conditional import conditional_maps, conditional_summary
from hueprobe.plots.directions import class_directions
from hueprobe.plots.energy import class_energy_maps, energy_maps, energy_profile
from hueprobe.plots.hue import angle_accuracy, axis_information, class_hues
from hueprobe.plots.interventions import class_vectors, dose_response, intervention_effects
from hueprobe.plots.locations import class_locations, match_locations, match_profile, same_class_shares
from hueprobe.plots.of_images import image_locations

Drawings = dict[str, Callable[[], Figure]]


def figures(result: Any) -> dict[str, Figure]:
    """Draw every figure of an observation's result, by name.

    Parameters
    ----------
    result : Energy, AccuracyGrid, Locations, Conditional, Hue or Interventions
        A result of one of the `measure` functions in `hueprobe.observations`, or an accuracy grid.

    Returns
    -------
    dict of str to Figure
        Figures by name, such as "energy_map".

    Raises
    ------
    InputError
        The object is not the result of an observation.

    Warns
    -----
    HueprobeWarning
        A figure has nothing to draw, for example no same-class matches; it is left out.

    See Also
    --------
    hueprobe.studies.observe : Measure memories and write a report with these figures.

    Examples
    --------
    >>> given = hp.observations.conditional.measure(matches, seed=0)
    >>> sorted(hp.plots.figures(given))
    ['conditional', 'conditional_summary']
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
        f"{type(result).__name__} is not the result of an observation; give an Energy, AccuracyGrid, "
        "Locations, Conditional, Hue or Interventions"
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
    drawings: Drawings = {
        "locations": lambda: match_locations(result),
        "locations_profile": lambda: _figure(match_profile(result)),
        "same_class_shares": lambda: same_class_shares(result),
        "locations_by_class": lambda: class_locations(result),
        "other_locations_by_class": lambda: class_locations(result, kind="other"),
        "class_positions": lambda: _figure(class_directions(result.positions)),
    }
    if result.images.paths:
        drawings["locations_by_image"] = lambda: image_locations(result.images)
    return drawings


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


@_drawings.register
def _(result: Interventions) -> Drawings:
    drawings: Drawings = {
        "class_vectors": lambda: class_vectors(result),
        "effects": lambda: _figure(intervention_effects(result)),
    }
    if result.responses:
        drawings["dose_response"] = lambda: dose_response(result)
    return drawings


def _figure(ax: Axes) -> Figure:
    figure = ax.figure
    assert isinstance(figure, Figure)  # not a SubFigure
    return figure
