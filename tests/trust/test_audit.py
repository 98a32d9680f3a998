"""Duplicates, shared patches and label-noise candidates, against slow loops and against planted ones."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

import hueprobe as hp
from hueprobe.errors import InputError
from hueprobe.trust.near_images import PooledImages
from hueprobe.trust.shared_cells import SharedCells, shared_cells
from tests.trust.made import classification
from tests.trust.planted import N_COPIES, paste, plant


@pytest.fixture(scope="module")
def planted(tmp_path_factory):
    folder = tmp_path_factory.mktemp("planted")
    copies, flipped = plant(folder / "images")
    memory = hp.build_memory(folder / "m", folder / "images", backbone="tests.tiny_network:tiny", layer="3")
    return memory, copies, flipped


@pytest.fixture(scope="module")
def found(planted):
    return hp.trust.audit(planted[0])


@pytest.fixture(scope="module")
def pasted(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pasted")
    patches = paste(folder / "images")
    memory = hp.build_memory(folder / "m", folder / "images", backbone="tests.tiny_network:tiny", layer="3")
    return memory, patches, hp.trust.audit(memory)


def pairs_of(found):
    names = found.images
    return {frozenset((names[a], names[b])) for a, b in zip(found.near.first, found.near.second, strict=True)}


def test_exact_copies_are_found_and_nothing_else(found, planted):
    sets = {frozenset(found.images[i] for i in images) for images in found.exact}
    assert sets == {frozenset(pair) for pair in planted[1]["exact"]}
    assert found.conflicts == ()


def test_recall_of_changed_copies(found, planted):
    """Convolutions without training know nothing of mirroring, so mirrored copies are missed."""
    pairs, copies, names = pairs_of(found), planted[1], found.images
    patches = [frozenset((names[a], names[b])) for a, b in found.pairs("patches").tolist()]
    recall = {kind: sum(frozenset(pair) in pairs for pair in copies[kind]) for kind in copies}
    assert recall == {"exact": 0, "jpeg": N_COPIES, "cropped": 1, "flipped": 0}
    cells = {pair: n for pair, n in zip(map(frozenset, copies["jpeg"]), found.near.cells, strict=False)}
    assert set(cells.values()) == {36}  # every cell of a re-encoded copy
    assert sum(frozenset(pair) in patches for pair in copies["cropped"]) == N_COPIES - 1


def test_no_pair_was_not_planted(found, planted):
    every = {frozenset(pair) for pairs in planted[1].values() for pair in pairs}
    assert (
        pairs_of(found)
        | {frozenset((found.images[a], found.images[b])) for a, b in found.pairs("patches").tolist()}
        <= every
    )
    assert found.false_alarms("relative_distance").estimate == found.false_alarms("cells").estimate == 0


def test_more_false_alarms_are_allowed(found, planted):
    """The limits follow from the rate, and keep it roughly; a limit that is given counts instead."""
    loose = hp.trust.audit(planted[0], false_alarms=0.2)
    assert loose.limits["relative_distance"] > found.limits["relative_distance"]
    assert loose.limits["cells"] < found.limits["cells"]
    assert 0.02 < loose.false_alarms("relative_distance").estimate < 0.4
    other, value = loose.other["relative_distance"], loose.other_value["relative_distance"]
    assert all(loose.classes[i] != loose.classes[j] for i, j in enumerate(other))
    assert loose.limits["relative_distance"] == hp.stats.limit_of_minima(value, 0.2)
    given = hp.trust.audit(planted[0], false_alarms=0.2, relative_distance=0.1, cells=40)
    assert given.limits == {"relative_distance": 0.1, "cells": 40} and len(given.patches) == 0
    assert (given.near.relative_distance < 0.1).all() and len(given.near) == N_COPIES


def test_pasted_patches_are_found_with_their_boxes(pasted):
    """A patch of 5 x 5 cells; the outer cells also see what is around it."""
    memory, patches, found = pasted
    at = memory.images.paths.index
    assert len(found.patches) == len(patches) and len(found.near) == len(found.exact) == 0
    for (source, target), (start, end) in patches.items():
        rows = np.flatnonzero((found.patches.first == at(source)) & (found.patches.second == at(target)))
        box = {name: int(getattr(found.patches, name)[rows[0]]) for name in (
            "cells", "equal", "y", "x", "height", "width", "other_y", "other_x")}  # fmt: skip
        assert (box["other_y"] - box["y"], box["other_x"] - box["x"]) == (
            end[0] - start[0],
            end[1] - start[1],
        )
        assert start[0] <= box["y"] and box["y"] + box["height"] <= start[0] + 5
        assert start[1] <= box["x"] and box["x"] + box["width"] <= start[1] + 5
        assert 8 <= box["cells"] <= box["height"] * box["width"]
        assert 1 <= box["equal"] < box["cells"]  # where no seam is in sight, the cells are the same
    # The true pairs are of different classes, so they are counted as alarms.
    assert found.false_alarms("cells").estimate == pytest.approx(4 / len(found))
    assert found.by_sets("patches") == {("memory", "memory"): 2}
    assert found.copies()["memory", "memory"].patches == 4


def test_a_patch_pasted_into_a_further_image(pasted, tmp_path):
    memory, patches, _ = pasted
    root = Path(memory.images.roots[0])
    for _, target in patches:
        (tmp_path / "more" / target).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "more" / target).write_bytes((root / target).read_bytes())
    kept = [row for row, path in enumerate(memory.images.paths) if path not in {two for _, two in patches}]
    smaller = hp.build_memory(
        tmp_path / "m", memory.images.select(kept), backbone="tests.tiny_network:tiny", layer="3"
    )
    found = hp.trust.audit(smaller, tmp_path / "more")
    names = [(found.images[a], found.images[b]) for a, b in found.pairs("patches").tolist()]
    assert sorted(names) == sorted(patches)  # memory image first
    assert found.by_sets("patches") == {("images", "memory"): 2}
    downwards = found.patches.other_y - found.patches.y
    assert sorted(downwards.tolist()) == [-1, 1]


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
    found = hp.trust.audit(memory, tmp_path / "more")
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
    cells = dict(zip(zip(found.near.first, found.near.second, strict=True), found.near.cells, strict=True))
    assert cells[at(original), n + 2] == 36 and cells[n, n + 2] == 0  # IMAGES are not searched


def test_copies_between_splits_are_counted(planted, tmp_path):
    """Each image counts once, however many copies it has; every set with every set."""
    memory, copies, _ = planted
    test = {copy for kind in ("exact", "jpeg") for _, copy in copies[kind]} | {copies["cropped"][0][1]}
    splits = tuple("test" if path in test else "train" for path in memory.images.paths)
    table = replace(memory.images, splits=splits)
    split = hp.build_memory(tmp_path / "m", table, backbone="tests.tiny_network:tiny", layer="3")
    found = hp.trust.audit(split)
    counts = {}
    for name in ("test", "train"):
        for other in ("test", "train"):
            rows = [i for i, own in enumerate(splits) if own == name]
            partners = {kind: {i: [] for i in rows} for kind in ("exact", "near", "patches")}
            for kind, of in partners.items():
                for a, b in found.pairs(kind).tolist():
                    for i, j in ((a, b), (b, a)):
                        if i in of and splits[j] == other:
                            of[i].append(j)
            exact, near, patches = ({i for i in rows if of[i]} for of in partners.values())
            counts[f"memory: {name}", f"memory: {other}"] = hp.trust.Copies(
                n=len(rows), exact=len(exact), near=len(near), either=len(exact | near), patches=len(patches)
            )
    assert found.copies() == counts
    leaked = found.copies()["memory: test", "memory: train"]
    assert (leaked.n, leaked.exact, leaked.near, leaked.either) == (7, 3, 4, 7)
    pairs = found.to_arrow("near").to_pylist()
    assert all({row["set"], row["other_set"]} == {"memory: train", "memory: test"} for row in pairs)


@pytest.mark.parametrize("ranks", [1, 3])
def test_shared_cells_against_a_loop(small_memory, ranks):
    memory = small_memory(n=9, grid=(3, 4), classes="ab", channels=3)
    matches = hp.KernelDensityClassifier(memory, k=6).leave_one_out().matches
    found = shared_cells(matches, ranks=ranks)
    got = {}
    for i in range(len(found)):
        values = {name: getattr(found, name)[i] for name in vars(found)}
        got[int(values.pop("first")), int(values.pop("second"))] = values
    expected = {}
    for q in range(9):
        for m in range(9):
            moves = {}
            for row in np.flatnonzero((matches.query_image == q) & (matches.image == m)):
                if matches.rank[row] <= ranks:
                    here = int(matches.query_y[row]), int(matches.query_x[row])
                    there = int(matches.y[row]), int(matches.x[row])
                    move = there[0] - here[0], there[1] - here[1]
                    moves.setdefault(move, []).append((*here, matches.distance[row]))
            if moves:
                move, cells = min(
                    moves.items(), key=lambda item: (-len(item[1]), np.mean([d for *_, d in item[1]]))
                )
                if len(cells) >= 2:
                    ys, xs, distances = zip(*cells, strict=True)
                    expected[q, m] = {
                        "cells": len(cells), "equal": 0, "distance": pytest.approx(np.mean(distances)),
                        "y": min(ys), "x": min(xs), "height": max(ys) - min(ys) + 1,
                        "width": max(xs) - min(xs) + 1, "other_y": min(ys) + move[0],
                        "other_x": min(xs) + move[1],
                    }  # fmt: skip
    assert got == expected and len(got) > 2


def test_each_image_keeps_its_best_pairs_and_one_of_another_class(small_memory, monkeypatch):
    memory = small_memory(n=9, grid=(3, 4), classes="ab", channels=3)
    matches = hp.KernelDensityClassifier(memory, k=6).leave_one_out().matches
    whole = shared_cells(matches)
    monkeypatch.setattr("hueprobe.trust.shared_cells.KEPT", 1)
    kept = shared_cells(matches)
    classes = memory.image_class
    for q in range(9):
        rows = [i for i in range(len(whole)) if whole.first[i] == q]
        rows.sort(key=lambda i: (-whole.cells[i], whole.distance[i]))
        others = [i for i in rows if classes[whole.second[i]] != classes[q]]
        assert set(kept.second[kept.first == q]) == set(whole.second[list({*rows[:1], *others[:1]})])


def test_pairs_in_both_directions_become_one():
    """The direction with more cells counts; boxes change sides with the images."""

    def made(first, second, cells, y, x, other_y, other_x):
        arrays = [np.array([value]) for value in (first, second, cells, 0, 0.5, y, x, 2, 3, other_y, other_x)]
        return SharedCells(*arrays)

    parts = [made(4, 1, 7, 3, 2, 1, 0), made(1, 4, 5, 1, 0, 3, 2), made(2, 3, 2, 0, 1, 2, 3)]
    one = SharedCells.concatenate(parts).undirected()
    assert one.first.tolist() == [1, 2] and one.second.tolist() == [4, 3] and one.cells.tolist() == [7, 2]
    assert (one.y.tolist(), one.x.tolist()) == ([1, 0], [0, 1])
    assert (one.other_y.tolist(), one.other_x.tolist()) == ([3, 2], [2, 3])
    assert len(SharedCells.concatenate([]).undirected()) == 0


@pytest.mark.parametrize("at_once", [2**22, 40])
def test_pooled_images_against_a_loop(monkeypatch, at_once):
    monkeypatch.setattr("hueprobe.trust.near_images._AT_ONCE", at_once)
    rng = np.random.default_rng(0)
    n, n_memory = 40, 30
    rows = rng.random((n, 5)).astype(np.float32)
    rows[20:24] = rows[20] + 0.01 * rng.random((4, 5))  # a burst
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    rows[7] = 0
    classes = rng.integers(-1, 3, n)
    contents = np.arange(n)
    contents[3] = 2
    apart = {
        (a, b): np.linalg.norm(rows[a].astype(float) - rows[b])
        for a in range(n) for b in range(n) if contents[a] != contents[b] and 7 not in (a, b)
    }  # fmt: skip
    scale = np.zeros(n)
    for a in range(n):
        of = sorted(apart[a, b] for b in range(n_memory) if (a, b) in apart)
        scale[a] = of[9] if of else 0
    median = np.median(scale[scale > 0])
    scale[scale > 0] = np.maximum(scale[scale > 0], median / 2)
    relative = {pair: d / np.sqrt(scale[pair[0]] * scale[pair[1]]) for pair, d in apart.items()}
    found = PooledImages.of(rows, contents, n_memory)
    np.testing.assert_allclose(found.scale, scale)
    near = found.pairs(0.6)
    expected = {(a, b): (apart[a, b], r) for (a, b), r in relative.items() if a < b and r < 0.6}
    values = zip(near.distance, near.relative, strict=True)
    got = dict(zip(zip(near.first.tolist(), near.second.tolist(), strict=True), values, strict=True))
    assert set(got) == set(expected) and len(got) > 10 and (20, 23) in got
    for pair, value in expected.items():
        assert got[pair] == pytest.approx(value)
    other, value = found.most_alike_of_other_classes(classes)
    for a in range(n):
        of = {
            b: r for (one, b), r in relative.items()
            if one == a and classes[a] >= 0 and classes[b] >= 0 and classes[a] != classes[b]
        }  # fmt: skip
        assert value[a] == pytest.approx(min(of.values(), default=np.inf))
        assert other[a] == (min(of, key=of.__getitem__) if of else -1)


def test_a_large_burst_does_not_hide_itself():
    """Of 15 near copies each has 10 at a small distance; its scale is half of the median one all the same."""
    rng = np.random.default_rng(0)
    rows = rng.random((60, 20)).astype(np.float32)
    rows[:15] = rows[0] + 0.02 * rng.random((15, 20))
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    found = PooledImages.of(rows, np.arange(60), 60)
    near = found.pairs(0.5)
    assert {(a, b) for a in range(15) for b in range(a + 1, 15)} == set(
        zip(near.first.tolist(), near.second.tolist(), strict=True)
    )


def test_equal_descriptors_are_near_at_any_scale():
    """All images are the same drawing: distances and scales are 0."""
    rows = np.tile(np.float32([0.6, 0.8]), (4, 1))
    near = PooledImages.of(rows, np.arange(4), 4).pairs(0.1)
    assert len(near.first) == 6 and (near.relative == 0).all()
    # A single memory image has no neighbor, so no scale: only what equals it is near.
    rows = np.float32([[1, 0], [1, 0], [0.6, 0.8]])
    near = PooledImages.of(rows, np.arange(3), 1).pairs(5.0)
    assert list(zip(near.first.tolist(), near.second.tolist(), strict=True)) == [(0, 1)]


def test_label_candidates_by_hand():
    likelihood = [[0.25, 0.375, 0.375], [0.875, 0.125, 0.0], [0.25, 0.625, 0.125], [0.25, 0.25, 0.5]]
    result = classification(likelihood, [0, 0, 0, None])
    found = hp.trust.label_candidates(result)
    assert found.images == ("image2", "image0", "image1")  # of equal likelihoods, the smaller margin first
    assert found.rank.tolist() == [2, 3, 1] and found.n_candidates == 2
    assert found.candidates.tolist() == [0, 1]
    assert found.margin.tolist() == [-0.375, -0.125, 0.75]
    assert found.predicted == ("c1", "c1", "c0")
    lone = replace(result, lone=np.array([False, False, True, False]))
    assert hp.trust.label_candidates(lone).images == ("image0", "image1")


def test_an_unlikely_label_that_is_the_likeliest_is_no_candidate():
    """Of many classes, a small likelihood may be the greatest."""
    result = classification([[0.3, 0.25, 0.25, 0.2], [0.35, 0.45, 0.1, 0.1]], [0, 0])
    found = hp.trust.label_candidates(result)
    assert found.images == ("image0", "image1") and found.rank.tolist() == [1, 2]
    assert found.candidates.tolist() == [1] and found.n_candidates == 1


def test_false_alarms_count_paired_images_as_one(found):
    """Two images of different classes are paired with each other, and nothing else is."""
    other, value = np.full(len(found), -1), np.full(len(found), np.inf)
    a, b = found.classes.index("blue"), found.classes.index("red")
    other[[a, b]], value[[a, b]] = (b, a), 0.01
    made = replace(found, other={**found.other, "relative_distance": other}, other_value={**found.other_value,
                   "relative_distance": value})  # fmt: skip
    got = made.false_alarms("relative_distance")
    codes = np.arange(len(found))
    codes[b] = a
    expected = hp.stats.share_interval(np.isin(np.arange(len(found)), [a, b]), codes)
    assert got == expected and got.estimate == pytest.approx(2 / len(found))
    assert made.false_alarms("relative_distance", 0.01).estimate == 0  # at the limit is not below it


def test_tables_are_saved(found, tmp_path):
    for path in found.save(tmp_path):
        assert pq.read_table(path).equals(found.to_arrow(path.stem))
    assert found.to_pandas("near").shape == (len(found.near), 9)
    exact = found.to_arrow("exact").to_pylist()
    assert len(exact) == 2 * len(found.exact) and {row["set"] for row in exact} == {"memory"}
    patches = found.to_arrow("patches")
    assert patches.num_rows == len(found.patches) > 0
    assert all(row["cells"] >= found.limits["cells"] for row in patches.to_pylist())
    with pytest.raises(InputError, match="not a folder"):
        found.save(tmp_path / "none")


def test_patches_between_classes_come_first(pasted):
    loose = hp.trust.audit(pasted[0], cells=2)
    same = [loose.classes[a] == loose.classes[b] for a, b in loose.pairs("patches").tolist()]
    assert same == sorted(same) and 0 < sum(same) < len(same)
    cells = loose.patches.cells
    assert cells[0] == 9 and (np.diff(cells[~np.array(same)]) <= 0).all()


@pytest.mark.parametrize(
    "wrong, told",
    [
        ({"relative_distance": -1}, "relative_distance is -1; give a finite number from 0 on"),
        ({"relative_distance": float("nan")}, "relative_distance is nan"),
        ({"false_alarms": 0}, "false_alarms is 0; give a share of images between 0 and 1"),
        ({"cells": 1}, "cells must be at least 2, got 1"),
        ({"exclude": "none"}, "exclude"),
    ],
)
def test_limits_out_of_range(planted, wrong, told):
    with pytest.raises(InputError, match=told):
        hp.trust.audit(planted[0], **wrong)


def test_without_classes_every_other_image_sets_the_limits(small_memory):
    found = hp.trust.audit(small_memory(n=30), k=2)
    assert len(found.labels) == 0 and np.isnan(found.false_alarms("cells").estimate)
    nearest = np.full(30, np.inf)
    every = hp.trust.audit(small_memory(n=30), k=2, relative_distance=9.0).near
    for a, b, value in zip(every.first, every.second, every.relative_distance, strict=True):
        nearest[[a, b]] = np.minimum(nearest[[a, b]], value)
    assert len(every) == 30 * 29 / 2
    assert found.limits["relative_distance"] == pytest.approx(hp.stats.limit_of_minima(nearest, 0.001))


def test_it_shows_itself_in_notebooks(found):
    assert "near-duplicate pairs" in found._repr_html_() and "label-noise" in repr(found)
    assert repr(found).startswith(
        "Audit(42 images: 3 sets of exact duplicates, 4 near-duplicate pairs, 2 pairs with"
    )
