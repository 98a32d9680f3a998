"""Transforms of one's own: recorded by what they do, asked for again, and never changed unseen."""

import contextlib
import functools
import hashlib
import importlib
import json
import random
import re
import warnings

import numpy as np
import pytest
import torch
import torchvision.transforms as T
from PIL import Image
from torch import nn
from torchvision.transforms.functional import to_tensor

from hueprobe import KernelDensityClassifier, build_memory, open_memory
from hueprobe.activations import Extractor, field_center, load_backbone
from hueprobe.activations.transform_trials import drawn_image, try_transform
from hueprobe.errors import (
    BackboneError,
    HueprobeError,
    HueprobeWarning,
    ImageError,
    InputError,
    MemoryDamagedError,
    MemoryFormatError,
    ShapeError,
)
from hueprobe.images import Transform
from hueprobe.memory import append_images, build_memories, derive_memory, plan_memory
from hueprobe.memory.settings import read_settings
from hueprobe.memory.transforms import describe_transform, see_transform, transform_difference
from hueprobe.pooled_classifier import PooledClassifier
from tests import tiny_network
from tests.tiny_network import TRANSFORM, tiny

OPTIONS = {"layer": "3", "device": "cpu", "batch_size": 4}
NAMED = "tests.tiny_network:tiny"


def draw(folder, n=4, *, side=(30, 36), classes="ab", seed=0):
    rng = np.random.default_rng(seed)
    for name in classes:
        (folder / name).mkdir(parents=True, exist_ok=True)
        for i in range(n):
            values = rng.integers(0, 256, (*side, 3), np.uint8)
            Image.fromarray(values).save(folder / name / f"{i}.png")
    return folder


@pytest.fixture
def folder(tmp_path):
    return draw(tmp_path / "images")


@pytest.fixture
def network():
    return tiny()[0]


def composed(*, mean=0.5, change=lambda x: x):
    return T.Compose(
        [T.Resize((24, 24)), T.ToTensor(), T.Normalize((mean,) * 3, (0.5,) * 3), T.Lambda(change)]
    )


def contents(folder):
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != "lock"
    }


def distance_to_itself(memory, folder, **options):
    classifier = KernelDensityClassifier(memory, k=1, exclude=None, device="cpu", **options)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*of the query images", HueprobeWarning)
        return float(classifier.classify(folder).matches.distance.max())


@pytest.mark.parametrize("named", [False, True])
def test_a_transform_of_ones_own_is_asked_for_again_and_compared(tmp_path, folder, network, named):
    transform = composed()
    made = {"backbone": NAMED if named else network}
    asked = {} if named else made
    memory = build_memory(tmp_path / "m", folder, transform=transform, **made, **OPTIONS)
    pooled = derive_memory(tmp_path / "pooled", memory, "gap")
    more, before = draw(tmp_path / "more", 2, seed=1), contents(tmp_path / "m")
    for forgotten in (
        lambda: distance_to_itself(memory, folder, **asked),
        lambda: append_images(tmp_path / "m", more, device="cpu", **asked),
        lambda: next(PooledClassifier(pooled, rule="knn", k=1, **asked).classify_batches(folder)),
    ):
        with pytest.raises(
            BackboneError, match=r"made with a transform of its own.* \(Compose\(.*transform=t"
        ):
            forgotten()
    for other in (composed(mean=0.485), composed(change=lambda x: x.flip(2)), TRANSFORM):
        with pytest.raises(InputError, match="the transform is not the one that made the memory: Compose"):
            distance_to_itself(memory, folder, transform=other, **asked)
        with pytest.raises(InputError, match="the transform is not the one that made the memory: Compose"):
            append_images(tmp_path / "m", more, device="cpu", transform=other, **asked)
    assert contents(tmp_path / "m") == before
    assert distance_to_itself(memory, folder, transform=composed(), **asked) == 0
    grown = append_images(tmp_path / "m", more, device="cpu", transform=composed(), **asked)
    assert grown.n_images == 12
    assert distance_to_itself(grown, more, transform=composed(), **asked) == 0


def test_a_recorded_transform_comes_back_by_itself_and_no_other_is_taken(tmp_path, folder, network):
    memory = build_memory(tmp_path / "m", folder, backbone=network, transform=TRANSFORM, **OPTIONS)
    assert distance_to_itself(memory, folder, backbone=network) == 0
    for other in (Transform(resize=24, crop=24), composed()):
        with pytest.raises(InputError, match=r"not the one that made the memory: resize 24.*, mean 0.5"):
            distance_to_itself(memory, folder, backbone=network, transform=other)
    # What does the same is the same, whoever wrote it.
    numbers = T.Compose([T.Resize(24), T.CenterCrop(24), T.ToTensor(), T.Normalize((0.5,) * 3, (0.25,) * 3)])
    assert distance_to_itself(memory, folder, backbone=network, transform=numbers) < 1e-3


def test_a_class_of_ones_own_that_extends_transform_is_no_transform_of_numbers(tmp_path, folder, network):
    class Inverted(Transform):
        def __call__(self, image):
            return -super().__call__(image)

    inverted = Inverted(resize=24, crop=24)
    memory = build_memory(tmp_path / "m", folder, backbone=network, transform=inverted, **OPTIONS)
    with pytest.raises(BackboneError, match="transform of its own"):
        distance_to_itself(memory, folder, backbone=network)
    assert distance_to_itself(memory, folder, backbone=network, transform=inverted) == 0


def test_a_callable_brings_its_transform_and_a_changed_one_is_noticed(tmp_path, folder, monkeypatch):
    (tmp_path / "brought.py").write_text(
        "from torchvision.transforms.functional import to_tensor\nfrom tests.tiny_network import tiny\n"
        "def shrunk(image): return to_tensor(image.resize((24, 24)))\n"
        "def halved(image): return shrunk(image) / 2\n"
        "now = shrunk\ndef make(): return tiny()[0], now\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    memory = build_memory(tmp_path / "m", folder, backbone="brought:make", **OPTIONS)
    assert distance_to_itself(memory, folder) == 0
    before = contents(tmp_path / "m")
    brought = importlib.import_module("brought")

    monkeypatch.setattr(brought, "now", brought.halved)
    with pytest.raises(BackboneError, match=r"network 'brought:make' makes again \(<function shrunk> in"):
        distance_to_itself(memory, folder)
    with pytest.raises(MemoryFormatError, match=r"settings \(transform: <function shrunk> in the memory"):
        build_memory(tmp_path / "m", folder, backbone="brought:make", **OPTIONS)
    assert contents(tmp_path / "m") == before
    assert distance_to_itself(memory, folder, transform=brought.shrunk) == 0


class Plain:
    """Has no repr of its own."""

    def __init__(self, factor=1.0):
        self.factor = factor

    def __call__(self, image):
        return to_tensor(image.resize((24, 24))) * self.factor


class Shy(Plain):
    def __repr__(self):
        return self.name


def scaled(image, factor):
    return Plain(factor)(image)


@pytest.mark.parametrize(
    "make",
    [
        lambda: lambda image: to_tensor(image.resize((24, 24))),
        Plain,
        Shy,
        lambda: functools.partial(scaled, factor=0.5),
        lambda: T.Compose([T.Resize((24, 24)), Plain().__call__]),
        lambda: T.Compose([T.Resize((24, 24)), T.ToTensor(), T.Lambda(lambda x: x)]),
    ],
)
def test_no_address_is_recorded_and_the_same_call_goes_on(tmp_path, folder, network, make):
    kept = make()  # so that the second lies elsewhere
    build_memory(tmp_path / "m", folder, backbone=network, transform=kept, **OPTIONS)
    before = contents(tmp_path / "m")
    assert b"0x" not in before["memory.json"]
    build_memory(tmp_path / "m", folder, backbone=network, transform=make(), **OPTIONS)
    assert contents(tmp_path / "m") == before


@pytest.mark.parametrize(
    ("first", "other"),
    [
        (composed(), composed(change=lambda x: x * 0.9)),
        (Plain(1.0), Plain(0.9)),
        (functools.partial(scaled, factor=1.0), functools.partial(scaled, factor=-1.0)),
        (composed(), lambda image: composed()(image)[[2, 1, 0]]),
        (Plain(), T.Compose([T.Resize((24, 24), antialias=True), T.ToTensor()])),  # bicubic and bilinear
        (composed(), T.Compose([composed(), T.Resize((32, 32))])),
    ],
)
def test_a_changed_transform_does_not_go_on(tmp_path, folder, network, first, other):
    build_memory(tmp_path / "m", folder, backbone=network, transform=first, **OPTIONS)
    before = contents(tmp_path / "m")
    with pytest.raises(MemoryFormatError, match=r"other settings \(.*transform: .* in the memory, .* asked"):
        build_memory(tmp_path / "m", folder, backbone=network, transform=other, **OPTIONS)
    assert contents(tmp_path / "m") == before
    build_memory(tmp_path / "m", folder, backbone=network, transform=other, overwrite=True, **OPTIONS)


def test_rounding_to_another_gray_level_is_no_other_transform_and_three_levels_are():
    rng = np.random.default_rng(0)
    levels = torch.from_numpy(rng.integers(-1, 2, (3, 64, 48)).astype(np.float32)) / 255

    def resized(image):
        return to_tensor(image.resize((48, 64)))

    def rounded(image):
        return resized(image) + levels

    def brighter(image):
        return resized(image) + 3 / 255

    seen = see_transform(resized)
    assert [probe.shape for probe in seen.probes] == [(3, 64, 48)] * 2
    for change, same in ((rounded, True), (brighter, False)):
        new = see_transform(change, like=seen.probes)
        assert (transform_difference(seen, new.__class__(seen.recorded, new.probes)) is None) == same


def test_the_drawn_image_is_the_same_everywhere():
    """Whole numbers from a hash: SHAKE-256 by its own definition, squares of 32 and of 4 pixels."""
    image = np.asarray(drawn_image(40, 36)).astype(int)
    coarse = np.frombuffer(hashlib.shake_256(b"transform 32").digest(12), np.uint8).reshape(2, 2, 3)
    fine = np.frombuffer(hashlib.shake_256(b"transform 4").digest(270), np.uint8).reshape(9, 10, 3)
    for y, x in ((0, 0), (35, 39), (31, 32), (17, 3)):
        expected = (2 * coarse[y // 32, x // 32].astype(int) + fine[y // 4, x // 4]) // 3
        assert image[y, x].tolist() == expected.tolist()


def as_0_1(memory, description):
    """Give a memory the record of 0.1: a description with an address and no probe."""
    path = memory.path / "memory.json"
    document = json.loads(path.read_text())
    del document["transform_probe"]
    document["transform"] = {"custom": description}
    text = json.dumps(document, sort_keys=True, indent=2) + "\n"
    path.write_text(text)
    from tests.faults.mutations import chained, steps_of

    steps = steps_of(memory.path / "ledger.jsonl")
    for step in steps:
        if "memory.json" in step["files"]:
            step["files"]["memory.json"] = {
                "sha256": hashlib.sha256(text.encode()).hexdigest(), "size": len(text.encode()),
            }  # fmt: skip
    (memory.path / "ledger.jsonl").write_bytes(chained(steps))
    return open_memory(memory.path)


def test_a_record_of_0_1_with_an_address_goes_on_and_asks_for_the_transform(tmp_path, folder, network):
    memory = build_memory(tmp_path / "m", folder, backbone=network, transform=Plain(), **OPTIONS)
    memory = as_0_1(memory, f"<{__name__}.Plain object at 0x7f3a5c0>")
    before = contents(tmp_path / "m")
    build_memory(tmp_path / "m", folder, backbone=network, transform=Plain(), **OPTIONS)
    assert contents(tmp_path / "m") == before
    with pytest.raises(BackboneError, match="transform="):
        distance_to_itself(memory, folder, backbone=network)
    assert distance_to_itself(memory, folder, backbone=network, transform=Plain()) == 0
    with pytest.warns(HueprobeWarning, match="may be another than the one that made the memory"):
        distance_to_itself(memory, folder, backbone=network, transform=composed())
    with pytest.raises(MemoryFormatError, match=r"transform: <tests.*Plain object> in the memory, Compose"):
        build_memory(tmp_path / "m", folder, backbone=network, transform=composed(), **OPTIONS)


def flipped_now_and_then(rng):
    return lambda image: to_tensor(image.resize((24, 24))).flip(rng.integers(1, 3))


@pytest.mark.parametrize(
    "transform",
    [
        T.Compose([T.RandomResizedCrop(24), T.ToTensor()]),
        T.Compose([T.Resize((24, 24)), T.RandomHorizontalFlip(0.001), T.ToTensor()]),
        lambda image: to_tensor(image.resize((24, 24))) * np.random.rand(),  # noqa: NPY002
        lambda image: to_tensor(image.resize((24, 24))) * random.random(),
        flipped_now_and_then(np.random.default_rng(0)),
    ],
)
def test_a_random_transform_is_noticed_and_draws_nothing_of_the_callers(tmp_path, folder, network, transform):
    states = random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist()  # noqa: NPY002
    assert try_transform(transform, 400, 320).random
    assert not try_transform(composed(), 400, 320).random
    assert states == (random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist())  # noqa: NPY002
    options = {"backbone": network, "transform": transform}
    for _ in range(2):
        with pytest.warns(HueprobeWarning, match="the transform is random .* the memory is not reproducible"):
            memory = build_memory(tmp_path / "m", folder, **options, **OPTIONS)
    assert memory.settings.to_json().get("transform_probe") is None
    with pytest.warns(HueprobeWarning, match="the transform is random"):
        distance_to_itself(memory, folder, **options)
    with pytest.raises(BackboneError, match="transform="):
        distance_to_itself(memory, folder, backbone=network)


def test_a_random_transform_does_not_continue_a_memory_of_another(tmp_path, folder, network):
    build_memory(tmp_path / "m", folder, backbone=network, transform=composed(), **OPTIONS)
    other = T.Compose([T.RandomResizedCrop(24), T.ToTensor()])
    with (
        pytest.raises(MemoryFormatError, match="asked, which is random"),
        pytest.warns(HueprobeWarning, match="the transform is random"),
    ):
        build_memory(tmp_path / "m", folder, backbone=network, transform=other, **OPTIONS)
    with pytest.raises(InputError, match="asked, which is random"):
        distance_to_itself(open_memory(tmp_path / "m"), folder, backbone=network, transform=other)


@pytest.mark.parametrize(("side", "cells"), [((100, 100), 25), ((32, 32), 8), ((40, 72), None)])
@pytest.mark.parametrize("transform", [Transform(resize=None, crop=None), T.ToTensor(), to_tensor])
def test_the_grid_comes_from_the_images(tmp_path, network, side, cells, transform):
    folder = draw(tmp_path / "images", 2, side=side)
    (folder / "a" / "0.png").write_bytes(b"no image")
    loaded = load_backbone(network, layer="3", transform=transform)
    plan = plan_memory(tmp_path / "m", folder, backbone=loaded, batch_size=4, device="cpu")
    memory = build_memory(tmp_path / "m", folder, backbone=network, transform=transform, **OPTIONS)
    assert plan.settings.grid == memory.grid.shape == ((cells, cells) if cells else (10, 18))
    assert plan.settings.to_json() == memory.settings.to_json()
    assert memory.readable.tolist() == [False, True, True, True]
    before = contents(tmp_path / "m")
    build_memory(tmp_path / "m", folder, backbone=network, transform=transform, **OPTIONS)
    assert contents(tmp_path / "m") == before
    options = {"backbone": network} | ({} if isinstance(transform, Transform) else {"transform": transform})
    assert distance_to_itself(memory, [folder / "b" / "0.png"], **options) == 0
    append_images(tmp_path / "m", draw(tmp_path / "more", 1, side=side, seed=2), device="cpu", **options)
    other = draw(tmp_path / "other", 1, side=(48, 48), seed=3)
    before = contents(tmp_path / "m")
    with pytest.raises(InputError, match=r"images to append give 12 x 12 cells, those of .* come out"):
        append_images(tmp_path / "m", other, device="cpu", **options)
    assert contents(tmp_path / "m") == before
    with pytest.raises(ShapeError, match=r"12x12 cells .* images of one size"):
        distance_to_itself(memory, other, **options)


def test_images_of_two_sizes_without_resize_are_refused_by_name(tmp_path, network):
    folder = draw(tmp_path / "images", side=(32, 32), classes="a")
    draw(folder, side=(32, 40), classes="b")
    options = {"backbone": network, "transform": T.ToTensor(), "layer": "3", "device": "cpu"}
    with pytest.raises(ShapeError, match=r"'b/0.png' has shape \(3, 32, 40\) after .*\(3, 32, 32"):
        build_memory(tmp_path / "m", folder, **options)
    assert not (tmp_path / "m").exists()


def test_images_of_which_none_can_be_read_leave_nothing(tmp_path, network):
    folder = draw(tmp_path / "images", 1)
    for path in folder.rglob("*.png"):
        path.write_bytes(b"no image")
    with pytest.raises(ImageError, match="none of 2 images could be read; the first: not a"):
        build_memory(tmp_path / "m", folder, backbone=network, transform=T.ToTensor(), **OPTIONS)
    assert not (tmp_path / "m").exists()


def test_a_complete_memory_whose_images_are_gone_is_taken_as_it_is(tmp_path, network):
    folder = draw(tmp_path / "images", side=(32, 32))
    options = {"backbone": network, "transform": T.ToTensor(), **OPTIONS}
    build_memory(tmp_path / "m", folder, **options)
    sizes = {path: path.stat().st_size for path in folder.rglob("*.png")}
    before = contents(tmp_path / "m")
    for path, size in sizes.items():
        path.write_bytes(b"\0" * size)
    with contextlib.suppress(MemoryFormatError):  # where content is compared, that is what is said
        build_memory(tmp_path / "m", folder, **options)
    assert contents(tmp_path / "m") == before


def test_several_layers_take_their_grids_from_the_images(tmp_path, network):
    folder = draw(tmp_path / "images", side=(40, 40))
    built = build_memories(
        tmp_path / "m", folder, backbone=network, layers=["1", "3"], transform=T.ToTensor(), device="cpu"
    )
    assert [memory.grid.shape for memory in built] == [(10, 10), (10, 10)]


def test_a_transform_for_images_of_one_size_is_tried_on_that_size(tmp_path, network):
    def strict(image):
        assert image.size == (36, 30), "of 36 x 30 only"
        return to_tensor(image)

    def changed(image):
        return strict(image) * 0.9

    folder = draw(tmp_path / "images")
    options = {"backbone": network, **OPTIONS}
    memory = build_memory(tmp_path / "m", folder, transform=strict, **options)
    assert [probe.image for probe in memory.settings.transform_probe] == [(36, 30)]
    build_memory(tmp_path / "m", folder, transform=strict, **options)
    assert distance_to_itself(memory, folder, backbone=network, transform=strict) == 0
    with pytest.raises(InputError, match="not the one that made the memory"):
        distance_to_itself(memory, folder, backbone=network, transform=changed)


def test_a_transform_that_takes_no_drawn_image_builds_and_warns(tmp_path, folder, network):
    known = {image.tobytes() for image in map(Image.open, folder.rglob("*.png"))}

    def choosy(image):
        if image.tobytes() not in known:
            raise LookupError("no such image")
        return to_tensor(image)

    with pytest.warns(HueprobeWarning, match="fails on image 'a drawn.*LookupError.*would not be noticed"):
        memory = build_memory(tmp_path / "m", folder, backbone=network, transform=choosy, **OPTIONS)
    assert memory.readable.all()
    assert distance_to_itself(memory, folder, backbone=network, transform=choosy) == 0


def _raises(image):
    raise KeyError("no\nsuch key")


@pytest.mark.parametrize(
    ("transform", "said"),
    [
        (_raises, "fails on image 'a/0.png': KeyError: 'no.*such key'"),
        (
            lambda image: np.asarray(image.resize((24, 24)), "f4").transpose(2, 0, 1),
            "gives ndarray .*from_numpy",
        ),
        (lambda image: image, "gives Image for image 'a/0.png'.*ToTensor"),
        (T.PILToTensor(), "gives torch.uint8 for image 'a/0.png'.*ToDtype"),
        (lambda image: T.ToTensor()(image)[None], r"gives \(1, 3, 30, 36\) for image 'a/0.png'.*batch"),
        (lambda image: {"pixel_values": T.ToTensor()(image)}, "gives dict for image 'a/0.png'"),
        (T.ToTensor, r"the transform is the class ToTensor; give an instance, such as ToTensor\(\)"),
        (3, "the transform is 3; give a Transform or a function"),
    ],
)
def test_a_transform_that_does_not_fit_is_said_in_one_sentence(tmp_path, folder, network, transform, said):
    for backbone in (network, NAMED):
        with pytest.raises(HueprobeError, match=said) as caught:
            build_memory(tmp_path / "m", folder, backbone=backbone, transform=transform, **OPTIONS)
        assert "\n" not in str(caught.value) and not (tmp_path / "m").exists()
        if transform is _raises:
            assert isinstance(caught.value.__cause__, KeyError)


def gray(image):
    return to_tensor(image.convert("L").resize((24, 24)))


def with_edges(image):
    colors = to_tensor(image.resize((24, 24)))
    return torch.cat([colors, colors.mean(0, keepdim=True)])


@pytest.mark.parametrize(("channels", "transform"), [(1, gray), (4, with_edges)])
def test_networks_of_one_and_four_channels(tmp_path, folder, monkeypatch, channels, transform):
    def make():
        with torch.random.fork_rng():
            torch.manual_seed(1)
            first = nn.Sequential(nn.Conv2d(channels, 8, 5, 4, 2), nn.BatchNorm2d(8), nn.ReLU())
            network = first.extend([nn.Conv2d(8, 6, 3, 1, 1), nn.ELU()])
        return network, transform

    monkeypatch.setattr(tiny_network, "made", make, raising=False)
    name = "tests.tiny_network:made"
    for weights in ("default", "none"):  # `none` runs the network on random images
        options = {**OPTIONS, "layer": "4", "weights": weights}
        memory = build_memory(tmp_path / weights, folder, backbone=name, **options)
        assert memory.grid.shape == (6, 6)
        assert distance_to_itself(memory, folder) == 0
    backbone = load_backbone(name, layer="4")
    images = torch.stack([transform(Image.open(path)) for path in sorted(folder.rglob("*.png"))])
    with torch.no_grad():
        expected = backbone.module(images).permute(0, 2, 3, 1).reshape(-1, 6).numpy()
    memory = open_memory(tmp_path / "default")
    stored = memory.vectors(np.arange(memory.n_slots)) * np.sqrt(memory.energy().reshape(-1, 1))
    np.testing.assert_allclose(stored, expected, atol=2e-3)
    assert len(field_center(backbone).cell) == 2
    said = rf"takes {channels} channels, so give a transform= that makes \({channels}, h"
    with pytest.raises(BackboneError, match=said):
        build_memory(tmp_path / "m", folder, backbone=make()[0], layer="4", device="cpu")
    assert not (tmp_path / "m").exists()
    assert Extractor(backbone, device="cpu")(images).shape == (8, 6, 6, 6)


def test_probes_are_recorded_small_and_read_back(tmp_path, folder, network):
    memory = build_memory(tmp_path / "m", folder, backbone=network, transform=composed(), **OPTIONS)
    probes = memory.settings.transform_probe
    assert read_settings(tmp_path / "m").transform_probe == probes
    assert [probe.image for probe in probes] == [(400, 320), (320, 512)]
    for probe in probes:
        assert probe.shape == (3, 24, 24) and len(probe.values) == 3 * 4 + 16
        output = composed()(drawn_image(*probe.image)).numpy()
        assert probe.values[0] == pytest.approx(output[0, :12, :12].mean(), abs=1e-4)
        assert probe.values[11] == pytest.approx(output[2, 12:, 12:].mean(), abs=1e-4)
        assert probe.values[12] == pytest.approx(output[0, 0, 0], abs=1e-4)
        assert probe.values[-1] == pytest.approx(output[2, 23, 23], abs=1e-4)


@pytest.mark.parametrize(
    ("probe", "says"),
    [
        ([{"image": [1 << 14, 1 << 14], "shape": [3, 2, 2], "values": []}], "at most 67108864 pixels"),
        ([{"image": [0, 4], "shape": [3, 2, 2], "values": []}], "expected `int` >= 1"),
        ([{"image": [4, 4], "shape": [3, 2], "values": []}], "expected `array` of length 3"),
        ([{"image": [4, 4], "shape": [3, 2, 2], "values": [], "more": 1}], "unknown field"),
    ],
)
def test_a_damaged_probe_is_damage(tmp_path, folder, network, probe, says):
    build_memory(tmp_path / "m", folder, backbone=network, transform=composed(), **OPTIONS)
    path = tmp_path / "m" / "memory.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "transform_probe": probe}))
    with pytest.raises(MemoryDamagedError, match=re.escape(says)):
        open_memory(tmp_path / "m")


def test_a_transform_that_no_longer_resizes_as_it_did_is_said(tmp_path, folder, network, monkeypatch):
    memory = build_memory(tmp_path / "m", folder, backbone=network, transform=TRANSFORM, **OPTIONS)
    into = Transform.__call__
    monkeypatch.setattr(Transform, "__call__", lambda self, image: into(self, image) * 1.2)
    with pytest.raises(InputError, match=r"something else now.*Pillow or torch.*versions that memory"):
        distance_to_itself(memory, folder, backbone=network)


def test_descriptions_hold_no_address():
    assert describe_transform(TRANSFORM) == TRANSFORM.to_json()
    assert describe_transform(Plain()) == {"custom": f"<{__name__}.Plain object>"}
    assert describe_transform(Shy()) == {"custom": f"<{__name__}.Shy object>"}
    nested = T.Compose([functools.partial(scaled, factor=2)])
    assert "functools.partial(<function scaled>, factor=2)" in describe_transform(nested)["custom"]
