import numpy as np
import pytest
from matplotlib.patches import Rectangle

import hueprobe as hp
from hueprobe import plots, trust
from hueprobe.errors import InputError
from hueprobe.trust.distances import NearestPatches
from hueprobe.trust.scores import ImageScores
from tests.trust.made import classification


def conformal(test=((0.95, 0.05), (0.65, 0.35), (0, 0)), true=(0, 1, 0)):
    calibration = classification([[0.9, 0.1], [0.2, 0.8], [0.7, 0.3], [0.4, 0.6]], [0, 1, 0, 1], names="abcd")
    return trust.conformal_predictions(calibration, classification(test, true))


def detection():
    inside = ImageScores(
        ("a", "b", "c"), (None,) * 3, {"s": np.array([1.0, 2, 3]), "t": np.array([3.0, 1, 2])}
    )
    outside = ImageScores(("d", "e"), (None,) * 2, {"s": np.array([4.0, np.inf]), "t": np.array([2.0, 0])})
    return trust.detect_outside(inside, outside, n_resamples=20)


def patches(distance):
    distance = np.array(distance, float)
    nothing = np.zeros(distance.shape, np.int64)
    return NearestPatches(tuple(map(str, range(len(distance)))), distance, nothing, nothing, nothing)


def texts(ax):
    return [text.get_text() for text in ax.get_legend().get_texts()]


def test_reliability_dots_are_the_bins(ax):
    right = np.array([True, False, True, True])
    found = trust.measure_reliability(np.array([0.2, 0.3, 0.9, 0.8]), right, binning="width", n_bins=4)
    assert plots.reliability_diagram(found, title="before", ax=ax) is ax
    (dots,) = [one for one in ax.collections if hasattr(one, "get_sizes") and len(one.get_offsets()) == 3]
    np.testing.assert_allclose(dots.get_offsets(), [[0.2, 1], [0.3, 0], [0.85, 1]])
    assert dots.get_sizes().tolist() == [30, 30, 60]
    title = ax.get_title().splitlines()
    assert title[0] == "before" and title[1].startswith(f"calibration error {found.error.estimate:.3f}")


def test_bars_are_the_set_sizes(ax):
    found = conformal()
    plots.set_sizes(found, ax=ax)
    for level, bars, label in zip((0.9, 0.95), ax.containers, texts(ax), strict=True):
        shares = np.bincount(found.sets(level).sum(1), minlength=3) / 3
        np.testing.assert_allclose([bar.get_height() for bar in bars], shares)
        assert f"{100 * level:.0f} %: coverage {found.coverage(level).share.estimate:.2f}" in label
    assert "n = 3 images, calibrated on 4" in ax.get_title()


def test_sets_of_unlabeled_images_have_no_coverage(ax):
    plots.set_sizes(conformal(true=(None, None, None)), ax=ax)
    assert texts(ax) == ["90 %", "95 %"]
    with pytest.raises(InputError, match="no prediction sets"):
        plots.set_sizes(conformal(np.zeros((0, 2)), ()))


def test_curves_end_where_they_must_and_name_their_area(ax):
    found = detection()
    plots.roc_curves(found, ax=ax)
    curves = ax.lines[1:]  # the first is the diagonal
    assert len(curves) == 2
    for line, one, label in zip(curves, found.by_score.values(), texts(ax), strict=True):
        x, y = line.get_data()
        assert (x[0], y[0], x[-1], y[-1]) == (0, 0, 1, 1)
        assert np.trapezoid(y, x) == pytest.approx(one.auroc.estimate)
        assert f"{one.name}: {one.auroc.estimate:.3f}" in label


def test_histograms_leave_infinite_scores_out(ax):
    found = detection()
    plots.score_histogram(found.by_score["s"], ax=ax)
    heights = [sum(bar.get_height() for bar in bars) for bars in ax.containers]
    assert heights == pytest.approx([1, 1])
    assert texts(ax) == ["inside, n = 3", "outside, n = 1"]
    assert [line.get_xdata()[0] for line in ax.lines] == [3]  # the threshold


def test_figures_have_a_panel_for_each_part():
    assert len(plots.outside_figure(detection()).axes) == 3
    calibration = classification([[0.9, 0.1], [0.2, 0.8], [0.6, 0.4]], [0, 1, 1], names="abc")
    test = classification([[0.9, 0.1], [0.3, 0.7]], [0, 1])
    check = trust.calibration_check(calibration, test)
    assert len(plots.calibration_figure(check).axes) == 2
    titles = [ax.get_title() for ax in plots.calibration_figure(check, conformal()).axes]
    assert titles[0].startswith("normalized likelihoods") and titles[1].startswith("temperature")


def outlined(ax):
    return {
        (round(p.get_y() + 0.45), round(p.get_x() + 0.45)) for p in ax.patches if isinstance(p, Rectangle)
    }


def test_the_map_outlines_cells_beyond_the_inside_ones(ax):
    inside = patches(np.linspace(0, 1, 21)[1:].reshape(1, 4, 5))  # 95 % are up to 0.9525
    found = patches([[[0.1, 0.96, np.nan], [0.95, 1.5, 0.2]]])
    plots.distance_map(found, 0, inside=inside, ax=ax)
    assert outlined(ax) == {(0, 1), (1, 1)}
    np.testing.assert_array_equal(ax.images[0].get_array().filled(np.nan), found.distance[0])
    assert ax.images[0].get_clim() == (0, 1.5)
    assert "2 cells beyond 0.95" in ax.get_title()


def test_a_map_without_inside_images_or_matches(ax):
    plots.distance_map(patches([[[0.5, 1.0]]]), ax=ax)
    assert outlined(ax) == set() and ax.get_title() == "mean distance 0.75"
    other = plots.distance_map(patches([[[np.nan, np.nan]]]))
    assert other.get_title() == "no matches"
    with pytest.raises(InputError, match="no image 1; give 0 to 0"):
        plots.distance_map(patches([[[0.5]]]), 1)


def test_the_strangest_cells_are_shown_with_their_nearest_patches(example_names):
    _, names = example_names
    result = names["result"]
    found = trust.nearest_patches(result)
    figure = plots.strangeness_map(result, 3, inside=found, n_patches=4)
    shown = [ax.get_title() for ax in figure.axes if ax.get_title()[:1].isdigit()]
    strangest = np.sort(found.distance[3], axis=None)[::-1][:4]
    assert [title.split("distance ")[1] for title in shown] == [f"{value:.2f}" for value in strangest]
    order = np.argsort(-found.distance[3], axis=None, kind="stable")[:4]
    classes = [names["memory"].images.classes[found.image[3].ravel()[cell]] for cell in order]
    assert [title.split("\n")[0].split("  ")[1] for title in shown] == classes
    marks = [text.get_text() for text in figure.axes[0].texts]
    assert marks == ["1", "2", "3", "4"]


def test_a_loaded_classification_has_no_images(example_names, tmp_path):
    from dataclasses import replace

    _, names = example_names
    with pytest.raises(InputError, match="does not record where its images are"):
        plots.strangeness_map(replace(names["result"], sources=None))
    with pytest.raises(hp.errors.ImageError, match="images_root"):
        plots.strangeness_map(names["result"], images_root=tmp_path)
