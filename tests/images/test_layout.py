"""Folders named as splits: what is recognized, and what is asked."""

import warnings

import pytest

from hueprobe.errors import HueprobeWarning, ImageError
from hueprobe.images import from_folder, resolve_images, save_table


@pytest.fixture
def folder(tmp_path, write_image):
    """Make a folder with images of these names, and give its path."""

    def make(*names):
        for name in names:
            write_image(f"set/{name}")
        return tmp_path / "set"

    return make


def rows(table):
    return sorted(zip(table.paths, table.classes, table.splits, strict=True))


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("train", "test"),
        ("training", "validation"),
        ("Train", "VAL"),
        ("TRAINING", "Testing"),
        ("valid", "test"),
    ],
)
def test_splits_over_classes_are_recognized(folder, first, second):
    root = folder(f"{first}/cat/1.png", f"{first}/dog/deep/2.png", f"{second}/cat/3.png")
    with pytest.warns(HueprobeWarning, match="taken for splits, those in them for classes") as caught:
        table = from_folder(root)
    assert rows(table) == sorted(
        [
            (f"{first}/cat/1.png", "cat", first),
            (f"{first}/dog/deep/2.png", "dog", first),
            (f"{second}/cat/3.png", "cat", second),
        ]
    )
    assert table.class_names == ("cat", "dog") and len(table.where_split(second)) == 1
    (warning,) = caught
    assert f"classes:{root}" in str(warning.message) and "splits=False" in str(warning.message)
    assert warning.filename == __file__


def test_one_split_alone_is_a_split(folder):
    root = folder("train/cat/1.png", "train/dog/1.png")
    with pytest.warns(HueprobeWarning, match="'train' .*for splits"):
        table = from_folder(root)
    assert table.class_names == ("cat", "dog") and set(table.splits) == {"train"}


def test_splits_of_images_without_classes(folder):
    root = folder("train/1.png", "test/2.png")
    with pytest.warns(HueprobeWarning, match="for splits of images without classes"):
        table = from_folder(root)
    assert rows(table) == [("test/2.png", None, "test"), ("train/1.png", None, "train")]


def test_classes_over_splits(folder):
    root = folder("cat/train/1.png", "cat/test/2.png", "dog/train/3.png", "dog/test/x/4.png")
    with pytest.warns(HueprobeWarning, match="in the class folders of .* are taken for splits"):
        table = from_folder(root)
    assert rows(table) == [
        ("cat/test/2.png", "cat", "test"),
        ("cat/train/1.png", "cat", "train"),
        ("dog/test/x/4.png", "dog", "test"),
        ("dog/train/3.png", "dog", "train"),
    ]


@pytest.mark.parametrize(
    "names",
    [
        ("train/1.png", "bus/2.png", "car/3.png"),
        ("train/cat/1.png", "test/cat/2.png", "extra/cat/3.png"),
        ("train/cat/1.png", "test/2.png"),
        ("train/cat/1.png", "train/2.png"),
        ("cat/train/1.png", "cat/test/2.png", "dog/3.png"),
        ("cat/train/1.png", "cat/test/2.png", "cat/3.png"),
        ("cat/train/1.png", "cat/val/2.png", "cat/others/3.png"),
    ],
)
def test_what_the_names_do_not_tell_is_asked(folder, names):
    root = folder(*names)
    with pytest.raises(ImageError, match="named as splits") as caught:
        from_folder(root)
    for way in (f"splits:{root}", f"classes:{root}", "splits=True", "splits=False", "CSV", "rename"):
        assert way in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_user_may_say_that_the_folders_are_classes(folder):
    root = folder("train/1.png", "bus/2.png", "car/deep/3.png")
    for table in (from_folder(root, splits=False), resolve_images(f"classes:{root}")):
        assert rows(table) == [
            ("bus/2.png", "bus", None), ("car/deep/3.png", "car", None), ("train/1.png", "train", None)
        ]  # fmt: skip


def test_the_user_may_say_that_the_folders_are_splits(folder, tmp_path, write_image):
    root = folder("fold1/cat/1.png", "fold2/cat/2.png", "fold2/3.png")
    for table in (from_folder(root, splits=True), resolve_images(f"splits:{root}")):
        assert rows(table) == [
            ("fold1/cat/1.png", "cat", "fold1"),
            ("fold2/3.png", None, "fold2"),
            ("fold2/cat/2.png", "cat", "fold2"),
        ]
    save_table(table, root / "t.csv")
    assert rows(resolve_images(root / "t.csv")) == rows(table)


def test_a_path_that_begins_like_the_prefix_is_a_path(tmp_path, write_image, monkeypatch):
    write_image("classes:set/train/1.png")
    write_image("classes:set/bus/1.png")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ImageError, match="named as splits"):
        resolve_images("classes:set")
    assert resolve_images("classes:classes:set").class_names == ("bus", "train")


@pytest.mark.parametrize(
    "names",
    [
        ("trains/1.png", "testers/1.png"),
        ("vehicles/train/1.png", "vehicles/bus/2.png", "animals/cat/3.png"),
        ("a/1.png", "b/1.png"),
    ],
)
def test_other_folders_are_classes_without_a_word(folder, names):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        table = from_folder(folder(*names))
    assert table.classes == tuple(sorted(name.split("/")[0] for name in names))
    assert set(table.splits) == {None}


def test_empty_folders_of_splits_are_named(folder):
    root = folder("train/cat/1.png", "test/cat/2.png")
    for name in ("val", "train/dog", "test/dog"):
        (root / name).mkdir()
    with pytest.warns(HueprobeWarning) as caught:
        table = from_folder(root)
    said = " | ".join(str(warning.message) for warning in caught)
    assert "no image in split 'val'" in said and "no image in class 'dog'" in said
    assert table.class_names == ("cat",)
