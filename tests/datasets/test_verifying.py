"""Verification: a whole set passes, and each kind of damage is found and named."""

import json
import shutil

import numpy as np
import pytest
from PIL import Image
from torch.utils.data import Dataset

from hueprobe.datasets import verify_set, verify_table
from hueprobe.datasets.checks import KINDS
from hueprobe.errors import ImageError
from hueprobe.images import from_dataset
from tests.tiny_sets import manifest_of, write_image


def problems(manifest, root, **options):
    """Return {kind: [text, ...]}."""
    found = {}
    for problem in verify_set(manifest, root=root, **options).problems:
        assert problem.kind in KINDS
        found.setdefault(problem.kind, []).append(problem.text)
    return found


@pytest.mark.parametrize("workers", [1, 4])
def test_a_whole_set_passes(shapes, workers):
    manifest, root = shapes
    found = verify_set(manifest, root=root, workers=workers)
    assert found.ok and found.decoded and not found.notes
    assert (found.name, found.images, found.classes) == ("shapes", 12, 3)
    assert found.splits == {"test": 6, "train": 6}
    assert found.root == str((root / "shapes" / "images").resolve())
    document = json.loads(json.dumps(found.to_json(), allow_nan=False))
    assert document["ok"] is True and document["problems"] == []


def test_a_missing_class(shapes):
    manifest, root = shapes
    shutil.rmtree(root / "shapes" / "images" / "line")
    found = problems(manifest, root)
    assert found["class"] == ["1 classes are missing: 'line'"]
    assert found["count"] == [
        "counts.images: 8 found, 12 expected",
        "counts.classes: 2 found, 3 expected",
        "counts.splits.train: 4 found, 6 expected",
        "counts.splits.test: 4 found, 6 expected",
    ]
    assert found["missing"][0].startswith("4 listed images are missing: 'line/line_0.png'")


@pytest.mark.parametrize("name", ["line/extra.png", "line/notes.txt", "line/deep/extra.png", "extra.png"])
def test_an_extra_file(shapes, name):
    manifest, root = shapes
    write_image(root / "shapes" / "images" / name)
    found = problems(manifest, root)
    if name.count("/") and name.endswith("png"):  # an image of the class, one too many
        assert "counts.images: 13 found, 12 expected" in found["count"]
        assert "1 classes differ in size: 'line' has 5 images instead of 4" in found["count"]
    else:
        assert found == {"unexpected": [f"1 files do not belong there: {name!r}"]}


def test_bystanders_and_what_is_excluded_are_no_extra_files(shapes):
    manifest, root = shapes
    for name in ("README.md", "LICENSE", "Thumbs.db", ".DS_Store", "line/.hidden"):
        (root / "shapes" / "images" / name).write_text("x")
    assert verify_set(manifest, root=root).ok


@pytest.mark.parametrize("damage", [b"", b"no image", None])
def test_a_corrupt_image(shapes, damage):
    manifest, root = shapes
    file = root / "shapes" / "images" / "line" / "line_1.png"
    file.write_bytes(file.read_bytes()[:60] if damage is None else damage)
    (text,) = problems(manifest, root)["unreadable"]
    assert text.startswith("line/line_1.png cannot be read: ")
    assert verify_set(manifest, root=root, decode=False).ok  # only names are looked at
    assert not verify_set(manifest, root=root, decode=False).decoded


def test_the_same_image_in_two_splits(shapes):
    manifest, root = shapes
    images = root / "shapes" / "images"
    shutil.copy(images / "line" / "line_0.png", images / "line" / "line_3.png")
    found = verify_set(manifest, root=root)
    (problem,) = found.problems
    assert problem.kind == "two splits"
    assert problem.paths == ("line/line_0.png", "line/line_3.png")
    assert problem.text.endswith("line/line_0.png (train), line/line_3.png (test)")
    assert found.notes == ("1 images are duplicates, such as line/line_0.png = line/line_3.png",)


def test_doubles_within_a_split_are_noted_and_not_wrong(shapes):
    manifest, root = shapes
    images = root / "shapes" / "images"
    shutil.copy(images / "line" / "line_0.png", images / "circle" / "circle_1.png")
    found = verify_set(manifest, root=root)
    assert found.ok
    assert (
        found.notes[1] == "1 images are in more than one class, such as circle/circle_1.png = line/line_0.png"
    )


def test_a_renamed_class(shapes):
    manifest, root = shapes
    (root / "shapes" / "images" / "line").rename(root / "shapes" / "images" / "stroke")
    found = problems(manifest, root)
    assert found["class"] == ["class 'line' is missing and 'stroke' is unknown: renamed?"]
    assert found["missing"][0].startswith("4 listed images are missing")


def test_an_image_moved_to_another_class(shapes):
    manifest, root = shapes
    images = root / "shapes" / "images"
    (images / "line" / "line_0.png").rename(images / "square" / "line_0.png")
    found = problems(manifest, root)
    text = "2 classes differ in size: 'circle'"
    assert text not in str(found)
    assert "'line' has 3 images instead of 4, 'square' has 5 images instead of 4" in str(found["count"])
    assert found["missing"] == ["1 listed images are missing: 'line/line_0.png'"]


def test_an_image_listed_in_two_splits(shapes):
    manifest, root = shapes
    with (root / "shapes" / "test.txt").open("a") as file:
        file.write("line/line_0.png\n")
    assert problems(manifest, root) == {
        "list": ["picture 'line/line_0.png' is listed twice, with split 'train' and 'test'"]
    }


def test_no_official_split_at_all_is_one_problem(shapes):
    manifest, root = shapes
    for name in ("train.txt", "test.txt"):
        (root / "shapes" / name).unlink()
    found = problems(manifest, root)
    assert len(found["list"]) == 2
    assert found["count"] == ["no official split could be read; expected: train 6, test 6"]


def test_checksums(shapes):
    _, root = shapes
    import hashlib

    digest = hashlib.sha256((root / "shapes" / "train.txt").read_bytes()).hexdigest()
    layout = {"kind": "class_folders", "folder": "shapes", "pictures": "images"}

    def found(**checksums):
        return problems(manifest_of(layout=layout, checksums=checksums), root)

    assert found(**{"train.txt": f"sha256:{digest}"}) == {}
    assert found(**{"train.txt": "md5:" + "0" * 32})["checksum"][0].startswith("train.txt has md5 ")
    assert found(**{"none.txt": "md5:" + "0" * 32})["missing"] == [
        "none.txt is missing; the manifest has its md5"
    ]


def test_groups_in_two_splits(tmp_path):
    layout = {"kind": "pattern", "pattern": r"(?P<split>train|test)/(?P<class>\w)_(?P<group>\w+)_\d\.png"}
    for name in ("train/a_ann_0.png", "test/a_ann_1.png", "train/b_bob_0.png"):
        write_image(tmp_path / name)
    assert problems(manifest_of(layout=layout), tmp_path) == {
        "group": ["1 groups are in more than one split: 'ann'"]
    }


def test_images_without_a_class_and_splits_nobody_knows(tmp_path):
    layout = {"kind": "pattern", "pattern": r"(?P<split>\w+)/((?P<class>[a-z])_)?\d\.png"}
    for name in ("train/a_0.png", "train/1.png", "dev/b_2.png"):
        write_image(tmp_path / name)
    manifest = manifest_of(layout=layout, counts={"splits": {"train": 2}})
    found = problems(manifest, tmp_path)
    assert found == {
        "class": ["1 images have no class: 'train/1.png'"],
        "count": ["splits that are not in the manifest: 'dev'"],
    }


def test_what_the_manifest_doubts_says_so(shapes):
    _, root = shapes
    layout = {"kind": "class_folders", "folder": "shapes", "pictures": "images"}
    manifest = manifest_of(layout=layout, counts={"images": 13, "each_class": 5}, unverified=["counts"])
    texts = problems(manifest, root)["count"]
    assert len(texts) == 2
    assert all(text.endswith("(the manifest marks its number as unverified)") for text in texts)


def test_nothing_there(tmp_path):
    with pytest.raises(ImageError, match="no images of 'shapes'"):
        verify_set(manifest_of(), root=tmp_path)


class Digits(Dataset):
    """Items of one color each."""

    classes = ("0", "1")

    def __init__(self, colors):
        self.colors = colors
        self.targets = [i % 2 for i in range(len(colors))]

    def __len__(self):
        return len(self.colors)

    def __getitem__(self, i):
        return Image.fromarray(np.full((3, 3), self.colors[i], np.uint8)), self.targets[i]


def test_datasets_are_verified_as_well():
    from dataclasses import replace

    table = replace(from_dataset(Digits([1, 2, 3, 1])), splits=("train", "train", "test", "test"))
    manifest = manifest_of(counts={"images": 4, "classes": 2, "splits": {"train": 2, "test": 2}})
    found = verify_table(manifest, table)
    assert [problem.kind for problem in found.problems] == ["two splits"]
    assert found.problems[0].paths == ("item-0000000", "item-0000003") and found.root == ""
