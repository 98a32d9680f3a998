"""Several layers in one pass classify as each memory does on its own."""

import numpy as np
import pytest
from PIL import Image

import hueprobe as hp
from hueprobe.activations.extractor import Extractor
from hueprobe.errors import InputError

TINY = "tests.tiny_network:tiny"


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Memories of two layers of six images, and a folder of five other images, one of them broken."""
    folder = tmp_path_factory.mktemp("layers")
    rng = np.random.default_rng(0)
    for name, n in (("images", 6), ("others", 5)):
        for i in range(n):
            path = folder / name / "ab"[i % 2] / f"{i}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(rng.integers(0, 200, (30, 36, 3)).astype(np.uint8)).save(path)
    (folder / "others" / "a" / "4.png").write_bytes(b"no image")
    memories = hp.build_memories(
        folder / "m", folder / "images", backbone=TINY, layers=["1", "3"], batch_size=2
    )
    return folder, memories


def same(one, other):
    for name in ("unnormalized", "likelihood", "predicted", "class_counts", "rows"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))
    assert (one.images, one.true_class, one.skipped) == (other.images, other.true_class, other.skipped)


@pytest.mark.parametrize(
    "options", [{}, {"exclude": None, "images": [0, 1, 2, 4, 5]}, {"memory_budget": 3000}]
)
def test_each_layer_as_on_its_own(made, options):
    folder, memories = made
    results = hp.LayeredClassifier(memories, k=4, **options).classify(folder / "others")
    assert len(results) == 2 and all(result.matches is None for result in results)
    for memory, result in zip(memories, results, strict=True):
        alone = hp.KernelDensityClassifier(memory, k=4, **options).classify(folder / "others")
        same(result, alone)
        assert len(alone) == 4 and len(alone.skipped) == 1


def test_each_image_runs_once(made, monkeypatch):
    folder, memories = made
    begin, seen = Extractor.begin, []

    def counted(self, taps, images):
        seen.append((len(taps), len(images)))
        return begin(self, taps, images)

    monkeypatch.setattr(Extractor, "begin", counted)
    results = hp.LayeredClassifier(memories, k=4).classify(folder / "others")
    assert seen == [(2, 2), (2, 2), (2, 1)]
    assert results[0].seconds["extract"] > 0 == results[1].seconds["extract"]


def test_batches_have_their_matches(made):
    folder, memories = made
    parts = list(hp.LayeredClassifier(memories, k=4).classify_batches(folder / "others"))
    assert len(parts) == 3 and all(len(of_layers) == 2 for of_layers in parts)
    whole = hp.KernelDensityClassifier(memories[1], k=4).classify(folder / "others")
    joined = hp.Classification.concatenate(of_layers[1] for of_layers in parts)
    same(joined, whole)
    assert joined.matches.to_arrow().equals(whole.matches.to_arrow())


def test_a_copy_may_not_match_itself(made):
    folder, memories = made
    with pytest.warns(hp.HueprobeWarning, match="6 of the query images are in the memory too"):
        results = hp.LayeredClassifier(memories, k=4).classify(folder / "images")
    for memory, result in zip(memories, results, strict=True):
        same(result, hp.KernelDensityClassifier(memory, k=4).leave_one_out())


def test_what_is_refused(made, tmp_path):
    folder, memories = made
    with pytest.raises(InputError, match="no memory to classify by; give at least one"):
        hp.LayeredClassifier([])
    with pytest.raises(InputError, match="are both of layer '3'"):
        hp.LayeredClassifier([memories[1], memories[1]])
    other = hp.build_memory(tmp_path / "m", folder / "others" / "b", backbone=TINY, layer="1", batch_size=2)
    with pytest.raises(InputError, match="does not hold the images of"):
        hp.LayeredClassifier([memories[1], other])
