"""Plans: sizes are those of a build, hours those of the trial's speed, and search costs lie on a line."""

import itertools
import json
import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import hueprobe as hp
from hueprobe.errors import ImageError, InputError, SearcherError
from hueprobe.scale import Part, build_layer_parts, build_part, plan_work, search_costs
from hueprobe.scale.peak_memory import peak_memory
from hueprobe.scale.search_costs import extrapolated
from hueprobe.scale.trial import spread
from hueprobe.search.tuning import Trial, Tuning
from tests.scale.sets import N_IMAGES, SMALL, network

FLAT = {"specs": ["faiss:Flat"], "seconds": 1.0}


def size_of_arrays(memory):
    """Return the bytes of all arrays in the shards, without the headers of their files."""
    return sum(np.load(file, mmap_mode="r").nbytes for file in memory.path.glob("shards/*.npy"))


@pytest.mark.parametrize("dtype", ["float16", "float32"])
@pytest.mark.parametrize("with_masks", [False, True])
def test_sizes_are_those_of_a_build(tmp_path, images, options, dtype, with_masks):
    asked = {**options, "dtype": dtype, "masks": tmp_path / "masks" if with_masks else None}
    plan = plan_work(images, 4, **asked, **FLAT)
    (planned,) = plan.memories
    whole = hp.build_memory(tmp_path / "whole", images, **asked)
    parts = [build_part(tmp_path / "m", images, Part(number, 4), **asked) for number in (1, 2, 3, 4)]
    assert planned.settings == whole.settings
    assert (planned.n_images, planned.n_vectors) == (N_IMAGES, whole.n_slots)
    assert planned.n_bytes == size_of_arrays(whole)
    largest = max(parts, key=lambda part: part.n_images)
    assert (planned.part_images, planned.part_bytes) == (largest.n_images, size_of_arrays(largest))


def test_layers_share_one_trial(tmp_path, images):
    loaded = hp.activations.load_backbones(network(), layers=["1", "3"], transform=SMALL["transform"])
    plan = plan_work(images, 3, backbone=loaded, batch_size=2, shard_images=4, **FLAT)
    built = build_layer_parts(tmp_path / "m", images, "2/3", backbone=loaded, batch_size=2, shard_images=4)
    assert [memory.settings for memory in plan.memories] == [memory.settings for memory in built]
    assert plan.trial.n_images == N_IMAGES


def test_hours_follow_from_the_speed_of_the_trial(images, options):
    plan = plan_work(images, 3, **options, **FLAT)
    trial = plan.trial
    assert trial.n_images == N_IMAGES and trial.device == "cpu" and trial.device_ram is None
    assert plan.hours == pytest.approx(N_IMAGES * trial.seconds / trial.n_images / 3600)
    assert plan.hours_per_part == pytest.approx(8 * trial.seconds / trial.n_images / 3600)
    assert trial.ram is not None and 50e6 < trial.ram < 50e9


class Slow(type(network())):
    """Takes 50 ms for each image."""

    def forward(self, images):
        time.sleep(0.05 * len(images))
        return super().forward(images)


def test_a_trial_takes_about_as_long_as_asked_and_its_images_are_from_all_over(images, options, monkeypatch):
    taken = []
    fill = hp.scale.trial.fill_memories

    def noted(paths, settings, table, *rest, **named):
        taken.append(table.paths)
        return fill(paths, settings, table, *rest, **named)

    monkeypatch.setattr(hp.scale.trial, "fill_memories", noted)
    slow = Slow(*network())
    many = hp.images.ImageTable.concatenate([hp.images.resolve_images(images)] * 10)
    plan = plan_work(many, 1, **{**options, "backbone": slow}, specs=["faiss:Flat"], seconds=1.0)
    assert 8 <= plan.trial.n_images <= 20 and 0.5 < plan.trial.seconds < 3
    assert plan.trial.images_per_second == pytest.approx(plan.trial.n_images / plan.trial.seconds)
    (paths,) = taken
    expected = [many.paths[row] for row in spread(len(many), plan.trial.n_images)]
    assert list(paths) == expected


@given(st.integers(1, 500), st.integers(1, 500))
def test_rows_are_spread_evenly(n, wanted):
    rows = spread(n, wanted).tolist()
    assert len(rows) == min(n, wanted) and sorted(set(rows)) == rows
    assert rows[0] >= 0 and rows[-1] < n
    gaps = [b - a for a, b in itertools.pairwise([-1 - (n - 1 - rows[-1]), *rows])]
    assert max(gaps) - min(gaps) <= 1 or len(rows) == 1


def test_the_most_memory_of_a_block_is_seen():
    with peak_memory() as before:
        time.sleep(0.1)
    with peak_memory() as peak:
        values = np.ones(40 << 20)  # 320 MiB
        time.sleep(0.1)
        del values
        time.sleep(0.1)
    grown = peak.n_bytes - before.n_bytes
    assert 300 << 20 < grown < 400 << 20


def test_search_costs_are_measured_on_two_samples_and_lie_on_a_line(images, options, monkeypatch):
    """Times of a + b n: of two samples, they tell those of any n."""
    seen = []

    def tuned(memory, *, specs, progress):
        n = int(memory.valid().sum())
        seen.append((memory.n_images, n, tuple(specs)))
        per_query = {"exact": 1e-3 * n, "faiss:Flat": 2.0 + 5e-4 * n}
        trials = tuple(
            Trial(spec, 0.9, 1 / seconds, 1.0, 10.0 + n, 100 * n) for spec, seconds in per_query.items()
        )
        return Tuning("m", n, 500, 10, 0.99, trials, (("annoy:trees=1", "no"),))

    monkeypatch.setattr(search_costs, "tune_searcher", tuned)
    plan = plan_work(images, 1, **options, **FLAT)
    (planned,) = plan.memories
    search, n, cells = planned.search, planned.n_vectors, 16
    assert [images for images, _, _ in seen] == [11, 22] and seen[0][2] == ("faiss:Flat",)
    assert search.sample_vectors == (seen[0][1], seen[1][1]) and search.n_queries == 500
    exact, flat = search.costs
    assert exact.seconds_per_image == pytest.approx(cells * 1e-3 * n)
    assert flat.seconds_per_image == pytest.approx(cells * (2.0 + 5e-4 * n))
    assert flat.build_hours == pytest.approx((10 + n) / 3600) and flat.index_bytes == 100 * n
    assert flat.sample_seconds == pytest.approx(
        tuple(cells * (2.0 + 5e-4 * size) for size in search.sample_vectors)
    )
    assert search.failed == (("annoy:trees=1", "no"),)


@given(
    st.floats(0, 1e3), st.floats(0, 1e-2), st.integers(1, 1000), st.integers(1, 1000), st.integers(0, 10**8)
)
def test_the_line_through_two_points(a, b, first, more, behind):
    small, large = first, first + more
    value = extrapolated((small, large), (a + b * small, a + b * large), large + behind)
    assert value == pytest.approx(a + b * (large + behind), rel=1e-6, abs=1e-4 * (1 + behind / more))


def test_a_measured_search_is_real(images, options):
    plan = plan_work(images, 1, **options, seconds=1.0, specs=["faiss:Flat", "faiss:IVF5000,Flat"])
    (planned,) = plan.memories
    assert [cost.spec for cost in planned.search.costs] == ["exact", "faiss:Flat"]
    assert planned.search.failed[0][0] == "faiss:IVF5000,Flat"
    flat = planned.search.costs[1]
    _, large = planned.search.sample_vectors
    n_images = N_IMAGES - 5  # without the torn ones
    assert large == n_images * 16 and flat.recall == 1
    assert 0 < flat.seconds_per_image < 10 and flat.index_bytes >= planned.n_vectors * 5 * 4


def test_too_few_images_for_search_are_said(tmp_path, options):
    from PIL import Image

    (tmp_path / "few").mkdir()
    for i in range(3):
        Image.new("RGB", (36, 40), (9 * i, 3, 200)).save(tmp_path / "few" / f"{i}.png")
    (planned,) = plan_work(tmp_path / "few", 1, **options, **FLAT).memories
    assert planned.search.costs == () and planned.search.sample_vectors == (0, 0)
    assert planned.search.failed == (("exact", "the trial has 3 images, and 4 are needed"),)


def test_wrong_plans_are_refused(tmp_path, images, options):
    with pytest.raises(InputError, match=r"has 22 images in 6 shards of 4, so at most 6 parts, got 1/7"):
        plan_work(images, 7, **options, **FLAT)
    with pytest.raises(InputError, match="n_parts"):
        plan_work(images, 0, **options)
    with pytest.raises(InputError, match=r"seconds must be above 0, got 0; 20 are the default"):
        plan_work(images, 1, **options, seconds=0)
    with pytest.raises(SearcherError, match="unknown searcher 'fast'"):
        plan_work(images, 1, **options, specs=["fast"])
    (tmp_path / "torn").mkdir()
    (tmp_path / "torn" / "a.png").write_bytes(b"torn")
    no_size = {**options, "transform": lambda image: network()}
    with pytest.raises(ImageError, match="none of 1 images could be read"):
        plan_work(tmp_path / "torn", 1, **no_size, **FLAT)


def test_nothing_is_left(tmp_path, images, options, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
    (tmp_path / "temporary").mkdir()
    document = plan_work(images, 1, **options, **FLAT).document()
    assert list((tmp_path / "temporary").iterdir()) == []
    assert json.loads(json.dumps(document)) == document
