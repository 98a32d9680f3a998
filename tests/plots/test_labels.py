"""Every point is named, and no name covers another, a point, or the end of the paper."""

import numpy as np
import pytest
from matplotlib.legend import Legend
from matplotlib.text import Text

from hueprobe import plots
from hueprobe.grid import Grid
from hueprobe.observations.conditional import conditional
from hueprobe.observations.energy import measure as measure_energy
from hueprobe.observations.hue.relations import Correlation, EnergyPosition
from hueprobe.observations.locations import maps as locations
from hueprobe.plots.style import shortened
from hueprobe.stats.intervals import Interval
from tests.plots.readable import require_readable, shown_texts
from tests.plots.test_directions import positions
from tests.plots.test_hue import disc
from tests.plots.test_locations import table

LONG = "Tomato___Spider_mites_Two-spotted_spider_mite_{}"


def require_named(figure, ax, points, names):
    """Assert that each point's own text is nearer to it than that of any other, or has a line to it."""
    n = len(names)
    labels = [text for text in ax.texts if text.get_text()]
    if n > 8:
        keys = [text.get_text() for legend in figure.findobj(Legend) for text in legend.texts]
        expected = {f"{i + 1}  {shortened(name, 28)}" for i, name in enumerate(names)}
        assert expected <= set(keys)
        names = [str(i + 1) for i in range(n)]
    assert sorted(text.get_text() for text in labels) == sorted(shortened(name) for name in names)
    dots = ax.transData.transform(points)
    for label in labels:  # no text on a dot
        box = Text.get_window_extent(label)
        inside = ((dots > box.min) & (dots < box.max)).all(axis=1)
        assert not inside.any(), label.get_text()


def classes_of(n):
    return [LONG.format(i) if n > 30 else f"class {i}" for i in range(n)]


@pytest.mark.parametrize("n", [1, 2, 20, 38, pytest.param(101, marks=pytest.mark.slow)])
def test_class_positions(n):
    points = np.random.default_rng(n).normal(0, 0.4, (n, 2))
    found = positions(points, classes=classes_of(n))
    ax = plots.class_directions(found)
    require_named(ax.figure, ax, points, found.classes)
    require_readable(ax.figure)
    assert f"{n} classes, {5 * n} images" in ax.get_title()


@pytest.mark.parametrize("n", [2, 38])
def test_points_in_one_place_have_names_of_their_own(n):
    points = np.full((n, 2), 0.3) + np.random.default_rng(n).normal(0, 0.002, (n, 2))
    ax = plots.class_directions(positions(points, classes=classes_of(n)))
    require_named(ax.figure, ax, points, classes_of(n))
    require_readable(ax.figure)


@pytest.mark.parametrize("n", [2, 20, 38])
def test_class_hues(n):
    rng = np.random.default_rng(n)
    hues, lengths = rng.uniform(-np.pi, np.pi, n), rng.random(n)
    result = disc(hues, lengths)
    ax = plots.class_hues(result)
    points = lengths[:, None] * np.stack([np.cos(hues), np.sin(hues)], axis=1)
    require_named(ax.figure, ax, points, result.classes)
    require_readable(ax.figure)


@pytest.mark.parametrize("n", [2, 20, 38])
def test_energy_and_matches(n):
    rng = np.random.default_rng(n)
    names, points, centroids = classes_of(n), rng.normal(0, 1, (n, 2)), rng.normal(0, 0.3, (n, 2))
    energy = type("E", (), {"classes": tuple(names), "centroids": centroids})
    matched = type(
        "L", (), {"classes": tuple(names), "positions": positions(points, classes=names)}
    )  # fmt: skip
    missing = Correlation(Interval(np.nan, np.nan, np.nan, np.nan, -1), np.nan, n)
    known = Correlation(Interval(0.5, np.nan, np.nan, np.nan, 0), 0.3, n)
    # What is drawn from is made by hand, so it is not the measured kind that the call asks for.
    figure = plots.energy_and_matches.__wrapped__(energy, matched, relation=EnergyPosition(missing, known))
    for part, ax in enumerate(figure.axes):
        require_named(figure, ax, np.stack([centroids[:, part], points[:, part]], axis=1), names)
    require_readable(figure)
    assert f"not measurable (n = {n} classes)" in figure.axes[0].get_title()
    assert figure.axes[1].get_title().endswith("r = 0.50, p = 0.3")


@pytest.mark.parametrize("n", [2, 20, 38])
def test_maps_of_classes(n):
    maps = np.random.default_rng(n).random((2 * n, 3, 3))
    energy = measure_energy(maps, Grid(3, 3), image_class=np.arange(2 * n) % n, classes=classes_of(n))
    figure = plots.class_energy_maps(energy)
    require_readable(figure)
    titles = [ax.get_title() for ax in figure.axes[:n]]
    assert all(title.endswith("\n2 images") for title in titles)
    assert len(set(titles)) > n / 2 and figure.axes[n].get_ylabel()  # names still differ; a color bar


def test_every_figure_of_locations_and_conditional_matches():
    found = locations.measure(table())
    names = ("match_locations", "same_class_shares", "class_locations")
    figures = [getattr(plots, name)(found) for name in names]
    figures += [plots.location_map(found).figure, plots.match_profile(found).figure]
    given = conditional.measure(table(), seed=0)
    figures += [plots.conditional_summary(given), plots.conditional_maps(given)]
    for figure in figures:
        require_readable(figure)
        shown = " ".join(text for text, _ in shown_texts(figure))
        assert "matches" in shown or "images" in shown
