"""`hp.segment` and `hueprobe segment` on drawn shapes."""

import json

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

import hueprobe as hp
from hueprobe.cli import main
from hueprobe.dense import read_segmentation
from hueprobe.errors import HueprobeWarning, InputError
from tests.dense.drawn import SIZE, TRANSFORM, brightness, draw


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("segment")
    draw(folder / "train", folder / "masks", 6, seed=1)
    draw(folder / "test", folder / "masks", 4, seed=2)
    return folder


@pytest.fixture(scope="module")
def memory(folder):
    return hp.build_memory(
        folder / "m", folder / "train", masks=folder / "masks", backbone=brightness(), layer="1",
        transform=TRANSFORM,
    )  # fmt: skip


def segment(memory, images, **options):
    return hp.segment(memory, images, backbone=brightness(), transform=TRANSFORM, **options)


def test_shapes_are_found(folder, memory):
    found = segment(memory, folder / "test", masks=folder / "masks")
    assert found.scores.mean_iou.estimate > 0.8
    assert found.label_map(0).shape == SIZE and found.settings.k == 10
    true = np.asarray(Image.open(folder / "masks" / "20.png")).astype(int)
    labeled = true != 255
    assert (found.label_map(0) == true)[labeled].mean() > 0.85
    assert found.scores.n_pixels == 4 * (SIZE[0] - 1) * SIZE[1]
    confusion = np.zeros((2, 2), int)
    np.add.at(confusion, (true[labeled], found.label_map(0)[labeled]), 1)
    np.testing.assert_array_equal(found.scores.confusion[0, :, :2], confusion)


def test_a_sample_of_cells_is_all_that_is_searched(folder, memory):
    found = segment(memory, folder / "test", cells_per_image=3, seed=5)
    assert (found.settings.cells_per_image, found.settings.sampling) == (3, "uniform")
    chosen = hp.dense.sample_cells(memory.label_counts(), 3, seed=5)
    assert len(chosen) == 18 and set(np.unique(found.nearest)) <= set(chosen)
    everything = segment(memory, folder / "test")
    assert (everything.settings.cells_per_image, everything.settings.sampling) == (None, None)
    assert not set(np.unique(everything.nearest)) <= set(chosen)


def test_hummingbird_favors_rare_labels_and_counts_ignored_pixels_for_the_first(folder, memory):
    found = segment(memory, folder / "test", protocol="hummingbird", cells_per_image=3, seed=5)
    assert found.settings.sampling == "rare"
    counts = memory.label_counts().astype(int)
    counts[..., 0] += 16 - counts.sum(axis=-1)  # cells of 4 x 4 pixels
    assert set(np.unique(found.nearest)) <= set(hp.dense.sample_cells(counts, 3, rule="rare", seed=5))


def test_sampling_without_a_number_of_cells_is_refused(folder, memory):
    with pytest.raises(InputError, match="give cells_per_image"):
        segment(memory, folder / "test", sampling="rare")


def test_shares_are_those_of_a_slow_search(folder, memory):
    found = segment(memory, folder / "test", kernel="softmax:0.1", k=7)
    classifier = hp.KernelDensityClassifier(memory, backbone=brightness(), transform=TRANSFORM)
    queries = classifier.vectors_of(folder / "test")[2].astype(float)
    vectors = memory.vectors(np.arange(memory.n_slots)).astype(float)
    counts = memory.label_counts().reshape(memory.n_slots, -1).astype(float)
    for cell, query in enumerate(queries):
        distance = np.linalg.norm(vectors - query, axis=1)
        near = np.argsort(distance, kind="stable")[:7]
        weight = np.exp((1 - distance[near] ** 2 / 2) / 0.1)
        shares = counts[near] / np.maximum(counts[near].sum(1, keepdims=True), 1)
        expected = weight @ shares
        y, x = divmod(cell, 8)
        np.testing.assert_allclose(found.shares[2, y, x], expected / expected.sum(), atol=1e-4)
        assert distance[found.nearest[2, y, x]] == pytest.approx(distance.min(), abs=1e-6)


def test_an_image_of_the_memory_does_not_match_itself(folder, memory):
    with pytest.warns(HueprobeWarning, match="are in the memory too"):
        found = segment(memory, folder / "train")
    assert (found.nearest // 64 != np.arange(6)[:, None, None]).all()


def test_chosen_rows_alone_are_matched(folder, memory):
    found = segment(memory, folder / "test", memory_rows=[1, 4])
    assert set(np.unique(found.nearest // 64)) <= {1, 4}


def test_hummingbird_counts_ignored_pixels_for_the_first_label(folder, memory):
    found = segment(memory, folder / "test", masks=folder / "masks", protocol="hummingbird")
    assert found.scores.assigned == (0, 1)
    # The maps have the size of the network's input.
    assert found.scores.confusion.sum() <= 4 * 32 * 32
    from hueprobe.dense.memory_labels import memory_shares
    from hueprobe.dense.protocols import protocol_of

    counts = memory.label_counts().reshape(-1, 2)
    lacking = np.flatnonzero(counts.sum(1) < 16)
    assert len(lacking)
    shares = memory_shares(memory, protocol_of("hummingbird"))(lacking)
    np.testing.assert_allclose(shares[:, 1], counts[lacking, 1] / 16)


def test_hummingbird_warns_of_another_input(folder, tmp_path):
    transform = hp.images.Transform(resize=None, crop=(32, 40), fit="squash")
    memory = hp.build_memory(
        tmp_path / "m", folder / "train", masks=folder / "masks", backbone=brightness(), layer="1",
        transform=transform,
    )  # fmt: skip
    with pytest.warns(HueprobeWarning, match="divides blue by .255"):
        hp.segment(
            memory, folder / "test", backbone=brightness(), transform=transform, protocol="hummingbird"
        )


def test_a_result_is_saved_and_read(folder, memory, tmp_path):
    found = segment(memory, folder / "test", masks=folder / "masks")
    found.save(tmp_path / "found.npz")
    again = read_segmentation(tmp_path / "found.npz")
    assert repr(again) == repr(found) and again.settings == found.settings
    assert again.scores.iou == found.scores.iou and again.labels == found.labels
    np.testing.assert_array_equal(again.label_map(3), found.label_map(3))
    (tmp_path / "found.npz").write_bytes(b"damaged")
    with pytest.raises(InputError, match="no saved segmentation"):
        read_segmentation(tmp_path / "found.npz")
    with pytest.raises(InputError, match="does not exist"):
        read_segmentation(tmp_path / "none.npz")


def test_a_memory_without_labels_is_refused(folder, tmp_path):
    plain = hp.build_memory(
        tmp_path / "m", folder / "train", backbone=brightness(), layer="1", transform=TRANSFORM
    )
    with pytest.raises(InputError, match="has no labels of cells"):
        segment(plain, folder / "test")


TINY = [
    "--backbone",
    "squeezenet1_1",
    "--weights",
    "none",
    "--crop",
    "48x64",
    "--fit",
    "squash",
    "--device",
    "cpu",
]


@pytest.fixture(scope="module")
def indexed(folder):
    run("index", folder / "train", "--masks", folder / "masks", "-o", folder / "c", *TINY)
    return folder / "c"


def run(*arguments, code=0):
    result = CliRunner().invoke(main, [str(a) for a in arguments])
    assert result.exit_code == code, result.output + repr(result.exception)
    return result


def test_the_command_writes_a_whole_folder(folder, indexed, tmp_path):
    out = tmp_path / "out"
    shown = run("segment", indexed, folder / "test", "--masks", folder / "masks", "-o", out, "--figures", "1")
    assert "mean IoU" in shown.stdout and "4 label maps" in shown.stdout
    found = read_segmentation(out / "segmentation.npz")
    maps = sorted((out / "labels").glob("*.png"))
    assert [path.name for path in maps] == [f"2{i}.png" for i in range(4)]
    labels = hp.open_memory(indexed).label_set
    for i, path in enumerate(maps):
        np.testing.assert_array_equal(hp.images.read_mask(path, labels), found.label_map(i))
    scores = json.loads((out / "scores.json").read_text())["scores"]
    assert scores["mean_iou"]["value"] == pytest.approx(found.scores.mean_iou.estimate)
    assert [path.name for path in (out / "figures").iterdir()] == ["0000.png"]
    again = run("segment", indexed, folder / "test", "-o", out, code=2)
    assert "is not empty" in again.stderr


def test_nothing_half_written_is_left(folder, indexed, tmp_path, monkeypatch):
    def fail(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("hueprobe.dense.segmentation.Segmentation.save", fail)
    shown = run("segment", indexed, folder / "test", "-o", tmp_path / "out", code=1)
    assert "No space left" in shown.stderr
    assert list(tmp_path.iterdir()) == []


def test_figures_of_a_segmentation(folder, memory):
    found = segment(memory, folder / "test", masks=folder / "masks")
    true = np.zeros(SIZE, int)
    figure = hp.plots.segmentation_figure(found, 1, images=folder / "test", true=true)
    titles = [ax.get_title() for ax in figure.axes]
    assert {"image", "true labels", "predicted labels", "margin"} < set(titles)
    shown = dict(zip(titles, figure.axes, strict=True))
    np.testing.assert_array_equal(shown["margin"].images[0].get_array(), found.margin(1))
    ax = hp.plots.label_ious(found)
    assert ax.lines[0].get_xdata().tolist() == [one.estimate for one in found.scores.iou]
    with pytest.raises(InputError, match="there is no image 4"):
        hp.plots.segmentation_figure(found, 4)
