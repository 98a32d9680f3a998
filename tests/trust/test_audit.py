"""Duplicates and label-noise candidates, against slow loops and against what was planted in drawn images."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

import hueprobe as hp
from hueprobe.errors import InputError
from hueprobe.trust.near_images import near_images
from hueprobe.trust.near_pairs import matched_shares
from tests.trust.made import classification
from tests.trust.planted import N_COPIES, plant

LIMITS = {"distance": 0.08, "share": 0.5, "near": 0.1}  # an untrained network hardly tells images apart


@pytest.fixture(scope="module")
def planted(tmp_path_factory):
    folder = tmp_path_factory.mktemp("planted")
    copies, flipped = plant(folder / "images")
    memory = hp.build_memory(folder / "m", folder / "images", backbone="tests.tiny_network:tiny", layer="3")
    return memory, copies, flipped


@pytest.fixture(scope="module")
def found(planted):
    return hp.trust.audit(planted[0], **LIMITS)


def pairs_of(found):
    names = found.images
    return {frozenset((names[a], names[b])) for a, b in zip(found.near.first, found.near.second, strict=True)}


def test_exact_copies_are_found_and_nothing_else(found, planted):
    sets = {frozenset(found.images[i] for i in images) for images in found.exact}
    assert sets == {frozenset(pair) for pair in planted[1]["exact"]}
    assert found.conflicts == ()


def test_recall_of_changed_copies(found, planted):
    """Convolutions without training know nothing of mirroring, so most mirrored copies are missed."""
    pairs, copies = pairs_of(found), planted[1]
    recall = {kind: sum(frozenset(pair) in pairs for pair in copies[kind]) for kind in copies}
    assert recall == {"exact": 0, "jpeg": N_COPIES, "cropped": N_COPIES, "flipped": 1}
    share = {frozenset((found.images[a], found.images[b])): value for a, b, value in zip(
        found.near.first, found.near.second, found.near.share, strict=True)}  # fmt: skip
    assert all(share[frozenset(pair)] > 0.9 for pair in copies["jpeg"])
    assert all(0 < share[frozenset(pair)] < 0.5 for pair in copies["cropped"])


def test_no_pair_was_not_planted(found, planted):
    every = {frozenset(pair) for pairs in planted[1].values() for pair in pairs}
    assert pairs_of(found) <= every
    assert found.false_alarms("distance").estimate == found.false_alarms("share").estimate == 0


def test_wrong_labels_come_first(found, planted):
    flipped = planted[2]
    assert set(found.labels.images[: len(flipped)]) == set(flipped)
    assert (found.labels.rank[: len(flipped)] > 1).all() and (found.labels.margin[: len(flipped)] < 0).all()


def test_images_are_compared_with_the_memory_and_with_each_other(planted, tmp_path):
    memory, copies, _ = planted
    root = memory.images.roots[0]
    (tmp_path / "more" / "blue").mkdir(parents=True)
    original, copy = copies["jpeg"][0]
    for name, source in (("a.png", original), ("b.png", original), ("c.jpg", copy)):
        (tmp_path / "more" / "blue" / name).write_bytes((Path(root) / source).read_bytes())
    found = hp.trust.audit(memory, tmp_path / "more", **LIMITS)
    n = memory.n_images
    at = memory.images.paths.index
    assert (at(original), n, n + 1) in found.exact and (at(copy), n + 2) in found.exact
    assert found.sets[n:] == ("images",) * 3
    near = set(zip(found.near.first.tolist(), found.near.second.tolist(), strict=True))
    # Original and copy near each other on both sides, and across.
    assert {(n, n + 2), (n + 1, n + 2), (at(original), n + 2)} <= near
    assert found.by_sets()[("images", "images")] == 2
    assert found.by_sets("exact")[("images", "memory")] == 3
    assert set(found.labels.rows[np.array(found.labels.images) == "blue/a.png"]) == {n}


def test_matched_shares_against_a_loop(small_memory):
    memory = small_memory(n=6, grid=(3, 3))
    matches = hp.KernelDensityClassifier(memory, k=8).leave_one_out().matches
    near = float(np.quantile(matches.distance, 0.4))
    expected = {}
    for q in range(6):
        for m in range(6):
            rows = (matches.query_image == q) & (matches.image == m) & (matches.distance < near)
            cells = set(zip(matches.query_y[rows].tolist(), matches.query_x[rows].tolist(), strict=True))
            if cells:
                expected[q, m] = len(cells) / 9
    found = matched_shares(matches, near=near)
    assert dict(zip(zip(found.query_image, found.image, strict=True), found.share, strict=True)) == expected
    assert len(expected) > 10


@pytest.mark.parametrize("at_once", [2**24, 40])
def test_near_images_against_a_loop(monkeypatch, at_once):
    monkeypatch.setattr("hueprobe.trust.near_images._AT_ONCE", at_once)
    rng = np.random.default_rng(0)
    rows = rng.random((20, 5)).astype(np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    rows[7] = 0
    classes = rng.integers(-1, 3, 20)
    contents = np.arange(20)
    contents[3] = 2
    expected, nearest = {}, {}
    for a in range(20):
        for b in range(20):
            if contents[a] == contents[b] or 7 in (a, b):
                continue
            distance = np.linalg.norm(rows[a].astype(float) - rows[b])
            if a < b and distance < 0.5:
                expected[a, b] = distance
            if classes[a] >= 0 and classes[b] >= 0 and classes[a] != classes[b]:
                nearest[a] = min(nearest.get(a, np.inf), distance)
    found = near_images(rows, classes, contents, limit=0.5)
    got = dict(
        zip(zip(found.first.tolist(), found.second.tolist(), strict=True), found.distance, strict=True)
    )
    assert got == pytest.approx(expected) and len(got) > 10
    np.testing.assert_allclose(found.other_distance, [nearest.get(a, np.inf) for a in range(20)])


def test_label_candidates_by_hand():
    likelihood = [[0.25, 0.375, 0.375], [0.875, 0.125, 0.0], [0.25, 0.625, 0.125], [0.25, 0.25, 0.5]]
    result = classification(likelihood, [0, 0, 0, None])
    found = hp.trust.label_candidates(result)
    assert found.images == ("image2", "image0", "image1")  # of equal likelihoods, the smaller margin first
    assert found.rank.tolist() == [2, 3, 1] and found.n_candidates == 2
    assert found.margin.tolist() == [-0.375, -0.125, 0.75]
    assert found.predicted == ("c1", "c1", "c0")
    lone = replace(result, lone=np.array([False, False, True, False]))
    assert hp.trust.label_candidates(lone).images == ("image0", "image1")


def test_false_alarms_count_paired_images_as_one(found):
    """Two images of different classes are paired with each other, and nothing else is."""
    other, value = np.full(len(found), -1), np.full(len(found), np.inf)
    a, b = found.classes.index("blue"), found.classes.index("red")
    other[[a, b]], value[[a, b]] = (b, a), 0.01
    made = replace(found, other={**found.other, "distance": other}, other_value={**found.other_value,
                   "distance": value})  # fmt: skip
    got = made.false_alarms("distance")
    codes = np.arange(len(found))
    codes[b] = a
    expected = hp.stats.share_interval(np.isin(np.arange(len(found)), [a, b]), codes)
    assert got == expected and got.estimate == pytest.approx(2 / len(found))
    assert made.false_alarms("distance", 0.01).estimate == 0  # at the limit is not below it


def test_tables_are_saved(found, tmp_path):
    for path in found.save(tmp_path):
        assert pq.read_table(path).equals(found.to_arrow(path.stem))
    assert found.to_pandas("near").shape == (len(found.near), 8)
    exact = found.to_arrow("exact").to_pylist()
    assert len(exact) == 2 * len(found.exact) and {row["set"] for row in exact} == {"memory"}
    patches = found.to_arrow("patches")
    assert patches.num_rows == len(found.patches) > 0
    assert all(row["distance"] < LIMITS["near"] for row in patches.to_pylist())
    with pytest.raises(InputError, match="not a folder"):
        found.save(tmp_path / "none")


def test_patches_are_the_nearest_matches(found, planted):
    matches = hp.KernelDensityClassifier(planted[0]).leave_one_out().matches
    kept = (matches.rank == 1) & (matches.distance < LIMITS["near"])
    np.testing.assert_array_equal(found.patches.first, matches.query_image[kept])
    np.testing.assert_array_equal(found.patches.second, matches.image[kept])
    np.testing.assert_array_equal(found.patches.second_y, matches.y[kept])


@pytest.mark.parametrize(
    "wrong, told",
    [
        ({"distance": -1}, "distance is -1; give a number from 0 to 2"),
        ({"share": 1.5}, "share is 1.5"),
        ({"near": float("nan")}, "near is nan"),
        ({"exclude": "none"}, "exclude"),
    ],
)
def test_limits_out_of_range(planted, wrong, told):
    with pytest.raises(InputError, match=told):
        hp.trust.audit(planted[0], **wrong)


def test_without_classes_nothing_is_said_of_labels(small_memory):
    found = hp.trust.audit(small_memory(n=4), k=2)
    assert len(found.labels) == 0 and np.isnan(found.false_alarms("share").estimate)


def test_it_shows_itself_in_notebooks(found):
    assert "near-duplicate pairs" in found._repr_html_() and "label-noise" in repr(found)
