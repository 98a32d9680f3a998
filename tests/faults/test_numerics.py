"""Broken networks stop the build and are named; degenerate geometry has defined answers, worked by hand."""

import math
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hueprobe import KernelDensityClassifier, build_memory, memory_from_arrays, open_memory
from hueprobe.activations import unit_vectors
from hueprobe.density import DEFAULT_EPS, kernel_weights
from hueprobe.errors import NumericsError
from hueprobe.memory import verify_memory
from hueprobe.search import open_searcher
from tests.tiny_network import tiny

SEARCHERS = ("exact", "annoy:trees=5", "faiss:Flat")
LAST = np.finfo(np.float32).max


def arrays(*images):
    """Return activations (n, C, 1, cells) of images that are each a list of vectors."""
    return np.array(images, np.float32).transpose(0, 2, 1)[:, :, None, :]


# --- What stops a build -----------------------------------------------------------------------------------


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 3e38])
@pytest.mark.parametrize("descriptor", ["pixel", "gap", "gmp", "gem", "rmac", "flat"])
def test_one_bad_value_stops_the_build_and_names_its_image(tmp_path, value, descriptor):
    """3e38 is a float32, but its square is none."""
    values = np.ones((40, 3, 2, 2), np.float32)
    if value == 3e38 and descriptor == "rmac":
        return  # it makes unit vectors of its peaks
    values[37, 1, 1, 0] = value
    with pytest.raises(NumericsError, match=r"array-0000037.* at layer ''"):
        memory_from_arrays(tmp_path / "m", values, descriptor=descriptor)
    assert not (tmp_path / "m").exists()


@pytest.mark.parametrize("kind", ["NaN weights", "overflow in half precision"])
def test_a_broken_network_is_named_with_image_and_layer_and_what_is_finished_stays(tmp_path, kind):
    import torch

    for i in range(5):
        Image.new("RGB", (24, 24), (40 * i, 0, 0)).save(tmp_path / f"{i}.png")
    network, transform = tiny()

    def spoil(module, given, output):
        if (given[0].amax(dim=(1, 2, 3)) > -0.3).any():  # images 3 and 4 are bright
            return output * math.nan if kind == "NaN weights" else output.clamp(min=1e-3) * 1e9
        return output

    network[0].register_forward_hook(spoil)
    options = {"backbone": network, "transform": transform, "layer": "3", "batch_size": 1, "device": "cpu"}
    if kind != "NaN weights":
        options["precision"] = "fp16"
    with pytest.raises(NumericsError, match=r"'3\.png' at layer '3'"):
        build_memory(tmp_path / "m", tmp_path, shard_images=1, **options)
    assert open_memory(tmp_path / "m").n_images == 3
    assert verify_memory(tmp_path / "m").problems == ()
    assert torch.get_default_dtype() == torch.float32


def test_energy_is_kept_where_float16_could_not_hold_it(tmp_path):
    """The largest float16 in each of 2,048 channels: an energy of 8.8e12, beside unit vectors of 0.0221."""
    values = np.full((2, 2_048, 1, 1), 65_504, np.float32)
    memory = memory_from_arrays(tmp_path / "m", values)
    assert memory.energy().tolist() == [[[float(np.float32(65_504.0**2 * 2_048))]]] * 2
    np.testing.assert_allclose(memory.vectors(np.arange(2)), 1 / math.sqrt(2_048), rtol=1e-6)
    assert verify_memory(tmp_path / "m").ok


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_unit_vectors_at_the_ends_of_a_type(dtype):
    """Squares are sums of float64: no overflow before the energy itself is beyond float32."""
    edge = min(float(np.finfo(dtype).max), math.sqrt(float(LAST) / 4) * 0.999)
    vectors, energy = unit_vectors(np.full((1, 4, 1, 1), edge, dtype))
    np.testing.assert_allclose(vectors, 0.5)
    assert np.isfinite(energy).all()
    tiny_value = float(np.finfo(dtype).smallest_subnormal)
    vectors, energy = unit_vectors(np.full((1, 4, 1, 1), tiny_value, dtype))
    # 6e-8 squared is a float32, 1e-45 squared is none: such a pixel is a zero vector, not a wild direction.
    is_direction = dtype == np.float16
    assert (vectors == (0.5 if is_direction else 0)).all() and (energy > 0).all() == is_direction


def test_a_query_that_is_nan_is_refused(small_memory):
    memory = small_memory(classes="abc")
    for value in (math.nan, math.inf):
        with pytest.raises(NumericsError):
            KernelDensityClassifier(memory, k=1).classify_activations(
                np.full((1, 4, 2, 3), value, np.float32)
            )


# --- What has a defined answer ----------------------------------------------------------------------------


@pytest.mark.parametrize("searcher", SEARCHERS)
def test_zero_vectors_are_neither_found_nor_counted_and_cast_no_vote(tmp_path, searcher):
    """Class a: (1, 0) and a zero vector; class b: (0, 1) twice. The query's pixels: (1, 0) and a zero vector.

    n_a = 1, n_b = 2. The pixel (1, 0) finds itself in a (d = 0) and both of b (d = sqrt 2), so
    p(a) = 1 / 1 and p(b) = 2 exp(-2 / eps) / 2 = 0. The zero pixel votes for nobody.
    """
    memory = memory_from_arrays(tmp_path / "m", arrays([(1, 0), (0, 0)], [(0, 1), (0, 1)]), ["a", "b"])
    assert memory.class_counts().tolist() == [1, 2]
    classifier = KernelDensityClassifier(memory, k=3, searcher=searcher, exclude=None)
    result = classifier.classify_activations(arrays([(1, 0), (0, 0)], [(0, 0), (0, 0)]))
    assert result.unnormalized.tolist() == [[1.0, 0.0], [0.0, 0.0]]
    assert result.predicted.tolist() == [0, -1] and result.tie.tolist() == [False, False]
    assert result.likelihood.tolist() == [[1.0, 0.0], [0.0, 0.0]] and result.n_matches.tolist() == [3, 0]


@pytest.mark.parametrize("searcher", SEARCHERS)
def test_a_duplicate_of_a_memory_image_has_alpha_0(tmp_path, searcher):
    """It weighs 1, and a neighbor at distance d exp(-d^2 / eps): nothing, unless d is of the order of 1e-3.

    In float32 the third image lies at the angle 1e-3 from the first, at d = 2 sin(5e-4), d^2 = 1e-6 = eps:
    weight exp(-1).
    """
    near = (math.cos(1e-3), math.sin(1e-3))
    memory = memory_from_arrays(
        tmp_path / "m", arrays([(1, 0)], [(0, 1)], [near]), ["a", "b", "c"], dtype="float32"
    )
    result = KernelDensityClassifier(memory, k=3, searcher=searcher, exclude=None).classify_activations(
        arrays([(2, 0)])
    )
    d = 2 * math.sin(5e-4)
    assert DEFAULT_EPS == 1e-6
    np.testing.assert_allclose(result.unnormalized, [[1.0, 0.0, math.exp(-(d**2) / 1e-6)]], rtol=1e-3)
    assert result.predicted_class == ("a",) and result.matches is not None
    assert result.matches.distance.min() == 0


@pytest.mark.parametrize("searcher", SEARCHERS)
def test_duplicates_of_two_classes_are_a_tie_and_the_lower_id_wins(tmp_path, searcher):
    memory = memory_from_arrays(tmp_path / "m", arrays([(0, 1)], [(0, 1)], [(1, 0)]), ["b", "a", "c"])
    result = KernelDensityClassifier(memory, k=3, searcher=searcher, exclude=None).classify_activations(
        arrays([(0, 3)])
    )
    assert memory.classes == ("a", "b", "c")
    assert result.unnormalized.tolist() == [[1.0, 1.0, 0.0]]
    assert result.predicted_class == ("a",) and result.tie.tolist() == [True]


@pytest.mark.parametrize("searcher", SEARCHERS)
def test_all_distances_equal(tmp_path, searcher):
    """The query (0, 0, 1) is at sqrt 2 from every image: each weighs exp(-2 / (2 + eps)), about 1/e.

    Of 4 images in class a and 2 in class b, k = 6: p(a) = 4 w / 4, p(b) = 2 w / 2: a tie. With k = 3 exact
    search takes the lowest ids, 0 to 2, all of a.
    """
    values = arrays([(1, 0, 0)], [(0, 1, 0)], [(1, 0, 0)], [(0, 1, 0)], [(1, 0, 0)], [(0, 1, 0)])
    memory = memory_from_arrays(tmp_path / "m", values, list("aaaabb"))
    query = arrays([(0, 0, 1)])
    weight = math.exp(-2 / (2 + DEFAULT_EPS))
    result = KernelDensityClassifier(memory, k=6, searcher=searcher, exclude=None).classify_activations(query)
    np.testing.assert_allclose(result.unnormalized, [[weight, weight]], rtol=1e-6)
    assert result.tie.tolist() == [True] and result.predicted_class == ("a",)
    few = open_searcher(memory, searcher).search(query.reshape(1, 3), 3)
    np.testing.assert_allclose(few.distances, math.sqrt(2), rtol=1e-6)
    if searcher == "exact":
        assert few.ids.tolist() == [[0, 1, 2]]
        result = KernelDensityClassifier(memory, k=3, exclude=None).classify_activations(query)
        np.testing.assert_allclose(result.unnormalized, [[3 * weight / 4, 0]], rtol=1e-6)


def test_constant_images(tmp_path):
    """A network without padding gives a constant image one vector in every cell.

    Two black and two white images: each is left out in turn; its 9 cells each find the 9 cells of its
    twin at distance 0, so with k = 9 its own class gets 9 * 9 / 9 = 9 and the other nothing.
    """
    import torch
    from torch import nn

    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = nn.Sequential(nn.Conv2d(3, 8, 8, stride=8), nn.ReLU())
    for name, shade in (("black", 0), ("white", 255)):
        (tmp_path / "set" / name).mkdir(parents=True)
        for i in range(2):
            image = Image.new("RGB", (24 + i, 24), (shade,) * 3)  # of another file each
            image.save(tmp_path / "set" / name / f"{i}.png")
    memory = build_memory(
        tmp_path / "m", tmp_path / "set", backbone=network, transform=tiny()[1], layer="1", device="cpu"
    )
    assert memory.grid.shape == (3, 3) and memory.valid().all()
    result = KernelDensityClassifier(memory, k=9, backbone=network, transform=tiny()[1]).leave_one_out()
    assert result.unnormalized.tolist() == [[9.0, 0.0]] * 2 + [[0.0, 9.0]] * 2
    assert result.predicted_class == result.true_class and not result.tie.any()
    assert Path(tmp_path / "m").is_dir()


def test_kernel_weights_of_degenerate_rows():
    """alpha = 0 with eps = 0: the duplicates weigh 1 and all else 0; missing neighbors weigh 0; no NaN."""
    rows = np.array([[0.0, 0.0, 1.0], [0.5, 0.5, 0.5], [np.inf] * 3, [0.0, np.inf, np.inf]])
    expected = [[1, 1, 0], [math.exp(-1)] * 3, [0, 0, 0], [1, 0, 0]]
    np.testing.assert_allclose(kernel_weights(rows, eps=0.0), expected)
