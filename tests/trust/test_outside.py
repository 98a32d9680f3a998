"""Scores of outside images against the match table, and their detection against scikit-learn."""

from dataclasses import replace

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

import hueprobe as hp
from hueprobe.errors import InputError, ShapeError
from hueprobe.trust import (
    ImageScores,
    NearestPatches,
    conformal_predictions,
    detect_outside,
    image_scores,
    nearest_patches,
)
from tests.small_memories import noise
from tests.trust.made import classification


@pytest.fixture
def memory(small_memory):
    return small_memory(n=12, classes=["a", "b"], grid=(2, 3))


@pytest.fixture
def result(memory):
    return hp.KernelDensityClassifier(memory, k=3).leave_one_out()


def test_nearest_patches_are_those_of_a_slow_search(memory, result):
    found = nearest_patches(result)
    vectors = memory.image_vectors(np.arange(12)).astype(float)  # (12, 6, channels)
    for i in range(12):
        for cell in range(6):
            gaps = np.linalg.norm(vectors - vectors[i, cell], axis=2)
            gaps[i] = np.inf
            image, there = divmod(int(gaps.argmin()), 6)
            y, x = divmod(cell, 3)
            assert found.distance[i, y, x] == pytest.approx(gaps.min(), abs=1e-6)
            assert (found.image[i, y, x], found.y[i, y, x] * 3 + found.x[i, y, x]) == (image, there)
    assert repr(found) == "NearestPatches(12 images on 2x3 cells)"


def test_batches_give_the_same_patches(memory, result, monkeypatch):
    monkeypatch.setattr("hueprobe.query_source._LEAVE_ONE_OUT_VECTORS", 24)  # four images
    parts = list(hp.KernelDensityClassifier(memory, k=3).leave_one_out_batches())
    assert len(parts) == 3
    joined = NearestPatches.concatenate(map(nearest_patches, parts))
    np.testing.assert_array_equal(joined.distance, nearest_patches(result).distance)
    assert joined.images == result.images
    with pytest.raises(InputError, match="no patches to join"):
        NearestPatches.concatenate([])


def test_scores_are_those_of_the_match_table(result):
    found = image_scores(result).scores
    for i in range(12):
        rows = (result.matches.query_image == result.rows[i]) & (result.matches.rank == 1)
        distance = result.matches.distance[rows]
        assert found["mean distance"][i] == pytest.approx(distance.mean())
        assert found["maximum distance"][i] == distance.max()
        assert found["90 % quantile of distance"][i] == pytest.approx(np.quantile(distance, 0.9))
        first, second = sorted(result.likelihood[i])[::-1]
        assert found["1 - likelihood margin"][i] == pytest.approx(1 - first + second)


def test_cells_without_a_match_are_left_out_and_images_without_any_are_strangest(memory):
    values = noise(2, seed=5)
    values[0, :, 0, 0] = 0  # a zero vector
    values[1] = 0
    result = hp.KernelDensityClassifier(memory, k=3).classify_activations(values)
    patches = nearest_patches(result)
    assert np.isnan(patches.distance[0, 0, 0]) and patches.image[0, 0, 0] == -1
    assert np.isfinite(patches.distance[0]).sum() == 5
    found = image_scores(result).scores
    assert found["mean distance"][0] == pytest.approx(np.nanmean(patches.distance[0]))
    assert found["maximum distance"][0] == np.nanmax(patches.distance[0])
    for name in ("mean distance", "maximum distance", "90 % quantile of distance"):
        assert found[name][1] == np.inf
    assert found["1 - likelihood margin"][1] == 1


def test_credibility_is_a_score_where_there_is_a_calibration(result):
    calibration = classification([[0.9, 0.1]] * 4, [0, 0, 1, 1], names="wxyz")
    calibration = replace(calibration, classes=result.classes, true_class=("a", "a", "b", "b"))
    conformal = conformal_predictions(calibration, result)
    found = image_scores(result, conformal=conformal)
    np.testing.assert_allclose(found.scores["1 - credibility"], 1 - conformal.p_values.max(axis=1))


def scores(values, *, groups=None, prefix="i"):
    n = len(values)
    names = tuple(f"{prefix}{i}" for i in range(n))
    return ImageScores(
        names, (None,) * n if groups is None else tuple(groups), {"mean distance": np.array(values, float)}
    )


def test_detection_is_that_of_scikit_learn():
    rng = np.random.default_rng(0)
    inside, outside = rng.normal(0, 1, 40).round(1), rng.normal(1, 1, 30).round(1)
    found = detect_outside(scores(inside), scores(outside, prefix="o"))
    one = found.by_score["mean distance"]
    truth = np.repeat([0, 1], [40, 30])
    assert one.auroc.estimate == pytest.approx(roc_auc_score(truth, np.append(inside, outside)))
    accepted = np.sort(inside)[37]  # 38 of 40 are 95 %
    assert one.threshold == accepted
    assert one.fpr95.estimate == pytest.approx((outside <= accepted).mean())
    assert found.numbers()["AUROC, mean distance"] == one.auroc
    assert "40 inside and 30 outside images" in repr(found) and "FPR at 95 % TPR" in found._repr_html_()


def test_detection_by_hand():
    found = detect_outside(scores([1, 2, 3, 4]), scores([3, 5, 6, 7], prefix="o")).by_score["mean distance"]
    # Pairs that are right: 3 beats 1 and 2 and ties with 3 (2.5 of 4); the others beat all four.
    assert found.auroc.estimate == pytest.approx((2.5 + 12) / 16)
    assert (found.threshold, found.fpr95.estimate) == (4, 0.25)


def test_groups_widen_intervals_and_a_group_on_both_sides_is_one():
    rng = np.random.default_rng(1)
    inside, outside = rng.normal(0, 1, 30), rng.normal(1, 1, 30)
    groups = [f"g{i // 3}" for i in range(90)]
    alone = detect_outside(scores(inside), scores(outside, prefix="o"))
    copied = detect_outside(
        scores(np.repeat(inside, 3), groups=groups),
        scores(np.repeat(outside, 3), groups=[f"o{g}" for g in groups], prefix="o"),
    )
    errors = [one.by_score["mean distance"].auroc.standard_error for one in (alone, copied)]
    assert errors[0] == pytest.approx(errors[1])
    shifted = np.repeat(inside, 3) + 1
    joint, apart = (
        detect_outside(
            scores(np.repeat(inside, 3), groups=groups),
            scores(shifted, groups=[f"{prefix}{g}" for g in groups], prefix="o"),
        ).by_score["mean distance"].auroc.standard_error
        for prefix in ("", "o")
    )  # fmt: skip
    assert joint < 0.8 * apart


def test_table_of_scores():
    pytest.importorskip("pandas")
    frame = detect_outside(scores([1, 2]), scores([3], prefix="o")).to_pandas()
    assert frame["image"].tolist() == ["i0", "i1", "o0"]
    assert frame["outside"].tolist() == [False, False, True]
    assert frame["mean distance"].tolist() == [1, 2, 3]


def test_what_does_not_fit_is_refused(result):
    with pytest.raises(InputError, match="no match table"):
        nearest_patches(replace(result, matches=None))
    with pytest.raises(ShapeError, match="the patches are of other images"):
        image_scores(result, patches=replace(nearest_patches(result), images=tuple("abcdefghijkl")))
    with pytest.raises(InputError, match="2 inside and 0 outside"):
        detect_outside(scores([1, 2]), scores([]))
    with pytest.raises(InputError, match="both with or both without a calibration"):
        detect_outside(scores([1, 2]), image_scores(result))
    with pytest.raises(InputError, match="outside is a list"):
        detect_outside(scores([1, 2]), [1, 2])
