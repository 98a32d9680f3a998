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


def test_closest_are_first_matches_nearest_first_one_a_pixel():
    closest = query_votes(classification(ROWS), 1).closest
    np.testing.assert_array_equal(closest.rank, 1)
    np.testing.assert_allclose(closest.distance, [0.1, 0.4, 0.4, 0.5])
    np.testing.assert_array_equal(closest.query_cell, [4, 2, 5, 0])
    assert len(query_votes(classification(ROWS), 1, n_closest=2).closest) == 2


def test_a_path_asked_twice_keeps_its_own_matches():
    rows = [(0, 0, 0, 1, 0, 0.9, 1.0), (1, 1, 2, 1, 1, 0.5, 1.0)]
    result = classification(rows, paths=("a", "a"), skipped=())
    assert query_votes(result, 0).leading[0, 0] == 0
    assert query_votes(result, 1).leading[1, 2] == 1


@pytest.mark.parametrize("n_classes", [0, 3])
def test_no_match_and_no_class(n_classes):
    votes = query_votes(classification([], n_classes=n_classes), 0)
    assert (votes.leading == -1).all() and (votes.share == 0).all() and len(votes.closest) == 0


def test_votes_need_the_match_table_and_an_existing_image():
    result = classification(ROWS)
    with pytest.raises(InputError, match="image 2 of 2"):
        query_votes(result, 2)
    without = Classification(**{**result.__dict__, "matches": None})
    with pytest.raises(InputError, match="keep_matches=True"):
        query_votes(without, 0)
