"""The main job on real images and real ImageNet weights, against a slow NumPy of Eq. (1)-(3)."""

import json

import numpy as np
import pytest
from click.testing import CliRunner

from hueprobe import KernelDensityClassifier, images, open_memory
from hueprobe.cli import main

CLASSES = ("elephant", "grand_piano", "starfish", "watch")
PER_CLASS = 6
ZERO = "elephant/image_0020.jpg"  # has a zero vector at the bottom right under EfficientNet-Lite0

pytestmark = [pytest.mark.realdata, pytest.mark.demo, pytest.mark.slow]


@pytest.fixture(scope="module")
def caltech(shared, demo_extra, tmp_path_factory):
    """A table with half of some images of four classes in memory, and the memory."""
    folder = tmp_path_factory.mktemp("caltech")
    everything = images.from_folder(shared / "data" / "images" / "caltech101_20x40")
    rows = []
    for name in CLASSES:
        of_class = [i for i, c in enumerate(everything.classes) if c == name]
        rows += of_class[:PER_CLASS]
    if everything.paths.index(ZERO) not in rows:
        rows[PER_CLASS - 1] = everything.paths.index(ZERO)
    table = images.split_table(everything.select(rows), train=0.5, seed=1)
    images.save_table(table, folder / "table.csv")
    side = "train" if table.splits[table.paths.index(ZERO)] == "train" else "test"
    run(
        "index", folder / "table.csv", "--split", side, "-o", folder / "m", "--backbone", "efficientnet_lite0"
    )
    return folder / "table.csv", folder / "m", side


def run(*arguments):
    result = CliRunner().invoke(main, [str(a) for a in arguments])
    assert result.exit_code == 0, result.output
    return result.stdout


def slow(stored, stored_class, allowed, pixels, k=10, eps=1e-6):
    """Eq. (2), (3) over the stored rows as they lie on disk, a pixel at a time."""
    votes = np.zeros(stored_class.max() + 1)
    counts = np.bincount(stored_class[allowed], minlength=len(votes))
    for pixel in pixels:
        if not pixel.any():
            continue
        distance = np.sqrt(((stored.astype(np.float64) - pixel) ** 2).sum(axis=1))
        distance[~allowed] = np.inf
        nearest = np.argsort(distance, kind="stable")[:k]
        alpha = distance[nearest[0]]
        for j in nearest[np.isfinite(distance[nearest])]:
            votes[stored_class[j]] += np.exp(-(distance[j] ** 2) / (alpha**2 + eps))
    likelihood = np.where(counts > 0, votes / np.maximum(counts, 1), 0)
    return likelihood / likelihood.sum()


def stored_rows(memory):
    """Every stored row, read straight from the .npy files and renormalized by hand."""
    rows = np.concatenate([np.load(p) for p in sorted(memory.path.glob("shards/*.vectors.npy"))])
    rows = rows.reshape(-1, memory.n_channels).astype(np.float32)
    norms = np.sqrt((rows * rows).sum(axis=1, keepdims=True))
    return rows / np.where(norms > 0, norms, 1)


@pytest.mark.parametrize("exclude", ["image", "none"])
def test_evaluate_agrees_with_slow_numpy(caltech, exclude):
    table, path, _ = caltech
    memory = open_memory(path)
    stored = stored_rows(memory)
    nonzero = stored.any(axis=1)
    assert (~nonzero).sum() == 1, "this test is about a memory with one zero vector"
    stored_class = np.repeat(memory.image_class, memory.grid.n_cells)
    # The memory's own images (duplicates, one with a zero vector) and the others are all asked.
    found = json.loads(run("evaluate", path, table, "--exclude", exclude, "--json"))
    classifier = KernelDensityClassifier(memory)
    asked = images.from_table(table)
    assert [p["image"] for p in found["predictions"]] == list(asked.paths)
    in_memory = {name: row for row, name in enumerate(memory.images.paths)}
    vectors = query_vectors(classifier, asked)
    for record, pixels in zip(found["predictions"], vectors, strict=True):
        allowed = nonzero.copy()
        row = in_memory.get(record["image"])
        if exclude == "image" and row is not None:
            allowed[row * memory.grid.n_cells : (row + 1) * memory.grid.n_cells] = False
        expected = slow(stored, stored_class, allowed, pixels)
        likelihood = np.array([record["likelihood"][name] for name in memory.classes])
        np.testing.assert_allclose(likelihood, expected, atol=1e-6)
        assert record["predicted"] == memory.classes[expected.argmax()]
        if exclude == "none" and row is not None:
            assert record["predicted"] == record["class"]


def query_vectors(classifier, table):
    """The queries as the memory would store them: the network run, then rounded by hand."""
    from hueprobe.activations import Extractor, load_backbone, unit_vectors
    from hueprobe.images import load_batches

    backbone = load_backbone("efficientnet_lite0")
    extractor = Extractor(backbone)
    size = classifier.memory.settings.batch_size
    out = []
    for batch in load_batches(table, backbone.transform, batch_size=size):
        unit = unit_vectors(extractor(batch.images))[0].reshape(len(batch.records), -1, 1280)
        unit = unit.astype(np.float16).astype(np.float32)
        norms = np.sqrt((unit**2).sum(axis=2, keepdims=True))
        out.append(unit / np.where(norms > 0, norms, 1))
    return np.concatenate(out)


def test_held_out_images_are_recognized(caltech):
    table, path, side = caltech
    other = "test" if side == "train" else "train"
    found = json.loads(run("evaluate", path, table, "--split", other, "--json"))
    assert found["accuracy"] >= 0.9, f"{found['accuracy']} on {found['images']} images of four easy classes"


def test_a_duplicate_is_found_at_distance_zero(caltech):
    _, path, _ = caltech
    memory = open_memory(path)
    classifier = KernelDensityClassifier(memory, exclude=None, k=3)
    with pytest.warns(UserWarning, match="in the memory too"):
        result = classifier.classify(memory.images)
    first = result.matches.select(result.matches.rank == 1)
    assert (first.distance == 0).all()
    assert len(first) == memory.valid().sum()
