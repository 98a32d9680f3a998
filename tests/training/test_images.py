"""Images for training: the same batches from memory and from files, bad files named and left out."""

import numpy as np
import pytest
import torch

from hueprobe import images
from hueprobe.errors import ImageError, InputError, ShapeError
from hueprobe.images.transform import IMAGENET_MEAN, IMAGENET_STD
from hueprobe.training import images_from_arrays, load_images, train
from tests.training.conftest import colored, hue_objective

CPU = torch.device("cpu")
EPOCH = {"batch_size": 4, "crop": 9, "flip": True, "seed": 3, "device": CPU}


def restored(batch):
    """Bytes (B, 3, h, w) again, from what is normalized."""
    mean, std = (torch.tensor(values)[:, None, None] for values in (IMAGENET_MEAN, IMAGENET_STD))
    return ((batch * std + mean) * 255).round().to(torch.uint8).numpy()


def test_every_image_comes_once_as_a_piece_of_itself_or_of_its_mirror_image():
    pixels, targets = colored(22, 0)
    made = images_from_arrays(pixels, targets, class_names="rgb")
    batches = list(made.shuffled_batches(epoch=0, **EPOCH))
    assert [len(batch) for batch, _ in batches] == [4, 4, 4, 4, 4, 2]
    seen, mirrored, corners = [], 0, set()
    for batch, labels in batches:
        for piece, label in zip(restored(batch), labels.tolist(), strict=True):
            places = [
                (i, flip, y, x)
                for i in range(22)
                for flip in (False, True)
                for y in range(4)
                for x in range(4)
                if np.array_equal(piece[:, :, ::-1] if flip else piece, pixels[i, :, y : y + 9, x : x + 9])
            ]
            assert len(places) == 1 and targets[places[0][0]] == label
            seen.append(places[0][0])
            mirrored += places[0][1]
            corners.add(places[0][2:])
    assert sorted(seen) == list(range(22)) and 4 < mirrored < 18 and len(corners) > 5


def test_epochs_and_seeds_differ_and_one_is_the_same_again():
    made = images_from_arrays(*colored(12, 0), class_names="rgb")

    def first(**change):
        return next(iter(made.shuffled_batches(**{"epoch": 0, **EPOCH, **change})))[0]

    assert torch.equal(first(), first())
    assert not torch.equal(first(), first(epoch=1)) and not torch.equal(first(), first(seed=4))
    whole = torch.cat([batch for batch, _ in made.batches(batch_size=5, crop=12, device=CPU)])
    assert np.array_equal(restored(whole), made.pixels.numpy())


@pytest.mark.parametrize("workers", [0, 2])
def test_files_read_anew_give_the_batches_of_memory_without_the_damaged_one(folder_of_images, workers):
    table = images.from_folder(folder_of_images)
    held = load_images(table, side=12)
    read = load_images(table, side=12, in_memory=False, workers=workers)
    assert [path for path, _ in held.skipped.values()] == ["b/01.png"]
    for epoch in range(2):
        pairs = zip(
            held.shuffled_batches(epoch=epoch, **EPOCH),
            read.shuffled_batches(epoch=epoch, **EPOCH),
            strict=True,
        )
        for (first, first_targets), (second, second_targets) in pairs:
            assert torch.equal(first, second) and torch.equal(first_targets, second_targets)
    assert read.skipped == held.skipped and len(read.skipped) == 1
    assert read.fingerprint == held.fingerprint


def test_a_run_counts_and_names_what_it_could_not_read(folder_of_images, settings):
    table = images.from_folder(folder_of_images)
    held = load_images(table, side=12)
    run = train(hue_objective(), held, settings, test=held)
    ((path, reason),) = run.skipped[:1]
    assert path == "b/01.png" and reason
    assert run.log[0]["steps"] == 3


def test_bad_input_is_refused_in_words(folder_of_images, tmp_path):
    table = images.from_folder(folder_of_images)
    with pytest.raises(InputError, match="the number of classes is 1; training needs at least 2"):
        load_images(table.select([0, 1]), side=12)
    with pytest.raises(InputError, match="class 'c' is not among the 2 training classes"):
        load_images(table, side=12, class_names=["a", "b"])
    flat = images.from_folder(folder_of_images / "a")
    with pytest.raises(InputError, match="6 of 6 images have no class"):
        load_images(flat, side=12)
    made = load_images(table, side=12)
    with pytest.raises(InputError, match="crop is 13, but the images have a side of 12"):
        next(made.shuffled_batches(**{**EPOCH, "epoch": 0, "crop": 13}))
    for path in folder_of_images.rglob("*.png"):
        path.write_bytes(b"")
    with pytest.raises(ImageError, match="none of 18 images could be read"):
        load_images(table, side=12)
    pixels, targets = colored(6, 0)
    with pytest.raises(InputError, match="from 0 to 2; with 2 classes they must be integers from 0 to 1"):
        images_from_arrays(pixels, targets, class_names="rg")
    with pytest.raises(InputError, match="give uint8"):
        images_from_arrays(pixels / 255, targets, class_names="rgb")
    with pytest.raises(ShapeError, match=r"give \(n, 3, R, R\)"):
        images_from_arrays(pixels[:, :, :5], targets, class_names="rgb")
    assert images_from_arrays(pixels[:, 0], targets, class_names="rgb").pixels.shape == (6, 3, 12, 12)
