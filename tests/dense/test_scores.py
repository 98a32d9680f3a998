"""Scores against scikit-learn, hand-worked boundaries and slow loops."""

import numpy as np
import pytest
from scipy.ndimage import distance_transform_edt
from sklearn.metrics import confusion_matrix, jaccard_score

from hueprobe import dense
from hueprobe.errors import InputError, ShapeError

NAMES = ("a", "b", "c", "d")


def maps_of(n, seed=0, size=(20, 24), labels=4):
    rng = np.random.default_rng(seed)
    true = rng.integers(-1, labels, (n, *size))
    predicted = np.where(
        rng.random((n, *size)) < 0.6, np.maximum(true, 0), rng.integers(0, labels, (n, *size))
    )
    return true, predicted


def scored(true, predicted, names=NAMES, **options):
    return dense.score_maps(lambda i: (true[i], predicted[i]), len(true), names, **options)


def test_iou_and_accuracy_are_those_of_sklearn():
    true, predicted = maps_of(5)
    found = scored(true, predicted)
    t, p = true[true >= 0], predicted[true >= 0]
    np.testing.assert_array_equal(found.confusion.sum(0)[:, :-1], confusion_matrix(t, p, labels=range(4)))
    np.testing.assert_allclose([i.estimate for i in found.iou], jaccard_score(t, p, average=None))
    assert found.mean_iou.estimate == pytest.approx(jaccard_score(t, p, average="macro"))
    assert found.pixel_accuracy.estimate == pytest.approx((t == p).mean())
    assert found.n_pixels == len(t) and found.n_images == found.n_units == 5


def test_pixels_without_a_prediction_are_wrong_but_of_no_label():
    true, predicted = np.array([[[0, 0, 1, 1]]]), np.array([[[0, -1, 1, 1]]])
    found = scored(true, predicted, ("a", "b"))
    assert [one.estimate for one in found.iou] == [0.5, 1]
    assert found.pixel_accuracy.estimate == 0.75


def test_labels_that_are_nowhere_are_left_out_or_count_as_zero():
    true = np.zeros((2, 3, 3), int)
    assert scored(true, true).mean_iou.estimate == 1
    hummingbird = scored(true, true, protocol=dense.protocol_of("hummingbird"))
    assert hummingbird.mean_iou.estimate == 0.25
    assert np.isnan(scored(true, true).iou[2].estimate)


def test_assignment_finds_swapped_labels():
    true, predicted = maps_of(3)
    swap = np.array([2, 0, 3, 1])
    strict = scored(true, predicted)
    swapped = scored(true, swap[predicted], protocol=dense.protocol_of("hummingbird"))
    assert swapped.assigned == tuple(np.argsort(swap).tolist())
    assert swapped.mean_iou == strict.mean_iou and swapped.mean_boundary_f == strict.mean_boundary_f
    assert scored(true, swap[predicted]).mean_iou.estimate < 0.3 < strict.mean_iou.estimate


def slow_boundaries(true, predicted, n_labels, tolerance):
    predicted = np.where(true >= 0, predicted, -1)

    def edge(labels, label):
        found = np.zeros(labels.shape, bool)
        for y, x in np.argwhere(labels == label):
            for dy, dx in ((1, 0), (-1, 0), (0, 1), (0, -1)):
                v, u = y + dy, x + dx
                if 0 <= v < labels.shape[0] and 0 <= u < labels.shape[1] and labels[v, u] not in (label, -1):
                    found[y, x] = True
        return found

    def near(of, to):
        return int((of & (distance_transform_edt(~to) <= tolerance)).sum()) if to.any() else 0

    rows = []
    for label in range(n_labels):
        p, t = edge(predicted, label), edge(true, label)
        rows.append((near(p, t), p.sum(), near(t, p), t.sum()))
    return np.array(rows)


@pytest.mark.parametrize("tolerance", [0, 1, 1.5, 3])
def test_boundaries_are_those_of_a_distance_transform(tolerance):
    rng = np.random.default_rng(3)
    for _ in range(3):
        true = np.kron(rng.integers(-1, 4, (3, 4)), np.ones((7, 6), int))
        predicted = np.roll(np.kron(rng.integers(0, 4, (3, 4)), np.ones((7, 6), int)), 2, axis=1)
        np.testing.assert_array_equal(
            dense.count_boundaries(true, predicted, 4, tolerance=tolerance),
            slow_boundaries(true, predicted, 4, tolerance),
        )


def test_boundaries_of_more_labels_than_a_number_has_bits():
    rng = np.random.default_rng(4)
    true = np.kron(rng.integers(0, 130, (4, 5)), np.ones((5, 5), int))
    np.testing.assert_array_equal(
        dense.count_boundaries(true, np.roll(true, 2, 0), 130),
        slow_boundaries(true, np.roll(true, 2, 0), 130, 3),
    )


def test_a_boundary_worked_by_hand():
    """A step at column 4 is predicted 3 or 4 columns later: within the tolerance of 3, and beyond it."""
    true = np.tile([0] * 4 + [1] * 16, (5, 1))
    for shift, f in ((0, 1.0), (3, 1.0), (4, 0.0)):
        counts = dense.count_boundaries(true, np.roll(true, shift, 1) * (np.arange(20) >= 4 + shift), 2)
        assert dense.boundary_f(counts).tolist() == [f, f]
    assert dense.count_boundaries(true, true, 2).tolist() == [[5, 5, 5, 5]] * 2


def test_intervals_are_a_bootstrap_over_units():
    true, predicted = maps_of(8)
    groups = ["x", "x", "y", "y", "z", None, None, None]
    found = scored(true, predicted, groups=groups, n_resamples=200, seed=5)
    units = [[0, 1], [2, 3], [4], [5], [6], [7]]
    draws = np.random.default_rng(5).multinomial(6, np.full(6, 1 / 6), 200)
    values = []
    for draw in draws:
        rows = [row for unit, times in zip(units, draw, strict=True) for row in unit * int(times)]
        t, p = true[rows], predicted[rows]
        values.append(jaccard_score(t[t >= 0], p[t >= 0], average="macro"))
    assert found.n_units == 6
    assert (found.mean_iou.low, found.mean_iou.high) == pytest.approx(
        tuple(np.quantile(values, [0.025, 0.975]))
    )


def test_one_unit_has_no_interval():
    true, predicted = maps_of(2)
    found = scored(true, predicted, groups=["x", "x"])
    assert found.n_units == 1 and np.isnan(found.mean_iou.low) and found.mean_iou.estimate > 0


def test_images_without_labels_are_no_units():
    true, predicted = maps_of(3)
    true[1] = -1
    found = scored(true, predicted)
    assert found.n_images == found.n_units == 2
    with pytest.raises(InputError, match="none of 3 images has a labeled pixel"):
        scored(np.full_like(true, -1), predicted)


def test_shapes_that_differ_are_refused():
    with pytest.raises(ShapeError, match="predicted ones"):
        dense.count_confusion(np.zeros((2, 2), int), np.zeros((2, 3), int), 1)
    with pytest.raises(ShapeError, match="1 groups for 2 images"):
        scored(*maps_of(2), groups=["x"])
    with pytest.raises(InputError, match="tolerance is -1"):
        dense.count_boundaries(np.zeros((2, 2), int), np.zeros((2, 2), int), 1, tolerance=-1)


def test_a_table_has_one_row_per_label():
    found = scored(*maps_of(3))
    table = found.to_pandas()
    assert list(table["label"]) == list(NAMES) and (table["iou_low"] <= table["iou"]).all()
    assert table["true_pixels"].sum() == found.n_pixels
    assert "pixel accuracy" in found._repr_html_() and "mean IoU" in repr(found)
