import dataclasses

import numpy as np
import pytest

from hueprobe import plots
from hueprobe.errors import InputError
from hueprobe.grid import Grid
from hueprobe.matches import Matches
from hueprobe.observations.locations.maps import measure as measure_locations

GRID = Grid(3, 4)


def table(grid=GRID, *, labeled=True, n_images=8, n_classes=2, seed=0):
    """Same-class matches land mostly in cell (0, 3), the top right; others anywhere."""
    generator = np.random.default_rng(seed)
    query = np.repeat(np.arange(n_images), grid.n_cells * 4)
    n = len(query)
    cell = np.tile(np.repeat(np.arange(grid.n_cells), 4), n_images)
    image = (query + generator.integers(1, n_images, n)) % n_images
    classes = np.arange(n_images) % n_classes if labeled else np.full(n_images, -1)
    same = classes[query] == classes[image]
    at = np.where(same & (generator.random(n) < 0.7), grid.width - 1, generator.integers(0, grid.n_cells, n))
    names = tuple(f"i{i}" for i in range(n_images))
    return Matches(
        grid=grid, query_grid=grid, classes=tuple("abcdefgh"[:n_classes]) if labeled else (),
        query_paths=names, query_image_class=classes, query_image_group=(None,) * n_images,
        image_paths=names, image_class=classes, image_group=(None,) * n_images,
        query_image=query, query_y=cell // grid.width, query_x=cell % grid.width,
        rank=np.ones(n, np.int32), image=image, y=at // grid.width, x=at % grid.width,
        distance=np.ones(n), weight=np.ones(n),
    )  # fmt: skip


@pytest.fixture(scope="module")
def result():
    return measure_locations(table())


def test_same_and_other_are_shown_over_the_base_rate_on_one_scale(result):
    figure = plots.match_locations(result)
    figure.canvas.draw()
    same, other, bar = figure.axes
    np.testing.assert_allclose(same.images[0].get_array(), result.same * 12)
    np.testing.assert_allclose(other.images[0].get_array(), result.other * 12)
    assert same.images[0].get_clim() == other.images[0].get_clim() == (0.0, (result.same * 12).max())
    assert np.unravel_index(same.images[0].get_array().argmax(), (3, 4)) == (0, 3)
    assert same.get_ylim() == (2.5, -0.5) and same.get_xlim() == (-0.5, 3.5)
    assert bar.get_ylabel() == "p(x, y), multiple of the base rate"


def test_a_base_rate_that_is_not_uniform_divides_cell_by_cell():
    matches = table()
    valid = np.ones((8, 3, 4), bool)
    valid[:, 0, 3] = [True] + [False] * 7
    valid[:, 2, 0] = False
    found = measure_locations(matches.select(matches.match_cell != 8), valid=valid.ravel())
    image = plots.match_locations(found).axes[0].images[0].get_array()
    base = valid.sum(0) / valid.sum()
    assert np.ma.getmaskarray(np.ma.masked_invalid(image))[2, 0]  # nothing can match there
    np.testing.assert_allclose(image[0], found.same[0] / base[0])


def test_without_labels_there_is_one_map_of_all_matches():
    found = measure_locations(table(labeled=False))
    figure = plots.match_locations(found)
    only, _bar = figure.axes
    np.testing.assert_allclose(only.images[0].get_array(), found.all * 12)
    assert only.get_title() == "all matches\nn = 384 matches"
    with pytest.raises(InputError, match="need labels"):
        plots.same_class_shares(found)
    with pytest.raises(InputError, match="no classes"):
        plots.class_locations(found)


def test_location_map_draws_into_the_axes_given(result, ax):
    assert plots.location_map(result, "other", vmax=3.0, ax=ax) is ax
    assert ax.images[0].get_clim() == (0.0, 3.0)
    with pytest.raises(InputError, match="unknown kind of matches 'both'; choose one of: same, other, all"):
        plots.location_map(result, "both")


@pytest.mark.parametrize("kind", ["same", "other"])
def test_class_maps_share_one_scale(result, kind):
    figure = plots.class_locations(result, kind=kind)
    densities = result.class_same if kind == "same" else result.class_other
    for ax, density in zip(figure.axes, densities, strict=False):
        np.testing.assert_allclose(ax.images[0].get_array(), density * 12)
    assert len({ax.images[0].get_clim() for ax in figure.axes[:2]}) == 1
    assert [ax.get_title().split("\n")[0] for ax in figure.axes[:2]] == ["a", "b"]


def test_a_class_without_matches_is_gray():
    matches = table(n_classes=3)
    lonely = matches.select(~((matches.query_class == 2) & matches.same_class))
    figure = plots.class_locations(measure_locations(lonely))
    figure.canvas.draw()
    assert np.ma.masked_invalid(figure.axes[2].images[0].get_array()).mask.all()


def test_shares_by_match_cell_and_by_query_cell_share_a_scale(result):
    figure = plots.same_class_shares(result)
    by_match, by_query, _bar = figure.axes
    np.testing.assert_array_equal(by_match.images[0].get_array(), result.same_share_by_match_cell)
    np.testing.assert_array_equal(by_query.images[0].get_array(), result.same_share_by_query_cell)
    both = np.stack([result.same_share_by_match_cell, result.same_share_by_query_cell])
    assert by_match.images[0].get_clim() == by_query.images[0].get_clim() == (both.min(), both.max())


def test_shares_on_a_query_grid_of_another_shape():
    matches = table()
    other_grid = dataclasses.replace(matches, query_grid=Grid(4, 3))
    figure = plots.same_class_shares(measure_locations(other_grid))
    assert [ax.images[0].get_array().shape for ax in figure.axes[:2]] == [(3, 4), (4, 3)]


def test_profiles_of_same_and_other(result, ax):
    plots.match_profile(result, ax=ax)
    same, other, _uniform = ax.lines
    np.testing.assert_allclose(same.get_ydata(), result.profile_same.value)
    np.testing.assert_allclose(other.get_ydata(), result.profile_other.value)
    assert same.get_linestyle() != other.get_linestyle()  # told apart without color too
    assert ax.get_ylim()[0] == 0
