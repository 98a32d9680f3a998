"""Held-out images go through the network once, whatever is measured on them, and nothing else changes."""

import os
from dataclasses import fields, replace

import numpy as np
import pytest
from PIL import Image

import hueprobe as hp
from hueprobe.errors import HueprobeWarning, InputError, ShapeError
from hueprobe.observations.verdicts.documents import verdicts_json
from hueprobe.studies import ObserveSettings, accuracy_grid, observe
from hueprobe.studies.observing import held_out as module
from hueprobe.studies.observing.accuracy_runs import AccuracySetup
from hueprobe.studies.observing.held_out import HeldOut
from hueprobe.studies.observing.subject import Subject
from tests.counting_network import PASSED, fingerprint
from tests.tiny_network import TRANSFORM

POOLED = ("gap", "gmp", "gem", "rmac", "flat")
SOME = ("accuracy", "locations")
SETTINGS = ObserveSettings(k=4, device="cpu", workers=0)


def write_images(folder, n, *, seed):
    rng = np.random.default_rng(seed)
    for name, gray in (("a", 60), ("b", 120), ("c", 180)):
        (folder / name).mkdir(parents=True)
        for i in range(n):
            pixels = rng.normal(gray, 60, (24, 24, 3)).clip(0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(folder / name / f"{seed}-{i}.png")
    return folder


@pytest.fixture
def asked(tmp_path):
    return write_images(tmp_path / "asked", 3, seed=1)


@pytest.fixture
def memory(tmp_path):
    """24 images in batches of 4, extracted by a network that counts."""
    images = write_images(tmp_path / "images", 8, seed=0)
    made = hp.build_memory(
        tmp_path / "m",
        images,
        backbone="tests.counting_network:counting",
        layer="3",
        batch_size=4,
        device="cpu",
    )
    PASSED.clear()
    return made


def passes(folder):
    """Return how often each image of a folder went through the network."""
    files = sorted(folder.rglob("*.png"))
    return [PASSED[fingerprint(TRANSFORM(Image.open(file).convert("RGB")))] for file in files]


def setup_of(memory, folder, images):
    held_out = HeldOut(memory=memory, images=hp.images.from_folder(images), folder=folder)
    return AccuracySetup(
        memory=memory, folder=folder, held_out=held_out, k=4, searcher="exact", exclude="image", seed=0,
        progress=False, network={},
    )  # fmt: skip


def require_equal(one, other):
    """Two classifications are the same to the bit, but for their times and where images are read again."""
    for field in fields(one):
        if field.name in ("seconds", "sources"):
            continue
        ours, theirs = getattr(one, field.name), getattr(other, field.name)
        if field.name == "matches":
            assert ours.to_arrow().equals(theirs.to_arrow())
        else:
            np.testing.assert_array_equal(ours, theirs, err_msg=field.name)


def test_every_image_passes_once_and_no_more_when_run_again(memory, asked, tmp_path):
    report = observe(memory, SOME, images=asked, settings=SETTINGS, folder=tmp_path / "w")
    assert {run.task for run in report.memories[0].accuracy.runs} == {"held out"}
    assert passes(asked) == [1] * 9
    again = observe(
        memory, SOME, images=asked, settings=ObserveSettings(k=3, workers=0), folder=tmp_path / "w"
    )
    assert again.memories[0].accuracy != report.memories[0].accuracy
    assert passes(asked) == [1] * 9  # another K needs no activations


def test_accuracy_alone_passes_images_once(memory, asked, tmp_path):
    grid = accuracy_grid(memory, tmp_path / "w", images=asked, k=4)
    assert passes(asked) == [1] * 9
    observed = observe(memory, "accuracy", images=asked, settings=SETTINGS)
    assert observed.memories[0].accuracy == grid


@pytest.mark.parametrize("exclude", ["image", "group"])
@pytest.mark.parametrize("dtype", ["float16", "float32", "sparse16"])
def test_stored_queries_are_those_of_images_to_the_bit(memory, asked, tmp_path, dtype, exclude):
    """With an unreadable image, one that the memory has too, one without a class, and groups."""
    (asked / "a" / "broken.png").write_bytes(b"no image")
    os.link(tmp_path / "images" / "b" / "0-3.png", asked / "b" / "known.png")
    own = hp.images.from_folder(tmp_path / "images")
    table = hp.images.from_folder(asked)
    groups = tuple(f"g{row % 5}" for row in range(len(table)))
    table = replace(table, classes=(*table.classes[:-1], None), groups=groups)
    own = replace(own, groups=tuple(f"g{row % 7}" for row in range(len(own))))
    memory = hp.build_memory(
        tmp_path / "other", own, backbone="tests.tiny_network:tiny", layer="3", dtype=dtype, batch_size=4
    )
    stored = HeldOut(memory=memory, images=table, folder=tmp_path / "w").activations
    classifier = hp.KernelDensityClassifier(memory, k=3, exclude=exclude)
    wider = hp.KernelDensityClassifier(memory, k=5, exclude=exclude)
    with pytest.warns(HueprobeWarning, match="1 of the query images are in the memory too"):
        direct, direct5 = classifier.classify(table), wider.classify(table)
    with pytest.warns(HueprobeWarning, match="1 of the query images are in the memory too"):
        found = classifier.classify_stored_by_k(stored, [5, 3])
    assert len(direct.skipped) == 1 and direct.duplicates and len(direct) == 10
    require_equal(found[3], direct)
    require_equal(found[5], direct5)


def test_pooled_queries_are_derived_like_pooled_memories(memory, asked, tmp_path):
    """They differ from descriptors of unrounded activations by the rounding, and predictions do not."""
    setup = setup_of(memory, tmp_path / "w", asked)
    stored = setup.held_out.activations
    for descriptor in POOLED:
        pooled = setup.memory_of(descriptor)
        derived = hp.memory.derive_memory(tmp_path / f"{descriptor}.memory", stored, descriptor)
        given = setup.query_vectors(descriptor)
        assert np.array_equal(given, derived.image_vectors(np.arange(9))[:, 0])
        direct = hp.KernelDensityClassifier(pooled, k=4)
        np.testing.assert_allclose(given, direct.vectors_of(asked)[:, 0], atol=2**-9)
        assert np.array_equal(setup.classification(descriptor).predicted, direct.classify(asked).predicted)


def test_a_memory_image_among_the_queries_is_at_distance_zero_in_every_descriptor(memory, tmp_path):
    setup = setup_of(memory, tmp_path / "w", tmp_path / "images")
    for descriptor in ("pixel", *POOLED):
        pooled = setup.memory_of(descriptor)
        classifier = hp.KernelDensityClassifier(pooled, k=1, exclude=None)
        with pytest.warns(HueprobeWarning, match="may match themselves"):
            found = classifier.classify_stored_by_k(setup.held_out.activations, [1])[1]
        assert found.matches.distance.max() == 0, descriptor


def test_a_killed_pass_is_taken_up_again(memory, asked, tmp_path, monkeypatch):
    whole = observe(memory, SOME, images=asked, settings=SETTINGS)
    PASSED.clear()
    monkeypatch.setattr(module, "images_per_shard", lambda *_: 4)
    real, begun = module.extracted_batches, []

    def killed(*arguments):
        make = real(*arguments)

        def batches(start, stop):
            begun.append(start)
            for number, batch in enumerate(make(start, stop)):
                if number == 2 and len(begun) == 1:
                    raise KeyboardInterrupt
                yield batch

        return batches

    monkeypatch.setattr(module, "extracted_batches", killed)
    with pytest.raises(KeyboardInterrupt):
        observe(memory, SOME, images=asked, settings=SETTINGS, folder=tmp_path / "w")
    assert sum(passes(asked)) == 8
    report = observe(memory, SOME, images=asked, settings=SETTINGS, folder=tmp_path / "w")
    # batches are written in the background: the second may or may not have been complete
    assert begun in ([0, 4], [0, 8]) and sum(passes(asked)) == 8 + 9 - begun[1]
    assert verdicts_json(report.verdicts) == verdicts_json(whole.verdicts)
    assert report.memories[0].accuracy == whole.memories[0].accuracy


def test_other_content_under_the_same_names_is_extracted_again(memory, asked, tmp_path):
    table = hp.images.from_folder(asked)
    first = HeldOut(memory=memory, images=table, folder=tmp_path / "w").activations
    Image.new("RGB", (24, 24), "red").save(asked / "a" / "1-0.png")
    second = HeldOut(memory=memory, images=table, folder=tmp_path / "w").activations
    assert first.path != second.path
    assert not np.array_equal(first.image_vectors([0]), second.image_vectors([0]))
    assert np.array_equal(first.image_vectors(range(1, 9)), second.image_vectors(range(1, 9)))


def test_images_that_give_another_grid_are_refused(asked, tmp_path):
    """A transform that keeps sizes: 24 x 24 became 6 x 6 cells, 32 x 32 become 8 x 8."""

    def transform(image):
        return TRANSFORM.__class__(
            resize=min(image.size), crop=min(image.size), mean=(0.5,) * 3, std=(0.25,) * 3,
            interpolation="bilinear",
        )(image)  # fmt: skip

    options = {"transform": transform}
    memory = hp.build_memory(
        tmp_path / "n", asked, backbone="tests.tiny_network:tiny", layer="3", device="cpu", **options
    )
    (tmp_path / "large").mkdir()
    Image.new("RGB", (32, 32), "red").save(tmp_path / "large" / "red.png")
    large = hp.images.from_folder(tmp_path / "large")
    held_out = HeldOut(memory=memory, images=large, folder=tmp_path / "w", network=options)
    with pytest.raises(ShapeError, match=r"8x8 cells of 12 channels, memory .* has 6x6 of 12"):
        assert held_out.activations
    assert not list((tmp_path / "w").glob("*.memory"))


def test_there_is_no_classification_without_a_k(memory):
    with pytest.raises(InputError, match="no k to classify with"):
        hp.KernelDensityClassifier(memory).classify_stored_by_k(memory, [])


def test_a_subject_without_images_has_none(memory):
    assert Subject(settings=SETTINGS, memory=memory).held_out is None
