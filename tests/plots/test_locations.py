import dataclasses
from string import ascii_lowercase

import numpy as np
import pytest
from matplotlib.text import Annotation

from hueprobe import plots
from hueprobe.errors import InputError
from hueprobe.grid import Grid
from hueprobe.matches import Matches
from hueprobe.observations.locations.maps import measure as measure_locations
from hueprobe.observations.locations.of_images import image_locations
from tests.plots.readable import require_readable

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
        grid=grid, query_grid=grid, classes=tuple(ascii_lowercase[:n_classes]) if labeled else (),
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


def arrows(ax):
    """(tail, tip) in (x, y) of the arrows of a map."""
    return [(text.xyann, text.xy) for text in ax.texts if isinstance(text, Annotation)]


@pytest.mark.parametrize("center", [None, (0.5, 1.0)])
def test_arrows_of_classes_point_from_the_center_to_the_mean_position(center):
    found = measure_locations(table(), center=center)
    row, column = center or (1.0, 1.5)
    figure = plots.class_locations(found, stretch=1.0)
    y, x = found.grid.rows_and_columns()
    for c, ax in enumerate(figure.axes[:2]):
        ((tail, tip),) = arrows(ax)
        share = found.class_same[c]
        assert tail == (column, row)
        # every image has equal weight, every match not quite; so the map's own mean is near, not equal
        np.testing.assert_allclose(tip, [(share * x).sum(), (share * y).sum()], atol=0.1)
        u, v = found.positions.points()[c]
        np.testing.assert_allclose(tip, [column + u, row - v])
        assert tip[1] < 1.0 and tip[0] > 1.5  # to the top right, where matches are
        on_canvas = ax.transData.transform([tail, tip])
        assert on_canvas[1, 1] > on_canvas[0, 1] and on_canvas[1, 0] > on_canvas[0, 0]
    (_, twice), *_ = arrows(plots.class_locations(found, stretch=2.0).axes[1])
    np.testing.assert_allclose(np.subtract(twice, tail), 2 * np.subtract(tip, tail))


def test_arrows_stay_on_the_grid_and_their_length_is_told(result):
    figure = plots.class_locations(result)
    u, v = result.positions.points().T
    (_, tip), *_ = arrows(figure.axes[0])
    stretch = (tip[0] - 1.5) / u[0]
    assert f"{stretch:g} times as long" in figure.get_suptitle() or stretch == 1
    assert np.hypot(u, v).max() * stretch <= 1.5
    assert not arrows(
        plots.class_locations(result, kind="other").axes[0]
    )  # positions are of same-class matches


def test_titles_tell_the_resultant_its_chance_and_p(result):
    ax = plots.class_locations(result, classes=["b"]).axes[0]
    found = result.positions
    assert ax.get_title().split("\n") == [
        "b",
        f"R = {found.resultant[1]:.2f} ({found.resultant_by_chance[1]:.2f})",
        f"p = {found.distance[1].p_value:.2g}, n = 4",
    ]  # fmt: skip


@pytest.mark.parametrize("n", [1, 6])
def test_long_names_of_classes_do_not_run_into_one_another(n):
    matches = table(n_images=2 * n, n_classes=n) if n > 1 else table()
    names = tuple(f"n02085620-Chihuahua_with_a_long_name_{i:02}" for i in range(max(n, 2)))
    found = measure_locations(dataclasses.replace(matches, classes=names))
    for kind in ("same", "other"):
        require_readable(plots.class_locations(found, kind=kind, classes=names[:n]))
    require_readable(plots.image_locations(found.images))


def test_maps_of_single_images_are_those_of_their_matches():
    matches = table()
    found = image_locations(matches, ["b", "a"], n_each=2)
    figure = plots.image_locations(found, columns=2, stretch=1.0)
    for ax, image in zip(figure.axes[:4], (1, 3, 0, 2), strict=True):
        own = matches.same_class & (matches.query_image == image)
        counts = np.zeros((3, 4))
        np.add.at(counts, (matches.y[own], matches.x[own]), 1)
        np.testing.assert_allclose(ax.images[0].get_array(), 12 * counts / own.sum())
        ((tail, tip),) = arrows(ax)
        assert tail == (1.5, 1.0)
        np.testing.assert_allclose(tip, [matches.x[own].mean(), matches.y[own].mean()])
        assert ax.get_title().split("\n") == ["ab"[image % 2], f"i{image}", f"{own.sum()} matches"]
    assert len({ax.images[0].get_clim() for ax in figure.axes[:4]}) == 1
    assert figure.axes[4].get_ylabel() == "p(x, y), multiple of the base rate"
    with pytest.raises(InputError, match="no image has same-class matches"):
        plots.image_locations(image_locations(matches, []))


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
