"""Motions of the content: known slopes are found, and decoders that read content are told from others."""

import numpy as np
import pytest
from sklearn.linear_model import Ridge

from hueprobe.errors import InputError
from hueprobe.grid import Grid
from hueprobe.observations.interventions.decoders import (
    N_FOLDS,
    content_followed,
    fit_position_decoders,
)
from hueprobe.observations.interventions.doses import Planted, class_displacements, respond
from hueprobe.observations.interventions.result import Interventions, measure
from hueprobe.observations.interventions.simulation import simulate

CONTENT = np.array([(0.4, 0.1), (-0.3, 0.2), (0.0, -0.3), (0.1, 0.3), (-0.2, -0.3)])
SLOPES = np.array([0.4, 0.5])
QUIET = {"image_sd": 0.1, "memory_sd": 0.05}


def planted(pixels, *, flips="e,h,r"):
    """Positions of images whose content was moved, of which estimators report .4 in u and .5 in v."""
    away = class_displacements(5, pixels) / 32
    moved = CONTENT + SLOPES * away
    found = simulate(moved, 0 * CONTENT, n_images=20, seed=0, n_deals=4, flips="e,h,r", **QUIET)
    return Planted(pixels, away, found if flips == "e,h,r" else found.select(("e",)))


@pytest.fixture(scope="module")
def base():
    return simulate(CONTENT, 0 * CONTENT, n_images=20, seed=0, n_deals=4, flips="e,h,r", **QUIET)


def test_classes_are_moved_equally_far_at_equal_angles():
    away = class_displacements(7, 100)
    np.testing.assert_allclose(np.hypot(*away.T), 100, atol=1)
    angles = np.unwrap(np.arctan2(away[:, 1], away[:, 0]))
    np.testing.assert_allclose(np.diff(angles), 2 * np.pi / 7, atol=0.02)
    both = class_displacements(2, 32)  # two classes are moved in both coordinates, and against each other
    assert (both[0] == -both[1]).all() and both.all()


@pytest.mark.parametrize("flips", ["e,h,r", "e"])
def test_slopes_are_recovered_and_the_network_does_not_move(base, flips):
    response = respond(base, [planted(16, flips=flips), planted(32, flips=flips)], "energy")
    for slope, true in zip(response.slope, SLOPES, strict=True):
        assert slope.estimate == pytest.approx(true, abs=0.02)
        assert slope.low < slope.estimate < slope.high
    assert [dose.pixels for dose in response.doses] == [0, 16, 32]
    assert response.doses[2].cells == pytest.approx(1, abs=0.02)
    assert response.doses[2].moved.estimate == pytest.approx(0.45, abs=0.03)
    if flips == "e":
        assert np.isnan(response.network_slope[0].estimate)
        assert np.isnan(response.doses[1].content.estimate) and response.doses[1].as_is.estimate > 0
    else:
        assert abs(response.network_slope[0].estimate) < 0.02
        distances = [dose.content.estimate for dose in response.doses]
        away = class_displacements(5, 32) / 32 * SLOPES + CONTENT
        expected = np.sqrt(((away - away.mean(0)) ** 2).sum() / 4)
        assert distances[2] == pytest.approx(expected, abs=0.05)


def test_two_classes_have_no_slope_since_they_mirror_each_other():
    away = class_displacements(2, 32) / 32
    two = [
        simulate(CONTENT[:2] + moved, 0 * CONTENT[:2], n_images=20, seed=0, n_deals=4, flips="e,h,r", **QUIET)
        for moved in (0 * away, 0.5 * away)
    ]
    response = respond(two[0], [Planted(32, away, two[1])], "energy")
    assert all(np.isnan(slope.estimate) for slope in (*response.slope, *response.network_slope))
    assert np.isnan(response.doses[1].moved.estimate)


def test_distances_in_cells_of_content_are_divided_by_the_slopes(base, tmp_path):
    found = measure(base, planted=[planted(16), planted(32)], n_permutations=99)
    in_cells = CONTENT / SLOPES
    expected = np.sqrt(((in_cells - in_cells.mean(0)) ** 2).sum() / 4)
    assert found.content_cells("energy").estimate == pytest.approx(expected, abs=0.08)
    assert found.numbers()["energy, content-locked, in cells of content"] == found.content_cells("energy")
    assert [row["pixels"] for row in found.tables()["doses"]] == [0, 16, 32]
    found.save(tmp_path / "x.npz")
    again = Interventions.load(tmp_path / "x.npz")
    assert again.to_json() == found.to_json() and len(again.planted) == 2


def test_slopes_are_those_of_a_slow_regression(base):
    one = planted(32)
    response = respond(base, [one], "energy")
    signs = {"e": (1, 1), "h": (-1, 1), "r": (-1, -1)}
    for axis in range(2):
        y = np.zeros(5)
        for label in range(5):
            changes = []
            for deal in range(4):
                for image in np.flatnonzero(base.image_class == label):
                    content = []
                    for positions in (base, one.positions):
                        kept = [
                            float(positions.position[deal, i, 0, image, axis])
                            for i, flip in enumerate(positions.flips)
                            if signs[flip][axis] > 0
                        ]
                        turned = [
                            float(positions.position[deal, i, 0, image, axis])
                            for i, flip in enumerate(positions.flips)
                            if signs[flip][axis] < 0
                        ]
                        content.append((np.mean(kept) - np.mean(turned)) / 2)
                    changes.append(content[1] - content[0])
            y[label] = np.mean(changes)
        x = one.displacement[:, axis] - one.displacement[:, axis].mean()
        assert response.slope[axis].estimate == pytest.approx(x @ y / (x @ x), rel=1e-5)


def test_refuses_no_dose_and_other_images(base):
    with pytest.raises(InputError, match="no dose was planted"):
        respond(base, [], "energy")
    other = simulate(CONTENT, 0 * CONTENT, n_images=20, seed=1, n_deals=4, flips="e,h,r")
    with pytest.raises(InputError, match="not those of the base"):
        respond(base, [Planted(32, class_displacements(5, 32) / 32, other)], "energy")


GRID = Grid(5, 5)
N_IMAGES, CHANNELS = 40, 12


def vectors_of(kind, shift=(0, 0), *, seed=0):
    """Unit vectors of images: each cell's content is noise, and tells where it was in the image, or is."""
    rng = np.random.default_rng(seed)
    noise = rng.random((N_IMAGES, 15, 15, CHANNELS))  # content in the wide surroundings of every image
    y, x = np.indices(GRID.shape)
    right, up = shift
    content = noise[:, 5 + y + up, 5 + x - right]
    u, v = GRID.centered(y, x)
    if kind == "content":
        u, v = u - right, v - up  # the content that is here now was there before
    content[..., 0] = 2.0 + 0.25 * u
    content[..., 1] = 2.0 + 0.25 * v
    content[..., 2] = 8.0  # so that lengths hardly differ, and vectors are linear in u and v
    flat = content.reshape(-1, CHANNELS)
    return (flat / np.linalg.norm(flat, axis=1, keepdims=True)).astype(np.float32)


def blocks(vectors, size=333):
    return lambda: ((start, vectors[start : start + size]) for start in range(0, len(vectors), size))


def test_decoders_are_ridge_regressions_on_the_other_folds():
    vectors = vectors_of("content")
    found = fit_position_decoders(blocks(vectors), GRID, n_images=N_IMAGES)
    assert found.r2[0].estimate > 0.6 and found.r2[1].estimate > 0.6
    image = np.arange(len(vectors)) // GRID.n_cells
    y, x = np.divmod(np.arange(len(vectors)) % GRID.n_cells, GRID.width)
    target = np.stack([x - 2.0, 2.0 - y], axis=1)
    decoded = np.empty_like(target)
    for number in range(N_FOLDS):
        train = found.fold[image] != number
        part = vectors[train].astype(float)
        for axis, penalty in enumerate(found.penalty):
            ridge = Ridge(alpha=penalty * part.var(0).mean() * len(part)).fit(part, target[train, axis])
            np.testing.assert_allclose(found.weights[number, :, axis], ridge.coef_, rtol=1e-5, atol=1e-6)
            decoded[~train, axis] = ridge.predict(vectors[~train])
    np.testing.assert_allclose(found.decode(0, vectors), decoded, atol=1e-5)
    for axis in range(2):
        expected = 1 - ((target - decoded)[:, axis] ** 2).sum() / (target[:, axis] ** 2).sum()
        assert found.r2[axis].estimate == pytest.approx(expected, abs=1e-6)
    assert len(np.unique(np.bincount(found.fold))) == 1  # folds of equal size


def test_vectors_that_tell_nothing_are_not_decoded():
    vectors = np.random.default_rng(5).random((N_IMAGES * 25, CHANNELS)).astype(np.float32)
    found = fit_position_decoders(blocks(vectors), GRID, n_images=N_IMAGES)
    assert found.r2[0].estimate < 0.02 and found.r2[1].estimate < 0.02


@pytest.mark.parametrize(("kind", "expected"), [("content", 1.0), ("position", 0.0)])
def test_decoders_of_content_follow_it_and_others_do_not(kind, expected):
    before = vectors_of(kind)
    found = fit_position_decoders(blocks(before), GRID, n_images=N_IMAGES)
    after = vectors_of(kind, (1, -1))
    moved = np.tile([1.0, -1.0], (N_IMAGES, 1))
    u, v = content_followed(found, blocks(before), blocks(after), moved)
    assert u.estimate == pytest.approx(expected, abs=0.15)
    assert v.estimate == pytest.approx(expected, abs=0.15)
    inner = np.zeros(GRID.shape, bool)
    inner[1:4, 1:4] = True
    (inside, _), (outside, _) = (
        content_followed(found, blocks(before), blocks(after), moved, cells=cells)
        for cells in (inner, ~inner)
    )
    assert inside.estimate != outside.estimate
    still, _ = content_followed(found, blocks(before), blocks(after), moved * [0, 1])
    assert np.isnan(still.estimate)


def test_groups_stay_in_one_fold_and_zero_vectors_are_left_out():
    vectors = vectors_of("content")
    groups = [f"pair {i // 2}" for i in range(N_IMAGES)]
    vectors[::7] = 0
    found = fit_position_decoders(blocks(vectors), GRID, n_images=N_IMAGES, groups=groups)
    assert (found.fold[::2] == found.fold[1::2]).all() and len(np.unique(found.unit)) == 20
    whole = fit_position_decoders(blocks(vectors, 10_000), GRID, n_images=N_IMAGES, groups=groups)
    np.testing.assert_allclose(found.weights, whole.weights)  # however the vectors come in blocks


def test_refuses_too_few_images_and_other_blocks():
    vectors = vectors_of("content")
    with pytest.raises(InputError, match="4 images"):
        fit_position_decoders(blocks(vectors[:100]), GRID, n_images=4)
    found = fit_position_decoders(blocks(vectors), GRID, n_images=N_IMAGES)
    with pytest.raises(InputError, match="blocks before and after the motion differ"):
        content_followed(found, blocks(vectors), blocks(vectors[:, :5]), np.ones((N_IMAGES, 2)))
