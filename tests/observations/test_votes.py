from dataclasses import replace

import numpy as np
import pytest

from hueprobe.classification import Classification
from hueprobe.errors import InputError
from hueprobe.grid import Grid
from hueprobe.matches import Matches
from hueprobe.observations.accuracy.votes import query_votes


def classification(rows, *, n_classes=3, image_class=(0, 1, 2, -1), paths=("a", "b", "c"), skipped=("b",)):
    """Rows are (query image, query y, query x, rank, memory image, distance, weight); 2x3 grid."""
    columns = list(zip(*rows, strict=True)) if rows else [[]] * 7
    query_image, query_y, query_x, rank, image, distance, weight = (np.array(c) for c in columns)
    n_images = len(image_class)
    classes = tuple("uvwxyz"[:n_classes])
    matches = Matches(
        grid=Grid(2, 3), query_grid=Grid(2, 3), classes=classes, query_paths=paths,
        query_image_class=np.full(len(paths), -1), query_image_group=(None,) * len(paths),
        image_paths=tuple(map(str, range(n_images))), image_class=np.array(image_class),
        image_group=(None,) * n_images,
        query_image=query_image.astype(np.int64), query_y=query_y.astype(np.int32),
        query_x=query_x.astype(np.int32), rank=rank.astype(np.int32), image=image.astype(np.int64),
        y=np.zeros(len(rows), np.int32), x=np.zeros(len(rows), np.int32),
        distance=distance.astype(float), weight=weight.astype(float),
    )  # fmt: skip
    images = tuple(path for path in paths if path not in skipped)
    n = len(images)
    likelihood = np.zeros((n, n_classes))
    return Classification(
        classes=classes, images=images,
        rows=np.flatnonzero([path not in skipped for path in paths]), true_class=(None,) * n,
        predicted=np.full(n, -1),
        tie=np.zeros(n, bool), likelihood=likelihood, unnormalized=likelihood, n_matches=np.zeros(n, int),
        matches=matches, skipped=tuple((path, "broken") for path in skipped), duplicates=(), seconds={},
    )  # fmt: skip


ROWS = [
    (0, 0, 0, 1, 0, 0.9, 1.0),  # image a: another's votes must not leak
    (2, 0, 0, 1, 0, 0.5, 0.3),
    (2, 0, 0, 2, 1, 0.6, 0.2),
    (2, 0, 0, 3, 1, 0.7, 0.2),
    (2, 0, 2, 1, 2, 0.4, 0.5),
    (2, 0, 2, 2, 3, 0.5, 9.0),  # a memory image without a class casts no vote
    (2, 1, 1, 1, 3, 0.1, 0.5),
    (2, 1, 2, 1, 0, 0.4, 0.25),
    (2, 1, 2, 2, 1, 0.4, 0.25),
]


def test_votes_of_each_pixel_by_hand():
    votes = query_votes(classification(ROWS), 1)  # b is unreadable, so c is the second image
    assert votes.name == "c"
    np.testing.assert_allclose(votes.weight, [[0.7, 0, 0.5], [0, 0, 0.5]])
    np.testing.assert_array_equal(votes.leading, [[1, -1, 2], [-1, -1, 0]])  # last: a tie, lower id
    np.testing.assert_allclose(votes.share, [[4 / 7, 0, 1], [0, 0, 0.5]])


def decided(likelihood, **options):
    """The classification of ROWS in which image c has this likelihood, and the likeliest class."""
    result = classification(ROWS, **options)
    both = np.stack([np.zeros(len(likelihood)), likelihood])
    return replace(result, likelihood=both, predicted=np.array([-1, np.argmax(likelihood)]))


def test_telling_images_by_hand():
    """Class u has weight .3 + .25, class v .2 + .2 + .25 in one image, class w .5; row 3 has no class."""
    votes = query_votes(decided([0.2, 0.3, 0.5]), 1)
    np.testing.assert_array_equal(votes.telling.image, [2, 1, 0, 3])
    np.testing.assert_allclose(votes.telling_share, [0.5, 0.3, 0.2, 0])
    np.testing.assert_array_equal(votes.telling_cells, [1, 2, 2, 2])
    np.testing.assert_allclose(votes.telling.weight[:3], [0.5, 0.25, 0.3])  # the weightiest of each
    assert len(set(votes.telling.query_cell[:3])) == 3


def test_half_of_the_telling_images_are_of_the_predicted_class():
    """By their share alone, the two images of the other class would come first."""
    rows = [(0, 0, x, 1, image, 0.5, w) for x, image, w in [(0, 0, 1.0), (1, 1, 1.0)]]
    rows += [(0, 1, x, 1, image, 0.5, 0.5) for x, image in [(0, 2), (1, 3), (2, 4)]]
    result = classification(rows, n_classes=2, image_class=(0, 0, 1, 1, 1), paths=("a",), skipped=())
    result = replace(result, likelihood=np.array([[0.45, 0.55]]), predicted=np.array([1]))
    votes = query_votes(result, 0, n_telling=2)
    np.testing.assert_array_equal(votes.telling.match_class, [0, 1])
    np.testing.assert_allclose(votes.telling_share, [0.225, 0.55 / 3])
    assert query_votes(result, 0, n_telling=1).telling.match_class.tolist() == [1]
    assert sorted(query_votes(result, 0).telling.image) == [0, 1, 2, 3, 4]


def test_shares_are_those_of_the_likelihood_equation():
    """Weights over n_C, summed by image and divided by their sum over all, are the shares."""
    rng = np.random.default_rng(0)
    image_class, n_of_class = rng.integers(0, 3, 12), np.array([40.0, 10.0, 25.0])
    rows = [
        (0, y, x, rank + 1, image, rng.random(), rng.random())
        for y in range(2)
        for x in range(3)
        for rank, image in enumerate(rng.permutation(12)[:5])
    ]
    result = classification(rows, image_class=image_class, paths=("a",), skipped=())
    of_image = np.bincount([row[4] for row in rows], [row[6] for row in rows], 12) / n_of_class[image_class]
    likelihood = np.bincount(image_class, of_image, 3)
    likelihood, of_image = likelihood / likelihood.sum(), of_image / likelihood.sum()
    result = replace(result, likelihood=likelihood[None], predicted=np.array([likelihood.argmax()]))
    votes = query_votes(result, 0, n_telling=12)
    np.testing.assert_allclose(votes.telling_share, of_image[votes.telling.image])
    assert (np.diff(votes.telling_share) <= 1e-12).all() and np.isclose(votes.telling_share.sum(), 1)
    assert len(set(votes.telling.image)) == len(votes.telling)
    few = query_votes(result, 0, n_telling=4).telling
    assert (few.match_class == likelihood.argmax()).sum() >= 2
    assert len(set(few.query_cell)) == 4


def test_without_a_vote_images_are_told_by_weight_and_have_no_share():
    votes = query_votes(classification(ROWS), 1)  # no likelihood at all
    np.testing.assert_array_equal(votes.telling.image, [3, 1, 0, 2])
    assert np.isnan(votes.telling_share).all()


def test_a_path_asked_twice_keeps_its_own_matches():
    rows = [(0, 0, 0, 1, 0, 0.9, 1.0), (1, 1, 2, 1, 1, 0.5, 1.0)]
    result = classification(rows, paths=("a", "a"), skipped=())
    assert query_votes(result, 0).leading[0, 0] == 0
    assert query_votes(result, 1).leading[1, 2] == 1


@pytest.mark.parametrize("n_classes", [0, 3])
def test_no_match_and_no_class(n_classes):
    votes = query_votes(classification([], n_classes=n_classes), 0)
    assert (votes.leading == -1).all() and (votes.share == 0).all() and len(votes.telling) == 0


def test_votes_need_the_match_table_and_an_existing_image():
    result = classification(ROWS)
    with pytest.raises(InputError, match="no image 2 among 2"):
        query_votes(result, 2)
    without = Classification(**{**result.__dict__, "matches": None})
    with pytest.raises(InputError, match="keep_matches=True"):
        query_votes(without, 0)
