import numpy as np
import pytest

from hueprobe import plots
from hueprobe.errors import InputError
from hueprobe.grid import Grid
from hueprobe.observations.energy import measure as measure_energy


def hot_at_the_top(shape=(4, 4), scale=5.0, n=6, seed=0):
    maps = np.random.default_rng(seed).uniform(0.9, 1.1, (n, *shape))
    maps[:, 0, 1] *= scale
    return measure_energy(maps, Grid(*shape), image_class=np.arange(n) % 2, classes=("a", "b"))


def test_energy_map_is_upright_named_and_scaled_from_zero(ax):
    result = hot_at_the_top()
    assert plots.energy_map(result, ax=ax) is ax
    image = ax.images[0]
    np.testing.assert_array_equal(image.get_array(), result.mean_map)
    assert np.unravel_index(image.get_array().argmax(), (4, 4)) == (0, 1)
    assert ax.get_ylim() == (3.5, -0.5)
    assert image.get_clim() == (0.0, result.mean_map.max())
    assert [a.get_ylabel() for a in ax.figure.axes[1:]] == ["energy, multiple of an image's mean"]
    marks = {tuple(np.ravel(line.get_data())) for line in ax.lines}
    assert marks == {(1.5, 1.5)}  # the center of an even grid lies between cells


def test_the_marked_center_is_the_one_given(ax):
    maps = np.random.default_rng(0).uniform(0.9, 1.1, (4, 5, 7))
    plots.energy_map(measure_energy(maps, Grid(5, 7), center=(1.5, 4.0)), ax=ax, show_colorbar=False)
    assert {tuple(np.ravel(line.get_data())) for line in ax.lines} == {(4.0, 1.5)}
    assert len(ax.figure.axes) == 1


def test_networks_side_by_side_share_one_scale():
    results = {"weak": hot_at_the_top(scale=2), "strong": hot_at_the_top((6, 7), scale=9)}
    figure = plots.energy_maps(results)
    figure.canvas.draw()
    *maps, _bar = figure.axes
    limits = {ax.images[0].get_clim() for ax in maps}
    assert limits == {(0.0, results["strong"].mean_map.max())}
    assert [ax.get_title().split("\n")[0] for ax in maps] == ["weak", "strong"]
    with pytest.raises(InputError, match="at least one"):
        plots.energy_maps({})


def test_class_maps_share_one_scale_and_show_the_classes_asked_for():
    result = hot_at_the_top()
    figure = plots.class_energy_maps(result, classes=["b"])
    np.testing.assert_array_equal(figure.axes[0].images[0].get_array(), result.class_maps[1])
    figure = plots.class_energy_maps(result)
    assert len({ax.images[0].get_clim() for ax in figure.axes[:2]}) == 1
    assert figure.axes[0].get_title() == "a\n3 images"


def test_profile_draws_values_intervals_and_the_uniform_level(ax):
    result = hot_at_the_top()
    plots.energy_profile(result, ax=ax)
    line, uniform = ax.lines
    np.testing.assert_allclose(line.get_xydata(), np.stack([result.profile.radius, result.profile.value], 1))
    assert set(uniform.get_ydata()) == {1.0}
    band = ax.collections[0].get_paths()[0].get_extents()
    assert band.ymin == pytest.approx(result.profile.low.min())
    assert band.ymax == pytest.approx(result.profile.high.max())
    assert ax.get_xlabel() == "distance from the center (cells)" and ax.get_legend() is None


def test_profiles_of_different_grids_share_a_relative_distance(ax):
    results = {"small": hot_at_the_top((4, 4)), "large": hot_at_the_top((12, 8))}
    plots.energy_profile(results, ax=ax)
    reach = [line.get_xdata().max() for line in ax.lines[:2]]
    corners = [results[name].profile.radius.max() for name in results]
    np.testing.assert_allclose(reach, [corners[0] / 2, corners[1] / 6])
    assert "half the grid's longer side is 1" in ax.get_xlabel()
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["small", "large"]
