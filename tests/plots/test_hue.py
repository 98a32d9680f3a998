from unittest.mock import Mock

import numpy as np
import pytest
from matplotlib.colors import to_hex

from hueprobe import plots
from hueprobe.errors import InputError
from hueprobe.observations.hue.accuracy import HueAccuracy, PlaneAccuracy
from hueprobe.observations.hue.hue import AxisInformation, Hue
from hueprobe.observations.hue.planes import HueMap, Plane
from hueprobe.plots.style import angle_colors
from hueprobe.stats.intervals import Interval


def interval(estimate, half=0.05):
    return Interval(estimate, estimate - half, estimate + half, half / 2, 10)


def accuracy():
    planes = tuple(
        PlaneAccuracy(
            name,
            interval(angle),
            interval(angle + 0.1),
            interval(0.2),
            0.005,
            interval(0.0),
            0.5,
            interval(-0.1),
        )
        for name, angle in (("pca", 0.4), ("dft", 0.15))
    )
    random = np.array([0.105, 0.125, 0.125, 0.145])
    within = np.array([0.3, 0.4])
    return HueAccuracy(
        100, 10, 0.05, planes, random, within, interval(0.1), interval(0.2, half=0.02), interval(0.9)
    )


def disc(hues, concentration):
    """As much of a Hue as is drawn."""
    n = len(hues)
    return Mock(
        spec=Hue,
        classes=tuple(f"class {i}" for i in range(n)), class_hue=np.array(hues, float),
        class_concentration=np.array(concentration, float), map=hue_map([[0.0]]),
    )  # fmt: skip


def hue_map(hues):
    plane = Plane("pca", np.ones(3) / 3**0.5, np.eye(3)[:2])
    return HueMap(
        plane, np.array([hues], np.float32), np.ones((1, *np.shape(hues)), np.float32), signed=False
    )


def test_angle_accuracy_shows_the_null_the_planes_and_the_ceiling(ax):
    assert plots.angle_accuracy(accuracy(), ax=ax) is ax
    labels = [label.get_text() for label in ax.get_yticklabels()]
    assert labels == [
        "4 random planes", "of the class means", "saturation alone", "one direction", "pca plane",
        "dft plane", "full direction",
    ]  # fmt: skip
    bars = {round(bar.get_x(), 3): bar.get_height() for bar in ax.patches if bar.get_height() > 0}
    assert set(bars) == {0.10, 0.12, 0.14, 0.3, 0.4} and bars[0.12] == 2 * bars[0.10]
    dots = {
        (float(line.get_xdata()[0]), round(float(line.get_ydata()[0]))): to_hex(line.get_markerfacecolor())
        for line in ax.lines
        if line.get_marker() == "o"
    }
    assert set(dots) == {(0.1, 2), (0.2, 3), (0.4, 4), (0.5, 4), (0.15, 5), (0.25, 5), (0.9, 6)}
    assert dots[0.5, 4] == "#ffffff" and dots[0.4, 4] != "#ffffff"
    assert ax.get_xlim() == (0, 1) and [0.05, 0.05] in [list(line.get_xdata()) for line in ax.lines]


def test_axis_information_goes_from_near_to_far(ax):
    result = AxisInformation(
        np.array([0.5, 0.7, 0.9]), tuple(map(interval, (0.3, 0.4, 0.6))), interval(0.3), interval(0.2)
    )
    plots.axis_information(result, ax=ax)
    np.testing.assert_allclose(ax.lines[0].get_xydata(), [(0.5, 0.3), (0.7, 0.4), (0.9, 0.6)])
    segments = ax.collections[0].get_segments()
    np.testing.assert_allclose(segments[0], [(0.5, 0.25), (0.5, 0.35)])


def test_class_hues_lie_at_their_angle_and_concentration(ax):
    result = disc([0.0, np.pi / 2, np.nan], [0.5, 1.0, np.nan])
    plots.class_hues(result, ax=ax)
    dots = [line for line in ax.lines if line.get_marker() == "o"]
    np.testing.assert_allclose([dot.get_xydata()[0] for dot in dots], [(0.5, 0), (0, 1)], atol=1e-12)
    for dot, angle in zip(dots, (0, np.pi / 2), strict=True):  # the rim is the key to the colors
        rim = min(
            ax.lines[:180],
            key=lambda line, a=angle: np.hypot(*(line.get_xydata().mean(0) - [np.cos(a), np.sin(a)])),
        )
        np.testing.assert_allclose(dot.get_markerfacecolor(), rim.get_color(), atol=0.03)
    assert sorted(text.get_text() for text in ax.texts) == ["class 0", "class 1"]
    with pytest.raises(InputError, match="no class has a hue"):
        plots.class_hues(disc([np.nan], [np.nan]))


def test_hue_map_uses_the_same_cyclic_colors_as_the_disc(ax):
    hues = [[0.0, np.pi / 2, np.nan], [np.pi, -np.pi + 1e-6, -np.pi / 2]]
    plots.hue_map(hue_map(hues), 0, ax=ax)
    image = ax.images[0]
    colors = image.to_rgba(image.get_array())
    np.testing.assert_allclose(colors[0, :2], angle_colors([0, np.pi / 2]), atol=0.01)
    np.testing.assert_allclose(colors[1, 0], colors[1, 1], atol=0.02)  # pi and -pi are one angle
    assert np.ptp(colors[0, 2, :3]) < 0.01  # no hue: gray
    bar = ax.figure.axes[1]
    assert [label.get_text() for label in bar.get_yticklabels()] == ["-π", "-π/2", "0", "π/2", "π"]
    assert "radians" in bar.get_ylabel()
    with pytest.raises(InputError, match="image 1 of 1"):
        plots.hue_map(hue_map(hues), 1)
