"""Which images train and which test: by the splits' names, and never a test image among the trained."""

import warnings
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from hueprobe import images
from hueprobe.errors import HueprobeWarning, InputError
from hueprobe.studies import ComparisonSettings
from hueprobe.studies.comparison import study
from hueprobe.training import training_parts


@pytest.fixture
def table(tmp_path):
    """Twelve images, each unlike the others, in two classes."""
    rng = np.random.default_rng(0)
    for name in "ab":
        (tmp_path / name).mkdir()
        for number in range(6):
            Image.fromarray(rng.integers(0, 256, (9, 9, 3), np.uint8)).save(tmp_path / name / f"{number}.bmp")
    return images.from_folder(tmp_path)


def split(table, *names):
    """Give the first rows the first name, and so on, in equal shares."""
    each = len(table) // len(names)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of names that are stripped
        return replace(table, splits=tuple(name for name in names for _ in range(each)))


def parted(table, **options):
    found = training_parts(table, **options)
    assert (found.paths, found.classes) == (table.paths, table.classes)
    return [[i for i, name in enumerate(found.splits) if name == part] for part in ("train", "test")]


@pytest.mark.parametrize("names, train, test", [
    ((None,), range(12), ()),
    ((None, "test"), range(6), range(6, 12)),
    (("training", "test"), range(6), range(6, 12)),
    ((" Train", "TEST "), range(6), range(6, 12)),
    (("testing", "TRAINING"), range(6, 12), range(6)),
    (("train", "train"), range(12), ()),
    (("Train", "training", "test", "Testing"), range(6), range(6, 12)),
])  # fmt: skip
def test_names_tell_what_trains_whatever_their_case(table, names, train, test):
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # nothing is left out, so nothing is said
        assert parted(split(table, *names)) == [list(train), list(test)]


@pytest.mark.parametrize("names, train, test, left", [
    (("train", "val", "test"), range(4), range(8, 12), "4 images of split 'val'"),
    (("train", "Validation"), range(6), (), "6 images of split 'Validation'"),
    (("train", None, "test"), range(4), range(8, 12), r"4 images of split '' \(no split\)"),
    ((None, "val", "test"), range(4), range(8, 12), "4 images of split 'val'"),
    (("dev", "train", "test", "other"), range(3, 6), range(6, 9), "6 images of split 'dev', 'other'"),
])  # fmt: skip
def test_other_splits_are_on_neither_side_and_it_is_said(table, names, train, test, left):
    with pytest.warns(HueprobeWarning, match=f"{left} are neither trained on nor tested on"):
        assert parted(split(table, *names)) == [list(train), list(test)]


@pytest.mark.parametrize("names, text", [
    (("a", "test"), r"'a' \(6 images\), 'test' \(6 images\), none is called train .*--train-split"),
    (("test",), r"'test' \(12 images\), none is called train"),
    (("val", "test"), "none is called train"),
])  # fmt: skip
def test_it_is_asked_what_to_train_on_where_no_name_tells(table, names, text):
    with pytest.raises(InputError, match=text):
        training_parts(split(table, *names))


def test_splits_that_are_named_count(table):
    four = split(table, "a", "B ", "train", "test")
    with pytest.warns(HueprobeWarning, match="6 images of split 'test', 'train'"):
        assert parted(four, train_splits=["b"], test_splits=["A"]) == [[3, 4, 5], [0, 1, 2]]
    with pytest.warns(HueprobeWarning, match="3 images of split 'B'"):
        assert parted(four, train_splits=["train", "a"]) == [[0, 1, 2, 6, 7, 8], [9, 10, 11]]
    two = split(table, "test", "train")
    assert parted(two, train_splits=["test"], test_splits=["train"]) == [[*range(6)], [*range(6, 12)]]
    assert parted(split(table, None, "train"), train_splits=["train"], test_splits=[""])[1] == [*range(6)]
    with pytest.raises(InputError, match=r"no image in split 'C', which test_splits= .* 'B' ") as error:
        training_parts(four, test_splits=["C"])
    assert "--test-split" in str(error.value)
    with pytest.raises(InputError, match="split 'test' would be trained on and tested on"):
        training_parts(two, train_splits=["test"])


@pytest.mark.parametrize("own, other", [("a/1.bmp", "b/4.bmp"), ("a/5.bmp", "b/5.bmp")])
def test_the_same_content_on_both_sides_is_named_or_dropped(table, tmp_path, own, other):
    (tmp_path / own).write_bytes((tmp_path / other).read_bytes())
    both = split(images.from_folder(tmp_path), "train", "test")
    with pytest.raises(InputError, match=f"1 images to train on are test images.*'{own}'.*'{other}'"):
        training_parts(both)
    with pytest.warns(HueprobeWarning, match=f"1 images .*'{own}'.* left out of training"):
        train, test = parted(both, drop_repeated=True)
    assert [both.paths[i] for i in range(12) if i not in train + test] == [own]
    assert test == [*range(6, 12)]
    within = split(images.from_folder(tmp_path), "train")
    assert len(parted(within)[0]) == 12  # twice among those trained on is no leak


def test_one_file_on_both_sides_is_named(table):
    twice = images.ImageTable.concatenate([split(table, "train"), split(table.select([2, 3]), "Test")])
    with pytest.raises(InputError, match=r"2 images to train on .* the first: 'a/2.bmp' is there twice"):
        training_parts(twice)


def test_unreadable_and_missing_files_repeat_nothing(table, tmp_path):
    for path in ("a/0.bmp", "b/0.bmp"):
        (tmp_path / path).write_bytes(b"404: not found")
    both = split(images.from_folder(tmp_path), "train", "test")
    for path in ("a/1.bmp", "b/1.bmp"):
        (tmp_path / path).unlink()
    assert [len(part) for part in parted(both)] == [6, 6]


def test_a_fold_trains_on_no_copy_of_its_test_images(table, tmp_path):
    (tmp_path / "a" / "1.bmp").write_bytes((tmp_path / "a" / "4.bmp").read_bytes())
    copied = images.from_folder(tmp_path)
    asked = {"backbone": "resnet18", "losses": ("onehot",), "seeds": 1, "side": 9, "folds": 6}
    with pytest.raises(InputError, match="1 images to train on are test images"):
        list(study._parts(copied, ComparisonSettings(**asked)))
    with pytest.warns(HueprobeWarning, match="left out of training"):
        folds = list(study._parts(copied, ComparisonSettings(**asked, drop_repeated=True)))
    tested = [path for _, fold in folds for path in fold.where_split("test").paths]
    assert sorted(tested) == sorted(copied.paths)
    for _, fold in folds:
        train, test = (
            {(tmp_path / path).read_bytes() for path in fold.where_split(part).paths}
            for part in ("train", "test")
        )
        assert not train & test
    with pytest.raises(InputError, match="folds is 6, which deals out all images anew"):
        ComparisonSettings(**asked, train_splits=("train",))
