"""A memory built in parts and joined is byte for byte the one that is built in one piece."""

import shutil

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

import hueprobe as hp
from hueprobe import build_memory
from hueprobe.memory import append_images, build_memories, verify_memory
from hueprobe.memory import settings as memory_settings
from hueprobe.scale import Part, build_layer_parts, build_part, join, part_path, parts_of
from tests.scale.sets import N_IMAGES, SMALL, build_all, contents, network


def no_fixed_size(image):
    """Images of 36 x 40 pixels, as they are; only the first readable one tells the grid."""
    from torch import from_numpy

    return from_numpy(np.asarray(image, np.float32).transpose(2, 0, 1).copy() / 255)


CASES: dict[str, dict] = {
    "plain": {},
    "float32": {"dtype": "float32"},
    "sparse16": {"dtype": "sparse16"},
    "gap": {"descriptor": "gap"},
    "rmac, float32": {"descriptor": "rmac", "dtype": "float32"},
    "masks": {"masks": "masks"},
    "no fixed size": {"transform": no_fixed_size},
    "range of values": {"value_range": "0:200"},
    "threads": {"workers": 3},
}


@pytest.mark.parametrize("n", [1, 2, 3, 6])
@pytest.mark.parametrize("case", CASES)
def test_joined_parts_are_the_undisturbed_build(tmp_path, images, options, case, n):
    asked = {**options, **CASES[case]}
    if "masks" in asked:
        asked["masks"] = tmp_path / "masks"
    whole = build_memory(tmp_path / "whole", images, **asked)
    built = build_all(tmp_path / "m", images, n, **asked)
    assert sum(part.n_images for part in built) == N_IMAGES
    assert [verify_memory(part.path).ok for part in built] == [True] * n
    memory = join(tmp_path / "m")
    assert contents(memory.path) == contents(whole.path)
    assert not (tmp_path / "m.parts").exists()
    assert verify_memory(memory.path).ok and memory.classes == whole.classes
    assert all(file.stat().st_nlink == 1 for file in memory.path.rglob("*") if file.is_file())
    # The times of the list say that no image has changed since: nothing is read again.
    assert contents(build_memory(memory.path, images, **asked).path) == contents(whole.path)


@pytest.mark.parametrize("n", [1, 2, 3])
def test_layers_with_shards_of_unequal_length(tmp_path, images, monkeypatch, n):
    """Shards of 4 images at '1' and of 6 at '3': 6 and 4 shards, whose parts end at different images."""
    monkeypatch.setattr(memory_settings, "SHARD_IMAGES", 6)
    monkeypatch.setattr(memory_settings, "SHARD_BYTES", 5 * 8 * 8 * 6 * 2)
    asked = {"backbone": network(), "layers": ["1", "3"], "transform": SMALL["transform"], "batch_size": 2}
    whole = build_memories(tmp_path / "whole", images, **asked)
    assert [len(memory.shards) for memory in whole] == [6, 4]
    for number in range(n, 0, -1):
        build_layer_parts(tmp_path / "m", images, Part(number, n), **asked)
    for layer, memory in zip(("1", "3"), whole, strict=True):
        assert contents(join(tmp_path / f"m.{layer}").path) == contents(memory.path)


def test_a_part_of_one_layer_is_that_of_several(tmp_path, images, options):
    both = build_layer_parts(
        tmp_path / "both", images, "2/3", backbone=options["backbone"], layers=["1", "3"], **SMALL
    )
    alone = build_part(tmp_path / "alone", images, "2/3", **options)
    assert contents(both[1].path) == contents(alone.path)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_list_batch_and_shard(tmp_path_factory, data):
    """Images of arrays, of any number, in batches and shards of any size, and any number of parts."""
    folder = tmp_path_factory.mktemp("any")
    n_images, batch = data.draw(st.integers(1, 24), "images"), data.draw(st.integers(1, 5), "batch")
    size = batch * data.draw(st.integers(1, 3), "batches in a shard")
    n = data.draw(st.integers(1, -(-n_images // size)), "parts")
    rng = np.random.default_rng(n_images)
    items = [(rng.integers(0, 256, (32, 32, 3), np.uint8), f"c{i % 3}") for i in range(n_images)]
    asked = {
        "backbone": network(), "layer": "3", "transform": SMALL["transform"], "batch_size": batch,
        "shard_images": size, "workers": 0, "dtype": data.draw(st.sampled_from(["float16", "float32"])),
    }  # fmt: skip
    whole = build_memory(folder / "whole", items, **asked)
    parts = build_all(folder / "m", items, n, **asked)
    sizes = [len(part.shards) for part in parts]
    assert max(sizes) - min(sizes) <= 1
    assert contents(join(folder / "m").path) == contents(whole.path)
    shutil.rmtree(folder)


def test_the_states_of_parts(tmp_path, images, options):
    path = tmp_path / "m"
    assert parts_of(path) == ()
    build_part(path, images, "2/3", **options)
    states = parts_of(path)
    assert [(one.number, one.start, one.stop, one.n_images) for one in states] == [
        (1, 0, 8, 8), (2, 8, 16, 8), (3, 16, 22, 6),
    ]  # fmt: skip
    assert [(one.n_done, one.complete) for one in states] == [(0, False), (8, True), (0, False)]
    assert [one.path for one in states] == [part_path(path, Part(i, 3)) for i in (1, 2, 3)]
    build_part(path, images, "1/3", **options)
    build_part(path, images, "3/3", **options)
    join(path)
    assert parts_of(path) == ()


def test_a_part_is_a_memory_that_can_be_searched(tmp_path, images, options):
    whole, part = build_memory(tmp_path / "whole", images, **options), None
    part = build_part(tmp_path / "m", images, "2/2", **options)
    np.testing.assert_array_equal(part.image_vectors(np.arange(10)), whole.image_vectors(np.arange(12, 22)))
    assert part.images.paths == whole.images.paths[12:]
    found = hp.open_searcher(part).search(whole.vectors(np.arange(16 * 16, 16 * 17)), 1)
    assert found.distances.max() == 0


def test_batch_size_and_precision_come_from_the_parts_that_were_begun(tmp_path, images, options):
    short = {name: options[name] for name in ("backbone", "layer", "transform")}
    build_part(tmp_path / "m", images, "1/2", **options)
    build_part(tmp_path / "m", images, "2/2", **short)
    assert contents(join(tmp_path / "m").path) == contents(
        build_memory(tmp_path / "w", images, **options).path
    )


def test_images_are_appended_behind_a_join(tmp_path, images, options):
    (tmp_path / "more" / "c").mkdir(parents=True)
    Image.new("RGB", (36, 40), (200, 10, 90)).save(tmp_path / "more" / "c" / "new.png")
    live = {name: options[name] for name in ("backbone", "transform")}
    whole = build_memory(tmp_path / "whole", images, **options)
    build_all(tmp_path / "m", images, 3, **options)
    join(tmp_path / "m")
    for path in (whole.path, tmp_path / "m"):
        append_images(path, tmp_path / "more", **live)
    assert contents(tmp_path / "m") == contents(whole.path)
    assert verify_memory(tmp_path / "m").ok
