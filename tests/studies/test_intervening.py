"""Interventions on memories: exact flips, one search for all deals, resuming, and what is refused."""

import numpy as np
import pytest
from PIL import Image
from torch import nn

import hueprobe as hp
from hueprobe import KernelDensityClassifier, build_memory, images, memory_from_arrays, open_memory
from hueprobe.errors import BackboneError, InputError, MemoryFormatError
from hueprobe.images import Transform
from hueprobe.observations.interventions.image_positions import ESTIMATORS
from hueprobe.observations.locations.positions import image_positions
from hueprobe.studies import InterveneSettings, save_interventions
from hueprobe.studies.intervening import study
from hueprobe.studies.intervening.moved_memories import Move
from hueprobe.studies.intervening.study import deal_sides, energy_shares, intervene
from tests.tiny_network import TRANSFORM, tiny

PER_CLASS = 10
SMALL = {"n_deals": 2, "k": 3, "n_permutations": 99, "workers": 0, "device": "cpu"}


def draw(folder, *, classes="abc", per_class=PER_CLASS, seed=0, flip=None):
    """Write 24 x 24 images: what the transform resizes and crops to, so that nothing is interpolated."""
    rng = np.random.default_rng(seed)
    for c, name in enumerate(classes):
        (folder / name).mkdir(parents=True)
        for i in range(per_class):
            values = rng.integers(0, 120, (24, 24, 3))
            values[..., c % 3] += 60
            top, left = ((0, 8), (12, 14), (9, 0))[c % 3]  # an object at the class's own place
            values[top : top + 10, left : left + 10] += rng.integers(40, 75, (10, 10, 3))
            values = values.clip(0, 255).astype(np.uint8)
            if flip == "h":
                values = values[:, ::-1]
            Image.fromarray(values).save(folder / name / f"{i}.png")
    return folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return draw(tmp_path_factory.mktemp("drawn") / "images")


@pytest.fixture(scope="module")
def memory(folder, tmp_path_factory):
    path = tmp_path_factory.mktemp("memories") / "a.memory"
    return build_memory(
        path,
        images.from_folder(folder),
        backbone="tests.tiny_network:tiny",
        layer="3",
        batch_size=8,
        workers=0,
    )


@pytest.fixture(scope="module")
def found(memory, tmp_path_factory):
    place = tmp_path_factory.mktemp("intervened")
    settings = InterveneSettings(flips="e,h,r", shift=8, keep=True, **SMALL)
    return intervene(memory, place, settings=settings), place


def test_a_flipped_memory_is_that_of_flipped_files(folder, memory, found, tmp_path):
    """Bit for bit: the flip comes after resizing and cropping, here of images that need neither."""
    mirrored = draw(tmp_path / "images", flip="h")
    direct = build_memory(
        tmp_path / "h.memory", images.from_folder(mirrored), backbone="tests.tiny_network:tiny", layer="3",
        batch_size=8, workers=0,
    )  # fmt: skip
    flipped = open_memory(found[1] / "work" / "h.memory")
    ids = np.arange(memory.n_slots)
    np.testing.assert_array_equal(flipped.raw(ids), direct.raw(ids))
    np.testing.assert_array_equal(flipped.energy(), direct.energy())
    assert flipped.images.paths == memory.images.paths and flipped.sha256 == memory.sha256
    assert not np.array_equal(flipped.energy(), memory.energy())


def test_flipped_memories_cannot_be_queried_like_others(found):
    flipped = open_memory(found[1] / "work" / "r.memory")
    assert flipped.settings.transform["custom"].endswith("then turned by half")
    with pytest.raises(BackboneError, match="turned by half"):
        KernelDensityClassifier(flipped).classify([str(flipped.images.file(0))])


def test_moved_images_move_by_their_own_class(memory):
    pixels = np.random.default_rng(0).random((3, 24, 24, 3)).astype(np.float32)
    move = Move("h", 8, {"a": (6, 0), "b": (0, -5)})
    moved = move.applied(pixels, ("a", "b", None))
    np.testing.assert_array_equal(moved[0, :, ::-1][:, 6:], pixels[0, :, :-6])  # to the right, then mirrored
    np.testing.assert_array_equal(moved[1, :, ::-1][5:], pixels[1, :-5])  # down
    np.testing.assert_array_equal(moved[2], pixels[2, :, ::-1])
    assert move.name == "h-8px" and Move("r", 0, {}).name == "r"


def test_one_search_finds_what_a_search_of_every_block_finds(memory, found):
    """The oracle: every block searched within itself by the classifier, as `observe` does it."""
    result, _ = found
    sides = deal_sides(memory, memory, n_deals=2, seed=0)
    energy = result.positions.of("energy")[0]
    plain = result.positions.of("plain")[0]
    share = energy_shares(memory).reshape(memory.n_images, -1)
    for deal, blocks in enumerate(sides.block_of_image):
        for block in range(blocks.max() + 1):
            rows = np.flatnonzero(blocks == block)
            matches = KernelDensityClassifier(memory, k=3, images=rows).leave_one_out().matches
            _, expected = image_positions(matches)
            there = np.flatnonzero(np.bincount(matches.query_image[matches.same_class], minlength=30))
            np.testing.assert_allclose(plain[deal, there], expected, atol=1e-6)
            for image in there:
                own = matches.select((matches.query_image == image) & matches.same_class)
                weight = share[own.image, own.match_cell]
                u, v = own.grid.centered(own.y, own.x)
                by_energy = (weight * u).sum() / weight.sum(), (weight * v).sum() / weight.sum()
                np.testing.assert_allclose(energy[deal, image], by_energy, atol=1e-6)
    assert not np.allclose(energy, plain)


def test_the_first_deal_is_that_of_observe(memory):
    from hueprobe.studies.observing.settings import ObserveSettings
    from hueprobe.studies.observing.subject import Subject

    sides = deal_sides(memory, memory, n_deals=3, seed=0)
    subject = Subject(settings=ObserveSettings(), memory=memory)
    np.testing.assert_array_equal(sides.block_of_image[0], subject.block_of_image)
    assert not (sides.block_of_image[0] == sides.block_of_image[1]).all()
    other = deal_sides(memory, memory, n_deals=1, seed=1)
    assert not (other.block_of_image[0] == sides.block_of_image[0]).all()


def test_groups_stay_whole_across_memory_and_queries(tmp_path):
    rng = np.random.default_rng(0)
    values = rng.random((24, 4, 3, 3)).astype(np.float32)
    groups = [f"g{i // 4}" for i in range(24)]
    classes = ["a", "b"] * 12
    first = memory_from_arrays(tmp_path / "m", values, classes, groups=groups)
    second = memory_from_arrays(tmp_path / "q", values[::-1].copy(), classes, groups=groups[::-1])
    sides = deal_sides(first, second, n_deals=4, seed=0)
    for of_image, of_query in zip(sides.block_of_image, sides.block_of_query, strict=True):
        block_of = dict(zip(groups, of_image.tolist(), strict=True))
        assert [block_of[group] for group in groups] == of_image.tolist()
        assert [block_of[group] for group in groups[::-1]] == of_query.tolist()


class Tagged(nn.Module):
    """Channel c is the color c; red is stronger at the top, green at the bottom, wherever the content is."""

    def forward(self, x):
        x = nn.functional.avg_pool2d((x - x.amin()).clamp(min=0), 4)
        tag = x.new_tensor([[3.0], [2.2], [1.6], [1.0], [0.7], [0.4]])
        gain = x.new_ones(3, 6, 1)
        gain[0], gain[1] = tag, tag.flip(0)
        return x * gain


def test_what_the_network_adds_is_told_from_what_the_content_does(tmp_path):
    """Classes of one color, without a place: the network alone puts red up and green down."""
    rng = np.random.default_rng(1)
    for c, name in enumerate(("green", "red")):
        (tmp_path / "images" / name).mkdir(parents=True)
        for i in range(40):
            values = rng.integers(0, 60, (24, 24, 3))
            values[..., 1 - c] += rng.integers(60, 180, (24, 24))
            Image.fromarray(values.astype(np.uint8)).save(tmp_path / "images" / name / f"{i}.png")
    network = nn.Sequential(Tagged())
    memory = build_memory(
        tmp_path / "m", images.from_folder(tmp_path / "images"), backbone=network, layer="0",
        transform=TRANSFORM, workers=0,
    )  # fmt: skip
    result = hp.intervene(
        memory,
        settings=InterveneSettings(n_deals=3, n_permutations=2000),
        backbone=network,
        transform=TRANSFORM,
    )
    energy = result.separations["energy"]
    red = energy.classes.index("red")
    assert energy.network.vectors[red, 1] > 0.3 and abs(energy.network.vectors[red, 0]) < 0.1
    assert energy.network.effect.p_value < 0.01
    assert abs(energy.content.effect.estimate) < 0.15 < 0.5 < energy.network.effect.estimate
    assert result.conclusion.verdict == "network only", result.conclusion.text


def test_what_the_content_does_is_told_from_what_the_network_adds(tmp_path):
    """Objects at the class's own place, a network without any padding: up is up, right is right."""
    rng = np.random.default_rng(2)
    places = {"up": (2, 8), "down": (14, 8), "right": (8, 15), "left": (8, 1)}
    for name, (top, left) in places.items():
        (tmp_path / "images" / name).mkdir(parents=True)
        tint = np.roll([170, 60, 20], list(places).index(name) % 3)
        for i in range(16):
            values = rng.integers(0, 40, (24, 24, 3))
            values[top : top + 8, left : left + 8] = tint + rng.integers(0, 60, (8, 8, 3))
            Image.fromarray(values.astype(np.uint8)).save(tmp_path / "images" / name / f"{i}.png")
    network = nn.Sequential(nn.AvgPool2d(4), nn.ReLU())
    still = Transform(resize=24, crop=24, mean=(0.0,) * 3, std=(1.0,) * 3, interpolation="bilinear")
    memory = build_memory(
        tmp_path / "m", images.from_folder(tmp_path / "images"), backbone=network, layer="0", transform=still,
        workers=0,
    )  # fmt: skip
    result = hp.intervene(
        memory, settings=InterveneSettings(n_deals=3, n_permutations=999), backbone=network, transform=still
    )
    energy = result.separations["energy"]
    place = dict(zip(energy.classes, energy.content.vectors, strict=True))
    assert place["up"][1] > 0.5 and place["down"][1] < -0.5
    assert place["right"][0] > 0.5 and place["left"][0] < -0.5
    assert energy.network.effect.high < 0.1 < energy.content.effect.low
    assert result.conclusion.verdict == "content-locked angle", result.conclusion.text


def test_passes_are_kept_and_taken_up_again(memory, tmp_path, monkeypatch):
    settings = InterveneSettings(flips="e,h,r", **SMALL)
    whole = intervene(memory, settings=settings)
    made = []
    real = study.positions_of

    def stopped(sides, **options):
        made.append(sides.memory.path.name)
        if len(made) == 3:
            raise KeyboardInterrupt
        return real(sides, **options)

    monkeypatch.setattr(study, "positions_of", stopped)
    with pytest.raises(KeyboardInterrupt):
        intervene(memory, tmp_path, settings=settings)
    assert sorted(path.name for path in (tmp_path / "work").iterdir()) == ["e.npz", "h.npz", "r.memory"]
    again = intervene(memory, tmp_path, settings=settings)
    assert made == ["a.memory", "h.memory", "r.memory", "r.memory"]
    assert again.to_json() == whole.to_json()
    assert sorted(path.name for path in (tmp_path / "work").iterdir()) == ["e.npz", "h.npz", "r.npz"]
    intervene(memory, tmp_path, settings=settings)
    assert len(made) == 4  # nothing is made again
    intervene(memory, tmp_path, settings=InterveneSettings(flips="e,h,r", **{**SMALL, "k": 4}))
    assert len(made) == 7  # positions of other neighbors
    (tmp_path / "work" / "h.npz").write_bytes(b"damaged")
    intervene(memory, tmp_path, settings=InterveneSettings(flips="e,h,r", **{**SMALL, "k": 4}))
    assert made[7:] == ["h.memory"]


def test_memories_left_by_a_stop_after_a_pass_are_removed(memory, found, tmp_path):
    settings = InterveneSettings(flips="e,h,r", **SMALL)
    intervene(memory, tmp_path, settings=InterveneSettings(flips="e,h,r", keep=True, **SMALL))
    assert (tmp_path / "work" / "h.memory").is_dir()
    intervene(memory, tmp_path, settings=settings)
    assert not list((tmp_path / "work").glob("*.memory"))


def test_doses_move_all_flips_or_none(memory, found, tmp_path):
    result, place = found
    assert [one.pixels for one in result.planted] == [8] and result.planted[0].positions.flips == ("e",)
    assert sorted(path.name for path in (place / "work").glob("*.npz")) == [
        "e-8px.npz",
        "e.npz",
        "h.npz",
        "r.npz",
    ]
    settings = InterveneSettings(flips="e,r", shift=8, plant=True, **SMALL)
    planted = intervene(memory, tmp_path, settings=settings)
    assert [one.pixels for one in planted.planted] == [2, 4, 8]
    assert all(one.positions.flips == ("e", "r") for one in planted.planted)
    assert len(list((tmp_path / "work").glob("*.npz"))) == 8
    one = planted.planted[-1]
    np.testing.assert_allclose(np.hypot(*one.displacement.T), 2, atol=0.2)  # 8 pixels are 2 cells of 6
    assert one.positions.cell == (4, 4)


def test_held_out_images_query_the_memory(folder, memory, tmp_path):
    asked = draw(tmp_path / "asked", seed=7, classes="abd")  # d is not in the memory
    settings = InterveneSettings(flips="e,r", **SMALL)
    result = intervene(memory, tmp_path / "out", images=asked, settings=settings)
    assert len(result.positions.image_class) == 30
    assert np.bincount(result.positions.image_class + 1).tolist() == [10, 10, 10]
    assert result.definitions["queries"] == "given"
    again = intervene(memory, tmp_path / "out", images=asked, settings=settings)
    assert again.to_json() == result.to_json()
    sides = deal_sides(memory, open_memory(tmp_path / "out" / "work" / "queries-e.memory"), n_deals=2, seed=0)
    own = result.positions.of("plain")[0, 0]
    label = result.positions.image_class
    for query in np.flatnonzero(label >= 0)[:4]:
        block = sides.block_of_query[0, query]
        rows = np.flatnonzero(sides.block_of_image[0] == block)
        matches = (
            KernelDensityClassifier(memory, k=3, images=rows)
            .classify([str(asked / result_path(sides.queries, query))])
            .matches
        )
        same = matches.select(memory.image_class[matches.image] == label[query])
        u, v = same.grid.centered(same.y, same.x)
        np.testing.assert_allclose(own[query], (u.mean(), v.mean()), atol=1e-6)


def result_path(queries, row):
    return queries.images.paths[row]


def test_changed_images_are_refused(tmp_path):
    folder = draw(tmp_path / "images", per_class=4)
    memory = build_memory(
        tmp_path / "m", images.from_folder(folder), backbone="tests.tiny_network:tiny", layer="3", workers=0
    )
    Image.new("RGB", (24, 24), (9, 9, 9)).save(folder / "a" / "0.png")
    with pytest.raises(InputError, match=r"1 images changed since .* the first 'a/0\.png'"):
        intervene(memory, tmp_path / "out", settings=InterveneSettings(flips="e,r", **SMALL))


def test_refuses_what_it_cannot_do(memory, folder, tmp_path):
    arrays = memory_from_arrays(tmp_path / "arrays", np.ones((4, 3, 2, 2), np.float32), ["a", "b"] * 2)
    with pytest.raises(InputError, match="needs the image files"):
        intervene(arrays)
    pooled = build_memory(
        tmp_path / "gap", images.from_folder(folder), backbone="tests.tiny_network:tiny", layer="3",
        descriptor="gap", workers=0,
    )  # fmt: skip
    with pytest.raises(InputError, match="interventions"):
        intervene(pooled)
    flat = build_memory(
        tmp_path / "flat", sorted((folder / "a").iterdir())[:4], backbone="tests.tiny_network:tiny",
        layer="3", workers=0,
    )  # fmt: skip
    with pytest.raises(InputError, match="have no classes"):
        intervene(flat)
    with pytest.raises(InputError, match=r"shift is 24 pixels, and the network sees 24x24"):
        intervene(memory, settings=InterveneSettings(shift=24))
    with pytest.raises(InputError, match="there is no distance to plant"):
        InterveneSettings(plant=True)
    live = build_memory(
        tmp_path / "live",
        images.from_folder(folder),
        backbone=tiny()[0],
        layer="3",
        transform=TRANSFORM,
        workers=0,
    )
    with pytest.raises(BackboneError, match="cannot be loaded from its record"):
        intervene(live)


def test_a_folder_of_another_memory_is_refused(memory, folder, tmp_path):
    settings = InterveneSettings(flips="e,r", keep=True, **SMALL)
    intervene(memory, tmp_path / "out", settings=settings)
    other = build_memory(
        tmp_path / "m", images.from_folder(folder), backbone="tests.tiny_network:tiny", layer="1", workers=0
    )
    with pytest.raises(MemoryFormatError, match="layer"):
        intervene(other, tmp_path / "out", settings=settings)


def test_reports_are_written_whole(found, tmp_path):
    result, _ = found
    files = save_interventions(result, tmp_path / "report")
    names = {path.name for path in files}
    assert names == {path.name for path in (tmp_path / "report").iterdir()}
    assert {"interventions.npz", "interventions.json", "report.md", "class_vectors.csv", "doses.csv"} <= names
    page = (tmp_path / "report" / "report.md").read_text()
    assert result.conclusion.text in page and "8" in page
    again = hp.observations.interventions.Interventions.load(tmp_path / "report" / "interventions.npz")
    assert again.to_json() == result.to_json()
    with pytest.raises(InputError, match="figure format"):
        save_interventions(result, tmp_path / "report", figure_format="gif")
    assert set(result.separations) == set(ESTIMATORS)
