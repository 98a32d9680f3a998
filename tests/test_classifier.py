from unittest import mock

import msgspec
import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hueprobe import KernelDensityClassifier, images, memory_from_arrays
from hueprobe.activations import unit_vectors
from hueprobe.errors import HueprobeWarning, InputError, NumericsError, SearcherError, ShapeError
from hueprobe.memory import build_memory
from hueprobe.memory.recorded import load_recorded_backbones
from hueprobe.observations.accuracy.evaluation import evaluate
from tests.oracles import likelihoods, stored_vector
from tests.small_memories import noise
from tests.tiny_network import TRANSFORM, tiny

N_CELLS, CHANNELS = 6, 5


def activations(seed, n):
    return noise(n, channels=CHANNELS, seed=seed)


def pixels(values, dtype="float16"):
    """(n, C, H, W) -> stored vectors (n, H*W, C); rounding by the slow way."""
    unit = unit_vectors(values)[0].reshape(len(values), N_CELLS, CHANNELS)
    return np.array([[stored_vector(v, dtype) for v in image] for image in unit])


def slow(memory, query_pixels, barred, k):
    stored = memory.vectors(np.arange(memory.n_slots))
    stored_class = np.repeat(memory.image_class, N_CELLS)
    allowed = np.repeat(~np.isin(np.arange(memory.n_images), barred), N_CELLS)
    return likelihoods(query_pixels, stored, stored_class, allowed, len(memory.classes), k)


@given(
    seed=st.integers(0, 1000),
    labels=st.lists(st.sampled_from(["a", "b", "c", None]), min_size=5, max_size=5),
    k=st.integers(1, 12),
)
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_equations_1_to_3_as_loops_would_have_them(tmp_path, seed, labels, k):
    values = activations(seed, 5)
    values[1, :, 0, 2] = 0  # a zero vector in the memory, and so in the query that copies it
    memory = memory_from_arrays(tmp_path / "m", values, labels, overwrite=True)
    queries = np.concatenate([activations(seed + 1, 2), values[1:2]])  # the last is in the memory too
    result = KernelDensityClassifier(memory, k=k, exclude=None).classify_activations(queries)
    for i, query in enumerate(pixels(queries)):
        expected = slow(memory, query, [], k)
        np.testing.assert_allclose(result.unnormalized[i], expected, rtol=1e-9)
        if expected.sum():
            np.testing.assert_allclose(result.likelihood[i], expected / expected.sum(), atol=1e-12)
            assert result.predicted[i] == expected.argmax()
        else:
            assert result.predicted[i] == -1


def test_leave_one_out_bars_the_image_its_copies_and_their_share_of_n_c(tmp_path):
    values = activations(7, 6)
    values[4] = values[2]  # the same content under another name and class
    memory = memory_from_arrays(tmp_path / "m", values, list("aabbab"))
    result = KernelDensityClassifier(memory, k=4).leave_one_out()
    for i in range(6):
        barred = [2, 4] if i in (2, 4) else [i]
        expected = slow(memory, memory.image_vectors(np.array([i]))[0], barred, 4)
        np.testing.assert_allclose(result.unnormalized[i], expected, rtol=1e-9)
        assert not set(result.matches.select(result.matches.query_image == i).image) & set(barred)


def test_some_rows_alone_are_queries_and_are_matched_to_the_whole_memory(tmp_path, small_memory):
    memory = small_memory(n=6, channels=CHANNELS, seed=2, classes="ab")
    classifier = KernelDensityClassifier(memory, k=4)
    whole, some = classifier.leave_one_out(), classifier.leave_one_out(rows=[4, 1])
    np.testing.assert_array_equal(some.rows, [1, 4])
    np.testing.assert_array_equal(some.unnormalized, whole.unnormalized[[1, 4]])
    of_four = [run.matches.select(run.matches.query_image == 4) for run in (whole, some)]
    np.testing.assert_array_equal(of_four[0].distance, of_four[1].distance)
    assert len(set(some.matches.image)) > 2
    with pytest.raises(InputError, match="rows holds 6"):
        classifier.leave_one_out(rows=[6])
    with pytest.raises(InputError, match="rows holds 5, which is not in use"):
        KernelDensityClassifier(memory, k=4, images=range(5)).leave_one_out(rows=[2, 5])


def test_groups_are_barred_and_fall_back_to_the_image(tmp_path):
    values = activations(8, 6)
    groups = ["s1", "s1", None, None, "s2", "s2"]
    memory = memory_from_arrays(tmp_path / "m", values, list("ababab"), groups=groups)
    result = KernelDensityClassifier(memory, k=4, exclude="group").leave_one_out()
    for i, barred in enumerate([[0, 1], [0, 1], [2], [3], [4, 5], [4, 5]]):
        expected = slow(memory, memory.image_vectors(np.array([i]))[0], barred, 4)
        np.testing.assert_allclose(result.unnormalized[i], expected, rtol=1e-9)
    asked = KernelDensityClassifier(memory, k=4, exclude="group").classify_activations(
        values[:1], groups=["s2"]
    )
    np.testing.assert_allclose(
        asked.unnormalized[0], slow(memory, memory.image_vectors(np.array([0]))[0], [4, 5], 4), rtol=1e-9
    )


@pytest.mark.parametrize("exclude", ["image", "group"])
def test_several_k_of_one_search_are_those_of_searches_of_their_own(small_memory, exclude):
    """Bit for bit, with groups that leave some queries fewer than k vectors to match, and a zero vector."""
    memory = small_memory(n=8, classes=["a", "b", None], groups=["g"] * 5 + [None, "h", "h"])
    classifier = KernelDensityClassifier(memory, exclude=exclude)
    searches = []
    real = classifier.searcher.search
    classifier.searcher.search = lambda *args, **options: searches.append(args[1]) or real(*args, **options)
    found = classifier.leave_one_out_by_k([3, 1, 30, 3])
    assert searches == [30] and list(found) == [3, 1, 30]
    for k, result in found.items():
        own = KernelDensityClassifier(memory, k=k, exclude=exclude).leave_one_out()
        assert result.images == own.images and result.true_class == own.true_class
        for name in ("rows", "predicted", "tie", "likelihood", "unnormalized", "n_matches", "lone"):
            np.testing.assert_array_equal(getattr(result, name), getattr(own, name), err_msg=name)
        for name in ("query_image", "query_y", "query_x", "rank", "image", "y", "x", "distance", "weight"):
            np.testing.assert_array_equal(getattr(result.matches, name), getattr(own.matches, name))
        assert set(result.seconds) == {"extract", "search", "density"}
        assert (result.seconds["search"] > 0) == (result.seconds["extract"] > 0) == (k == 30)
    for wrong in ([], [0], [2.5]):
        with pytest.raises(InputError, match="k"):
            classifier.leave_one_out_by_k(wrong)


def test_the_match_table_says_where_every_weight_came_from(small_memory):
    memory = small_memory(n=6, channels=CHANNELS, seed=1, classes="aabbcc")
    result = KernelDensityClassifier(memory, k=3).leave_one_out()
    matches = result.matches
    assert len(matches) == 6 * N_CELLS * 3 == result.n_matches.sum()
    sums = np.zeros((6, 3))
    np.add.at(sums, (matches.query_image, matches.match_class), matches.weight)
    np.testing.assert_allclose(
        sums / (2 * N_CELLS - N_CELLS * (matches.image_class[:, None] == np.arange(3))), result.unnormalized
    )
    ids = memory.grid.vector_id(matches.image, matches.y, matches.x)
    asked = memory.grid.vector_id(matches.query_image, matches.query_y, matches.query_x)
    distance = np.linalg.norm(memory.vectors(ids).astype(float) - memory.vectors(asked), axis=1)
    np.testing.assert_allclose(matches.distance, distance, rtol=1e-12)
    assert (matches.rank[:3] == [1, 2, 3]).all()


def test_likelihoods_do_not_depend_on_the_order_of_the_memory(tmp_path):
    values, labels = activations(3, 6), np.array(list("abcabc"))
    queries = activations(4, 3)
    order = np.random.default_rng(0).permutation(6)
    one = KernelDensityClassifier(memory_from_arrays(tmp_path / "1", values, list(labels)), k=5)
    two = KernelDensityClassifier(memory_from_arrays(tmp_path / "2", values[order], list(labels[order])), k=5)
    np.testing.assert_allclose(
        one.classify_activations(queries).unnormalized, two.classify_activations(queries).unnormalized
    )


def test_a_memory_without_labels_gives_matches_and_no_class(small_memory):
    memory = small_memory(n=3, channels=CHANNELS, seed=1)
    result = KernelDensityClassifier(memory).classify_activations(activations(2, 1))
    assert result.predicted_class == (None,)
    assert result.n_matches[0] == N_CELLS * 10
    with pytest.raises(InputError, match="0 class"):
        evaluate(result)


def test_one_class_is_predicted_and_not_evaluated(small_memory):
    memory = small_memory(n=3, channels=CHANNELS, seed=1, classes="a")
    result = KernelDensityClassifier(memory).leave_one_out()
    assert result.predicted_class == ("a", "a", "a")
    with pytest.raises(InputError, match="at least 2"):
        evaluate(result)


def test_evaluation_counts_by_hand(small_memory):
    memory = small_memory(n=4, channels=CHANNELS, seed=1, classes="ab")
    values = memory.vectors(np.arange(memory.n_slots)).reshape(4, 2, 3, CHANNELS).transpose(0, 3, 1, 2)
    result = KernelDensityClassifier(memory, k=1, exclude=None).classify_activations(
        np.concatenate([values, values[:2]]), classes=["a", "b", "b", "b", "zebra", None]
    )
    found = evaluate(result)
    # True a b b b against predicted a b a b: 3 of 4 right.
    assert (found.overall.n, found.overall.correct, found.overall.accuracy) == (4, 3, 0.75)
    assert found.confusion == {"a": {"a": 1}, "b": {"a": 1, "b": 2}}
    assert found.unknown_classes == {"zebra": 1}
    assert found.n_unlabeled == 1
    # Wilson's interval for 3 of 4 at z = 1.959964, worked by hand: center .6274, half width .3268.
    assert found.overall.ci95 == pytest.approx((0.3006, 0.9544), abs=2e-4)


def test_images_of_another_shape_are_refused(small_memory):
    classifier = KernelDensityClassifier(small_memory(n=3, channels=CHANNELS, seed=1))
    with pytest.raises(ShapeError, match=r"2x2 cells of 5 channels.*2x3 of 5"):
        classifier.classify_activations(np.ones((1, CHANNELS, 2, 2)))
    broken = activations(1, 1)
    broken[0, 0, 0, 0] = np.inf
    with pytest.raises(NumericsError, match="array-0000000"):
        classifier.classify_activations(broken)
    with pytest.raises(InputError, match="exclude 'class'"):
        KernelDensityClassifier(classifier.memory, exclude="class")
    with pytest.raises(InputError, match="k must be at least 1"):
        KernelDensityClassifier(classifier.memory, k=0)
    with pytest.raises(InputError, match="leave-one-out"):
        KernelDensityClassifier(classifier.memory, exclude=None).leave_one_out()


@pytest.fixture
def folder(tmp_path):
    from PIL import Image

    rng = np.random.default_rng(0)
    for name in ("a/1.png", "a/2.png", "b/1.png", "b/2.png"):
        path = tmp_path / "images" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (30, 40, 3), np.uint8)).save(path)
    return tmp_path / "images"


def test_a_copy_of_a_memory_image_may_not_match_itself_and_is_named(tmp_path, folder):
    network, transform = tiny()
    memory = build_memory(
        tmp_path / "m", folder, backbone=network, layer="3", transform=transform, batch_size=2
    )
    copy = tmp_path / "copy.png"
    copy.write_bytes((folder / "b" / "1.png").read_bytes())
    classifier = KernelDensityClassifier(memory, k=3, backbone=network, transform=transform)
    with pytest.warns(HueprobeWarning, match=r"1 of the query images.*copy\.png"):
        result = classifier.classify([copy])
    assert 2 not in result.matches.image
    inside = classifier.leave_one_out()
    np.testing.assert_allclose(result.unnormalized[0], inside.unnormalized[2], rtol=1e-4)
    free = KernelDensityClassifier(memory, k=3, exclude=None, backbone=network, transform=transform)
    with pytest.warns(HueprobeWarning, match="may match themselves"):
        result = free.classify([copy])
    first = result.matches.select(result.matches.rank == 1)
    assert (first.image == 2).all()
    np.testing.assert_array_equal(first.query_cell, first.match_cell)


def test_a_recorded_network_is_loaded_once_and_a_live_one_is_checked_again(tmp_path, folder):
    from hueprobe.errors import WeightsError

    memory = build_memory(tmp_path / "m", folder, backbone="tests.tiny_network:tiny", layer="3")
    classifier = KernelDensityClassifier(memory, k=3, exclude=None)
    with mock.patch(
        "hueprobe.queries.load_recorded_backbones", side_effect=load_recorded_backbones
    ) as loading:
        first, second = (next(classifier.classify_batches(folder)) for _ in range(2))
    assert loading.call_count == 1
    np.testing.assert_array_equal(first.unnormalized, second.unnormalized)
    network, transform = tiny()
    of_live = KernelDensityClassifier(memory, k=3, exclude=None, backbone=network, transform=transform)
    next(of_live.classify_batches(folder))
    with torch.no_grad():
        network[2].weight.mul_(2)
    with pytest.raises(WeightsError, match="not those that built the memory"):
        next(of_live.classify_batches(folder))


def test_a_live_network_is_asked_for_again(tmp_path, folder):
    from hueprobe.errors import BackboneError

    network, _ = tiny()
    memory = build_memory(tmp_path / "m", folder, backbone=network, layer="3", transform=TRANSFORM)
    with pytest.raises(BackboneError, match="backbone=module"):
        KernelDensityClassifier(memory).classify([folder / "a" / "1.png"])


def test_a_memory_of_an_absent_device_is_asked_with_another(tmp_path, folder, monkeypatch):
    import torch

    network, transform = tiny()
    memory = build_memory(tmp_path / "m", folder, backbone=network, layer="3", transform=transform)
    memory.settings = msgspec.structs.replace(memory.settings, device="cuda")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    classifier = KernelDensityClassifier(memory, k=3, backbone=network, transform=transform)
    with pytest.warns(HueprobeWarning, match="'cuda', which is not available"):
        assert classifier.vectors_of(memory.images).any()


def test_unreadable_images_are_skipped_and_keep_their_slot(tmp_path, folder):
    network, transform = tiny()
    (folder / "a" / "1.png").write_bytes(b"not an image")
    memory = build_memory(tmp_path / "m", folder, backbone=network, layer="3", transform=transform)
    assert memory.readable.tolist() == [False, True, True, True]
    assert memory.valid_per_image.tolist()[0] == 0
    classifier = KernelDensityClassifier(memory, k=3, backbone=network, transform=transform)
    result = classifier.leave_one_out()
    assert [path for path, _ in result.skipped] == ["a/1.png"]
    assert result.rows.tolist() == [1, 2, 3]
    with pytest.warns(HueprobeWarning, match="3 of the query images"):
        asked = classifier.classify(images.from_folder(folder))
    assert asked.rows.tolist() == [1, 2, 3]
    np.testing.assert_allclose(asked.unnormalized, result.unnormalized, rtol=1e-4)
    assert set(asked.matches.query_image) == {1, 2, 3}


def test_some_rows_alone_are_a_memory_of_their_own(tmp_path):
    values, labels = activations(5, 8), list("abcabcab")
    values[6] = values[1]  # a copy outside the rows in use bars nothing and counts nothing
    rows = np.array([0, 1, 3, 4, 7])
    whole = memory_from_arrays(tmp_path / "whole", values, labels)
    alone = memory_from_arrays(tmp_path / "alone", values[rows], [labels[i] for i in rows])
    part = KernelDensityClassifier(whole, k=4, images=rows).leave_one_out()
    same = KernelDensityClassifier(alone, k=4).leave_one_out()
    assert part.rows.tolist() == rows.tolist()
    np.testing.assert_allclose(part.unnormalized[:, :2], same.unnormalized, rtol=1e-12)
    np.testing.assert_array_equal(part.matches.image, rows[same.matches.image])
    with pytest.raises(SearcherError, match="exact search"):
        KernelDensityClassifier(whole, images=rows, searcher="annoy")
