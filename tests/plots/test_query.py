import numpy as np
import pytest
from matplotlib.colors import to_hex
from PIL import Image

import hueprobe as hp
from hueprobe import plots
from hueprobe.errors import HueprobeWarning, ImageError, InputError
from hueprobe.grid import Grid
from hueprobe.images import Transform
from hueprobe.matches import Matches
from hueprobe.observations.accuracy.votes import QueryVotes
from hueprobe.plots import SeenImage, class_likelihoods, query_figure, visible_box, vote_map
from hueprobe.plots.images import draw_image, mark_cell
from hueprobe.plots.queries import class_colors
from hueprobe.plots.style import CATEGORIES, GRAY

CROPPED = {"resize": 256, "crop": 224, "mean": [], "std": [], "interpolation": "bilinear"}


GRID = Grid(2, 3)


def votes(grid=GRID, *, leading=None, share=None, likelihood=(0.2, 0.5, 0.3), true="u", n=3):
    """Telling matches: pixel i of the query found pixel (0, 0) of memory row i."""
    cells = np.arange(n)
    n_classes = len(likelihood)
    classes = tuple(f"c{i}" if i else "u" for i in range(n_classes))
    telling = Matches(
        grid=grid, query_grid=grid, classes=classes, query_paths=("q",), query_image_class=np.array([-1]),
        query_image_group=(None,), image_paths=tuple(map(str, range(6))),
        image_class=np.arange(6) % n_classes if n_classes else np.full(6, -1), image_group=(None,) * 6,
        query_image=np.zeros(n, np.int64), query_y=cells // grid.width, query_x=cells % grid.width,
        rank=np.ones(n, np.int32), image=cells, y=np.zeros(n, np.int32), x=np.zeros(n, np.int32),
        distance=np.linspace(0.1, 0.2, n), weight=np.full(n, 0.37),
    )  # fmt: skip
    likelihood = np.array(likelihood, float)
    voted = likelihood.sum() > 0
    return QueryVotes(
        name="q", classes=classes, grid=grid, predicted=int(likelihood.argmax()) if voted else -1, tie=False,
        true_class=true, likelihood=likelihood, weight=np.ones(grid.shape),
        leading=np.full(grid.shape, -1) if leading is None else np.array(leading),
        share=np.zeros(grid.shape) if share is None else np.array(share), telling=telling,
        telling_share=np.full(n, 0.1 if voted else np.nan), telling_cells=np.full(n, 2),
    )  # fmt: skip


def image(size=(300, 256), transform=CROPPED):
    return SeenImage.as_recorded(Image.new("RGB", size, (90, 90, 90)), transform)


def texts(axes):
    return [text.get_text() for text in axes.texts]


@pytest.mark.parametrize("size", [(500, 375), (333, 517), (256, 256), (90, 401), (1024, 257)])
@pytest.mark.parametrize(
    "resize, crop", [(256, 224), (224, None), ((200, 100), 96), (232, (224, 180)), (None, 60), (64, 100)]
)
def test_visible_box_is_what_torchvision_shows(size, resize, crop):
    """Image pixels hold their own x and y; after the transform the outermost ones tell the box."""
    from torchvision.transforms import functional as F

    width, height = size
    x, y = np.meshgrid(np.arange(width) + 0.5, np.arange(height) + 0.5)
    left, top, right, bottom = visible_box(size, resize, crop)
    for axis, ramp, (low, high) in ((1, x, (left, right)), (0, y, (top, bottom))):
        image = Image.fromarray(ramp.astype(np.float32))
        if resize is not None:
            image = F.resize(image, [resize] if isinstance(resize, int) else list(resize))
        if crop is not None:
            image = F.center_crop(image, [crop] if isinstance(crop, int) else list(crop))
        seen = np.asarray(image)
        n = seen.shape[axis]
        line = seen.max(axis=1 - axis)
        inside = np.flatnonzero(line > 0)  # the rest is padding
        interior = inside[(inside > inside[0] + 2) & (inside < inside[-1] - 2)]  # resizing bends the edges
        expected = low + (interior + 0.5) * (high - low) / n
        np.testing.assert_allclose(line[interior], expected, atol=0.1 * (high - low) / n + 1e-3)


@pytest.mark.parametrize("size", [(500, 375), (333, 517), (256, 256), (90, 401)])
@pytest.mark.parametrize("fit", ["squash", "pad"])
@pytest.mark.parametrize("crop", [64, (48, 80)])
def test_visible_box_of_a_whole_image(size, fit, crop):
    """Where the transform puts the image's own corners is where the box says."""
    width, height = size
    seen = Transform(resize=256, crop=crop, fit=fit, mean=(0,) * 3, std=(1,) * 3)(
        Image.new("RGB", size, (255, 255, 255))
    )[0].numpy()
    rows, columns = np.flatnonzero(seen.max(axis=1)), np.flatnonzero(seen.max(axis=0))
    left, top, right, bottom = SeenImage.as_recorded(
        Image.new("RGB", size), Transform(resize=256, crop=crop, fit=fit).to_json()
    ).box
    across, down = (right - left) / seen.shape[1], (bottom - top) / seen.shape[0]
    assert left + columns[0] * across == pytest.approx(0, abs=1e-9)
    assert left + (columns[-1] + 1) * across == pytest.approx(width)
    assert top + rows[0] * down == pytest.approx(0, abs=1e-9)
    assert top + (rows[-1] + 1) * down == pytest.approx(height)


def test_a_transform_of_ones_own_claims_no_geometry(ax):
    seen = image(transform={"custom": "<function>"})
    assert seen.box is None
    draw_image(ax, seen, Grid(2, 3))
    mark_cell(ax, seen, Grid(2, 3), 0, 0, color="red", label="1")
    assert ax.get_xlim() == (0, 300) and not ax.patches and not ax.texts and not ax.collections


def test_image_is_upright_and_the_marked_cell_lies_where_the_grid_says(ax):
    seen = SeenImage(Image.new("RGB", (300, 256)), (38.0, 16.0, 262.0, 240.0))
    draw_image(ax, seen, Grid(7, 7))
    mark_cell(ax, seen, Grid(7, 7), 0, 6, color="red", label="1")
    bottom, top = ax.get_ylim()
    assert (bottom, top) == (240, 16) and ax.get_xlim() == (38, 262)
    assert tuple(ax.images[0].get_extent()) == (0, 300, 256, 0)
    rectangle = ax.patches[0]
    assert rectangle.get_xy() == (38 + 6 * 32, 16)  # top right
    assert (rectangle.get_width(), rectangle.get_height()) == (32, 32)


def test_vote_squares_show_class_by_color_and_share_by_area(ax):
    shown = votes(leading=[[0, 1, -1], [2, 1, 1]], share=[[1.0, 0.25, 0], [0.5, 0.75, 1.0]])
    assert vote_map(shown, ax=ax) is ax
    squares = ax.collections[0]
    corners = np.array([path.get_extents().get_points() for path in squares.get_paths()])
    centers, sides = corners.mean(axis=1), corners[:, 1] - corners[:, 0]
    np.testing.assert_allclose(centers, [[0, 0], [1, 0], [0, 1], [1, 1], [2, 1]], atol=1e-12)
    area = sides.prod(axis=1)
    np.testing.assert_allclose(area / area[0], [1.0, 0.25, 0.5, 0.75, 1.0])
    colors = class_colors(shown)
    assert [to_hex(face, False).upper() for face in squares.get_facecolor()] == [
        colors[c] for c in (0, 1, 2, 1, 1)
    ]
    assert ax.get_ylim()[1] < ax.get_ylim()[0]


def test_bars_name_predicted_and_true_and_add_a_true_class_that_is_not_on_top(ax):
    likelihood = np.linspace(0.01, 0.4, 12)
    likelihood[0] = 0  # the true class, least likely
    class_likelihoods(votes(likelihood=likelihood), n_classes=4, ax=ax)
    assert [label.get_text() for label in ax.get_yticklabels()] == ["c11", "c10", "c9", "c8", "u"]
    np.testing.assert_allclose([bar.get_width() for bar in ax.patches], [*likelihood[:7:-1], 0])
    assert texts(ax)[0].endswith("0 cells, predicted") and texts(ax)[-1].endswith("true")
    assert ax.get_ylim()[0] > ax.get_ylim()[1]  # most likely on top


def test_classes_without_likelihood_are_left_out_save_the_true_one(ax):
    class_likelihoods(votes(likelihood=[0, 0.9, 0, 0.1]), ax=ax)
    assert [label.get_text() for label in ax.get_yticklabels()] == ["c1", "c3", "u"]


@pytest.mark.parametrize("x, side", [(0, 1), (2, 1), (4, -1), (6, -1)])
def test_a_label_beside_its_cell_lies_towards_the_middle(ax, x, side):
    seen = SeenImage(Image.new("RGB", (224, 224)), (0.0, 0.0, 224.0, 224.0))
    draw_image(ax, seen, Grid(7, 7))
    mark_cell(ax, seen, Grid(7, 7), 3, x, color="red", label="1", beside=True)
    label, cell = ax.texts[0].get_window_extent(), ax.patches[0].get_window_extent()
    assert np.sign((label.x0 + label.x1) - (cell.x0 + cell.x1)) == side


def test_class_colors_follow_likelihood_and_the_rest_is_gray():
    likelihood = np.zeros(1000)
    likelihood[500:510] = np.arange(10, 0, -1)
    colors = class_colors(votes(likelihood=likelihood))
    assert colors[500:507] == CATEGORIES and set(colors[507:]) | set(colors[:500]) == {GRAY}


@pytest.mark.parametrize(
    "grid, transform, n_classes",
    [
        (Grid(1, 1), CROPPED, 2),
        (Grid(2, 3), CROPPED, 1),
        (Grid(14, 14), CROPPED, 1000),
        (Grid(1, 1), {}, 1000),
        (Grid(7, 4), {"custom": "<lambda>"}, 2),
    ],
)
def test_query_figure_of_any_grid_and_number_of_classes(grid, transform, n_classes):
    n = min(grid.n_cells, 4)
    shown = votes(
        grid, leading=np.zeros(grid.shape, int), share=np.full(grid.shape, 0.5),
        likelihood=np.full(n_classes, 1 / n_classes), n=n,
    )  # fmt: skip
    figure = query_figure(
        shown, image(transform=transform), {i: image(transform=transform) for i in range(n)}
    )
    figure.canvas.draw()
    query_ax, *match_axes, _votes_ax, _bars_ax = figure.axes
    marked = n if transform is CROPPED else 0
    assert len(query_ax.patches) == marked
    assert texts(query_ax) == [str(i + 1) for i in range(marked)]
    assert len(match_axes) == n and all(len(ax.patches) == (marked > 0) for ax in match_axes)
    if n > 1 and marked:  # pairs share number and color
        for i, ax in enumerate(match_axes):
            assert (
                texts(ax) == [str(i + 1)]
                and ax.patches[0].get_edgecolor() == query_ax.patches[i].get_edgecolor()
            )


@pytest.mark.parametrize("likelihood", [(), (0.0, 0.0)])
def test_query_figure_without_match_or_class_says_so(likelihood):
    figure = query_figure(votes(likelihood=likelihood, true=None, n=0), image(), {})
    figure.canvas.draw()
    said = [text for ax in figure.axes for text in texts(ax)]
    assert "no match" in said and "no votes" in said and "no prediction: no match has a class" in said


def test_query_figure_names_the_missing_image():
    with pytest.raises(InputError, match="lacks row 1"):
        query_figure(votes(), image(), {0: image(), 2: image()})


def test_one_call_draws_a_classified_image(tmp_path):
    rng = np.random.default_rng(0)
    for name in ("a", "b"):
        (tmp_path / "p" / name).mkdir(parents=True)
        for i in range(3):
            values = rng.integers(0, 256, (24, 24, 3), np.uint8)
            Image.fromarray(values).save(tmp_path / "p" / name / f"{i}.png")
    memory = hp.build_memory(tmp_path / "m", tmp_path / "p", backbone="tests.tiny_network:tiny", layer="3")
    result = hp.KernelDensityClassifier(memory, k=2).leave_one_out()
    figure = plots.query(result, 4, n_matches=3)
    titles = [ax.get_title() for part in figure.subfigs for ax in part.axes]
    assert any(title.startswith("query: b/1.png") for title in titles)
    told = [title for title in titles if "distance" in title]
    assert len(told) == 3 and all("% of likelihood" in title and "weight" not in title for title in told)
    predicted = result.predicted_class[4]
    assert sum(title.split("\n")[0].endswith(f"  {predicted}") for title in told) >= 2
    with pytest.raises(InputError, match="count from 0"):
        plots.query(result, 6)
    (tmp_path / "p").rename(tmp_path / "moved")
    with pytest.raises(ImageError, match="images_root"):
        plots.query(result, 4)
    with pytest.warns(HueprobeWarning, match="in the memory too"):
        outside = hp.KernelDensityClassifier(memory, k=2).classify([tmp_path / "moved" / "a" / "0.png"])
    assert len(plots.query(outside, images_root=tmp_path / "moved").subfigs) == 4
    outside.save(tmp_path / "c.json")
    with pytest.raises(InputError, match="match table"):
        plots.query(hp.Classification.load(tmp_path / "c.json"))
