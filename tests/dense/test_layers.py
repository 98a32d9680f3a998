"""Several layers, one pass: each segmentation is the one made alone, and differences are paired by image."""

import csv
import json

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from PIL import Image

import hueprobe as hp
from hueprobe.cli import main
from hueprobe.dense import fit_baseline, protocol_of, read_layer_scores, read_segmentation, segment_layers
from hueprobe.errors import InputError
from hueprobe.images import from_folder
from hueprobe.search import several
from tests.dense.drawn import TRANSFORM, Deep, draw

LAYERS = ("1", "2", "4")
N_TEST = 5


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("layers")
    draw(folder / "train", folder / "masks", 6, seed=1)
    draw(folder / "test", folder / "masks", N_TEST, seed=2)
    return folder


def build(folder, name, layers=LAYERS, images="train", masks="masks", **options):
    given = {"backbone": Deep(), "transform": TRANSFORM, "batch_size": 2, **options}
    return hp.build_memories(
        folder / name, folder / images, masks=folder / masks, layers=layers, **given
    )  # fmt: skip


@pytest.fixture(scope="module")
def memories(folder):
    return build(folder, "m")


def segment(memories, folder, network=None, images="test", **options):
    given = {"masks": folder / "masks", "transform": TRANSFORM, "n_resamples": 60, **options}
    if isinstance(images, str):
        images = folder / images
    return segment_layers(memories, images, backbone=network or Deep(), **given)


@pytest.fixture(scope="module")
def found(folder, memories):
    return segment(memories, folder, baselines=["position", "logistic", "pooled"])


def test_each_segmentation_is_the_one_made_alone_and_every_image_is_seen_once(folder, memories):
    network = Deep()
    network.n_seen = 0
    found = segment(memories, folder, network)
    assert network.n_seen == N_TEST
    assert found.layers == LAYERS and len(found) == 3
    for memory in memories:
        alone = hp.segment(
            memory, folder / "test", masks=folder / "masks", n_resamples=60, backbone=network,
            transform=TRANSFORM,
        )  # fmt: skip
        one = found[memory.settings.layer]
        for name in ("shares", "nearest", "rows", "boxes", "sizes"):
            np.testing.assert_array_equal(getattr(one, name), getattr(alone, name))
        assert (one.scores.iou, one.scores.mean_iou) == (alone.scores.iou, alone.scores.mean_iou)
        assert (one.settings, one.images, one.memory_images) == (
            alone.settings, alone.images, alone.memory_images,
        )  # fmt: skip
    assert found["1"].shares.shape[1:3] == (8, 8) and found["4"].shares.shape[1:3] == (4, 4)
    with pytest.raises(InputError, match="there is no layer '3'; the layers are 1, 2, 4"):
        found["3"]


def test_a_sample_of_cells_is_that_of_each_layer_alone(folder, memories):
    sampled = {"cells_per_image": 5, "sampling": "rare", "k": 3, "seed": 2}
    found = segment(memories, folder, **sampled)
    for memory in (memories[0], memories[2]):
        alone = hp.segment(memory, folder / "test", backbone=Deep(), transform=TRANSFORM, **sampled)
        one = found[memory.settings.layer]
        np.testing.assert_array_equal(one.nearest, alone.nearest)
        assert (one.settings.cells_per_image, one.settings.sampling) == (5, "rare")
        assert len(np.unique(one.nearest)) <= 6 * 5
    with pytest.raises(InputError, match="give cells_per_image"):
        segment(memories, folder, sampling="rare")


def slow_mean_iou(confusion):
    values = []
    for label in range(len(confusion)):
        right = confusion[label, label]
        union = confusion[label].sum() + confusion[:, label].sum() - right
        if union:
            values.append(right / union)
    return np.mean(values)


@pytest.mark.parametrize("groups", [None, ("a", "a", "b", "c", None)])
def test_differences_are_those_of_a_slow_paired_bootstrap(folder, memories, groups):
    images = from_folder(folder / "test")
    if groups:
        images = type(images)(**{**vars(images), "groups": groups})
    found = segment(memories, folder, images=images, seed=3, reference="1")
    units = [[0], [1], [2], [3], [4]] if groups is None else [[0, 1], [2], [3], [4]]
    draws = np.random.default_rng(3).multinomial(len(units), np.full(len(units), 1 / len(units)), 60)
    at_4, at_1 = (found[layer].scores.confusion for layer in ("4", "1"))
    values = []
    for draw_of_units in draws:
        totals = np.zeros((2, *at_4.shape[1:]))
        for unit, times in zip(units, draw_of_units, strict=True):
            for image in unit:
                totals += times * np.stack([at_4[image], at_1[image]])
        values.append(slow_mean_iou(totals[0]) - slow_mean_iou(totals[1]))
    difference = found.scores.row("4").difference.mean_iou
    assert difference.estimate == pytest.approx(slow_mean_iou(at_4.sum(0)) - slow_mean_iou(at_1.sum(0)))
    assert (difference.low, difference.high) == pytest.approx(tuple(np.quantile(values, [0.025, 0.975])))
    assert difference.low < difference.high and difference.degrees == len(units) - 1
    # Layer 2 is layer 1 again. Unpaired, the interval of the difference would be wide.
    again = found.scores.row("2").difference
    assert [(one.estimate, one.low, one.high) for one in vars(again).values()] == [(0, 0, 0)] * 3
    assert found.scores.row("2").scores.mean_iou.low < found.scores.row("2").scores.mean_iou.high
    assert found.scores.row("1").difference is None


def test_the_reference_is_the_last_the_best_or_a_named_layer(folder, memories, found):
    assert found.scores.reference == "4"
    best = max(LAYERS[:2], key=lambda layer: found[layer].scores.mean_iou.estimate)
    assert found["4"].scores.mean_iou.estimate < found[best].scores.mean_iou.estimate
    assert found.scores.best == "1"  # of equal ones the first
    assert segment(memories, folder, reference="best").scores.reference == "1"
    assert segment(memories, folder, reference="2").scores.reference == "2"
    with pytest.raises(InputError, match=r"reference is '9'; give the layer of a memory \(1, 2, 4\), best"):
        segment(memories, folder, reference="9")


def test_baselines_are_those_of_whole_arrays(folder, memories, monkeypatch):
    from hueprobe.dense import logistic_shares, memory_baselines, pooled_shares, position_shares

    monkeypatch.setattr(memory_baselines, "_AT_ONCE", 200)  # a memory is read in several parts
    memory = memories[0]
    counts, rules = memory.label_counts(), protocol_of("strict")
    vectors, n = memory.image_vectors(np.arange(6)), memory.n_slots
    queries = vectors[[4, 0]] + np.float32(0.01)
    flat = counts.reshape(n, -1)
    expected = {
        "position": position_shares(counts, 2),
        "pooled": pooled_shares(vectors, counts, queries),
        "logistic": logistic_shares(memory.vectors(np.arange(n)), flat, queries.reshape(-1, 2)),
    }
    for name, shares in expected.items():
        made = fit_baseline(name, memory, rules)(queries)
        assert made.shape == (2, 8, 8, 2)
        np.testing.assert_allclose(made, shares.reshape(made.shape), atol=1e-4, err_msg=name)
    with pytest.raises(InputError, match="baseline"):
        fit_baseline("best", memory, rules)


def test_ignored_pixels_count_for_label_0_in_baselines_too(folder, tmp_path):
    (tmp_path / "masks").mkdir()
    for file in (folder / "masks").glob("1?.png"):
        mask = np.asarray(Image.open(file)).copy()
        mask[:, ::2] = 255
        Image.fromarray(mask).save(tmp_path / "masks" / file.name)
    (memory,) = build(folder, tmp_path / "m", ("1",), masks=tmp_path / "masks")
    counts = memory.label_counts().astype(float)
    counts[..., 0] += 16 - counts.sum(axis=-1)
    expected = counts.sum(axis=0) / counts.sum(axis=(0, 3))[..., None]
    queries = memory.image_vectors([0])
    rules = [protocol_of(name) for name in ("strict", "hummingbird")]
    for name in ("position", "pooled", "logistic"):
        strict, other = (fit_baseline(name, memory, rule)(queries) for rule in rules)
        assert not np.allclose(strict, other, atol=0.02), name
    np.testing.assert_allclose(fit_baseline("position", memory, rules[1])(queries)[0], expected, rtol=1e-6)


def test_logistic_regression_is_fitted_to_drawn_labeled_cells(memories, monkeypatch):
    from hueprobe.dense import memory_baselines

    seen = []

    def fitted(vectors, counts, **_):
        seen.append(counts)
        return lambda queries: np.zeros((len(queries), 2))

    monkeypatch.setattr(memory_baselines, "_FITTED_CELLS", 50)
    monkeypatch.setattr(memory_baselines, "fit_logistic", fitted)
    for seed in (0, 0, 1):
        fit_baseline("logistic", memories[0], protocol_of("strict"), seed=seed)
    assert [len(counts) for counts in seen] == [50] * 3 and all(counts.any(1).all() for counts in seen)
    np.testing.assert_array_equal(seen[0], seen[1])
    assert (seen[0] != seen[2]).any()


def test_baselines_are_rows_of_the_comparison(found):
    scores = found.scores
    assert scores.methods == ("nearest", "position", "logistic", "pooled")
    assert [(row.layer, row.method) for row in scores.rows[:5]] == [
        ("1", "nearest"), ("1", "position"), ("1", "logistic"), ("1", "pooled"), ("2", "nearest"),
    ]  # fmt: skip
    # Brightness alone tells these labels; position alone does not.
    assert scores.row("1").scores.mean_iou.estimate > scores.row("1", "position").scores.mean_iou.low + 0.1
    assert scores.row("1", "logistic").difference.mean_iou.estimate == pytest.approx(
        scores.row("1", "logistic").scores.mean_iou.estimate - scores.row("4").scores.mean_iou.estimate
    )
    with pytest.raises(InputError, match="there are no scores of 'pooled' at layer '3'"):
        scores.row("3", "pooled")
    numbers = scores.numbers()
    assert numbers["2.pooled.mean_iou.difference"] == scores.row("2", "pooled").difference.mean_iou
    assert len(numbers) == 3 * (2 * 12 - 1)


def test_scores_are_saved_and_read(found, tmp_path):
    found.scores.save(tmp_path / "layers.npz")
    again = read_layer_scores(tmp_path / "layers.npz")
    assert again.numbers() == found.scores.numbers()
    assert (again.settings, again.reference, again.groups) == (
        found.scores.settings, found.scores.reference, found.scores.groups,
    )  # fmt: skip
    assert again.to_arrow() == found.scores.to_arrow()
    assert repr(again).startswith("<LayerScores of 5 images: mean IoU 1 0.")
    assert "differences to nearest at layer 4, paired by image" in again._repr_html_()
    (tmp_path / "layers.npz").write_bytes(b"damaged")
    with pytest.raises(InputError, match="holds no scores by layer"):
        read_layer_scores(tmp_path / "layers.npz")
    with pytest.raises(InputError, match="does not exist"):
        read_layer_scores(tmp_path / "none.npz")


def test_the_other_protocol_and_no_masks(folder, memories):
    found = segment(memories, folder, protocol="hummingbird", baselines=["position"], reference="1")
    assert found.scores.row("4").scores.assigned
    assert found.scores.row("2").difference.mean_iou.estimate == 0
    bare = segment(memories, folder, masks=None)
    assert bare.scores is None and bare["4"].scores is None and "width" in bare._repr_html_()
    assert repr(bare) == "<LayerSegmentations of 5 images by the layers 1, 2, 4>"


class Other(Deep):
    """Another network of the same class name and layers."""

    def __init__(self):
        super().__init__()
        with torch.no_grad():
            self[3].weight.mul_(2)


def test_memories_that_one_pass_cannot_serve_are_refused(folder, memories):
    Other.__name__ = "Deep"
    strange = {
        "sha256 of the weights: [0-9a-f]{12} and [0-9a-f]{12}; give memories of several layers of one": build(
            folder, "weights", ("4",), backbone=Other()
        ),
        "transform: fit squash": None,
        "batch size: 2 and 3": build(folder, "batch", ("4",), batch_size=3),
        "are both of layer '1'; give one memory of each layer": build(folder, "again", ("1",)),
        "does not hold the images of": build(folder, "images", ("4",), images="test"),
    }
    plain = hp.images.Transform(resize=32, crop=32)
    strange["transform: fit squash"] = build(folder, "transform", ("4",), transform=plain)
    strange[r"differ in the transform: .*fit squash.* and resize 32"] = strange.pop("transform: fit squash")
    for said, others in strange.items():
        with pytest.raises(InputError, match=said):
            segment([memories[0], *others], folder)
    names = hp.images.pair_masks(folder / "train", folder / "masks", names=["ground", "shape"])
    named = hp.build_memories(
        folder / "named", folder / "train", masks=names, layers=["4"], backbone=Deep(), transform=TRANSFORM,
        batch_size=2,
    )  # fmt: skip
    with pytest.raises(InputError, match="have different labels"):
        segment([memories[0], *named], folder)
    with pytest.raises(InputError, match="there are no memories"):
        segment([], folder)


def test_baselines_that_know_the_answer_are_refused(folder, memories):
    with pytest.raises(InputError, match="baselines are compared with true labels"):
        segment(memories, folder, masks=None, baselines=["position"])
    with (
        pytest.raises(
            InputError, match=r"image '10.png' may not match '10.png' of the memory, but baselines"
        ),
    ):
        segment(memories, folder, images="train", baselines=["position"])


def test_searchers_share_the_budget(memories, monkeypatch):
    asked = []
    monkeypatch.setattr(several, "open_searcher", lambda memory, spec, **given: asked.append(given))
    several.open_searchers(memories, memory_budget=10_000, device="cpu")
    sizes = [memory.n_slots * memory.n_channels for memory in memories]
    assert [given["memory_budget"] for given in asked] == [10_000 * size // sum(sizes) for size in sizes]
    asked.clear()
    several.open_searchers(memories, device="cpu")
    assert 0.99 * 2**30 < sum(given["memory_budget"] for given in asked) <= 2**30
    asked.clear()
    several.open_searchers(memories[:1], device="cpu")
    several.open_searchers(memories, "faiss:Flat", device="cpu")
    assert [given["memory_budget"] for given in asked] == [None] * 4


def test_a_small_budget_changes_nothing_and_batches_are_small(folder, memories, found, monkeypatch):
    from hueprobe.search.exact.searcher import ExactSearcher

    search, sizes = ExactSearcher.search, []

    def counting(self, vectors, k, **options):
        sizes.append(len(vectors))
        return search(self, vectors, k, **options)

    monkeypatch.setattr(ExactSearcher, "search", counting)
    again = segment(memories, folder, memory_budget=1)
    for layer in LAYERS:
        np.testing.assert_array_equal(again[layer].shares, found[layer].shares)
    assert sizes == [128, 128, 32] * 2 + [64, 64, 16]  # batches of two images, layer by layer


TINY = ["--backbone", "squeezenet1_1", "--weights", "none", "--crop", "48x64", "--fit", "squash"]
NAMES = ("features.2", "features.12")


@pytest.fixture(scope="module")
def indexed(folder):
    layers = [word for name in NAMES for word in ("--layer", name)]
    run("index", folder / "train", "--masks", folder / "masks", "-o", folder / "c", *TINY, *layers)
    return [folder / f"c.{name}" for name in NAMES]


def run(*arguments, code=0):
    result = CliRunner().invoke(main, [str(a) for a in arguments])
    assert result.exit_code == code, result.output + repr(result.exception)
    return result


def test_the_command_writes_a_folder_for_each_layer_and_a_table(folder, indexed, tmp_path):
    out, masks = tmp_path / "out", ["--masks", folder / "masks"]
    shown = run(
        "segment", *indexed, folder / "test", *masks, "-o", out, "--figures", "1", "--baseline", "position",
        "--baseline", "pooled",
    )  # fmt: skip
    assert sorted(path.name for path in out.iterdir()) == [
        "features.12", "features.2", "layers.csv", "layers.json", "layers.npz", "layers.png",
    ]  # fmt: skip
    scores = read_layer_scores(out / "layers.npz")
    document = json.loads((out / "layers.json").read_text())
    comparison = document["comparison"]
    assert (comparison["reference"], comparison["images"]) == ("features.12", N_TEST)
    assert [one["folder"] for one in document["layers"]] == list(NAMES)
    with open(out / "layers.csv") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == len(scores.rows) == len(comparison["rows"]) == 6
    for row, stored, told in zip(rows, scores.rows, comparison["rows"], strict=True):
        assert row["layer"] == stored.layer == told["layer"]
        assert row["method"] == stored.method == told["method"]
        assert float(row["mean_iou"]) == stored.scores.mean_iou.estimate == told["mean_iou"]["value"]
        if stored.difference is None:
            assert told["difference"] is None and row["mean_iou_difference"] == ""
        else:
            one = stored.difference.mean_boundary_f
            assert [float(row[f"mean_boundary_f_difference_{end}"]) for end in ("low", "high")] == [
                one.low, one.high,
            ] == told["difference"]["mean_boundary_f"]["ci95"]  # fmt: skip
    lines = shown.stdout.splitlines()
    assert lines[0].split()[:4] == ["layer", "cells", "method", "mean"]
    (line,) = [line for line in lines if line.startswith("features.12") and "nearest" in line]
    assert "reference" in line and f"{scores.row('features.12').scores.mean_iou.estimate:.3f} (" in line
    for name in NAMES:
        one = read_segmentation(out / name / "segmentation.npz")
        assert one.scores.mean_iou == scores.row(name).scores.mean_iou
        assert len(list((out / name / "labels").glob("*.png"))) == N_TEST
        assert (out / name / "figures" / "0000.png").stat().st_size > 1000
        alone = json.loads((out / name / "scores.json").read_text())
        assert alone["memory"].endswith(f"c.{name}") and alone["scores"]["images"] == N_TEST


def test_one_memory_is_as_it_was_and_without_masks_nothing_is_compared(folder, indexed, tmp_path):
    run("segment", indexed[0], folder / "test", "-o", tmp_path / "one", "--figures", "0")
    assert sorted(path.name for path in (tmp_path / "one").iterdir()) == [
        "labels", "scores.json", "segmentation.npz",
    ]  # fmt: skip
    shown = run("segment", *indexed, folder / "test", "-o", tmp_path / "two", "--figures", "0")
    assert sorted(path.name for path in (tmp_path / "two").iterdir()) == [
        "features.12",
        "features.2",
        "layers.json",
    ]
    assert "5 label maps of each of 2 layers" in shown.stdout
    assert json.loads((tmp_path / "two" / "layers.json").read_text())["comparison"] is None


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--baseline", "position"], "--baseline compares with true labels; give them with --masks"),
        (["--reference", "best"], "--reference compares with true labels; give them with --masks"),
    ],
)
def test_usage(folder, indexed, tmp_path, options, said):
    shown = run("segment", *indexed, folder / "test", "-o", tmp_path / "out", *options, code=2)
    assert said in shown.stderr and not list(tmp_path.iterdir())


def test_what_is_wrong_is_told_before_anything_is_written(folder, indexed, tmp_path):
    masks = ["--masks", folder / "masks", "-o", tmp_path / "out"]
    shown = run("segment", *indexed, *masks, code=2)
    assert "c.features.12 is a memory; name the images after the memories" in shown.stderr
    shown = run("segment", indexed[0], folder / "test", *masks, "--reference", "last", code=2)
    assert "--reference is about several layers" in shown.stderr
    shown = run("segment", *indexed, folder / "test", *masks, "--reference", "layer3", code=1)
    assert "reference is 'layer3'; give the layer of a memory (features.2, features.12)" in shown.stderr
    shown = run("segment", indexed[0], indexed[0], folder / "test", *masks, code=1)
    assert "are both of layer 'features.2'" in shown.stderr and shown.stderr.count("\n") <= 3
    assert list(tmp_path.iterdir()) == []
