"""Verification of real sets, whole and damaged: Caltech 101, Flowers-17, ten classes of DTD, CIFAR-10."""

import io
import shutil
import tarfile
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image
from torch.utils.data import ConcatDataset, Dataset

from hueprobe.datasets import from_manifest, load_manifest, verify_set, verify_table
from hueprobe.images import draw_shots, from_dataset
from hueprobe.images.table import from_items

pytestmark = [pytest.mark.realdata, pytest.mark.slow]


def unpacked(shared, tmp_path_factory, name):
    folder = tmp_path_factory.mktemp("real") / name
    with tarfile.open(shared / "data" / "train" / f"{name}.tar") as tar:
        tar.extraction_filter = getattr(tarfile, "data_filter", None)  # not in every 3.11
        tar.extractall(folder)
    return folder


@pytest.fixture(scope="module")
def caltech(shared, tmp_path_factory):
    return unpacked(shared, tmp_path_factory, "caltech101_112")


@pytest.fixture
def few_caltech(caltech, tmp_path):
    """Five classes of Caltech 101 and a manifest that knows just these."""
    names = ("ant", "bass", "binocular", "cannon", "crab")
    for name in names:
        shutil.copytree(caltech / name, tmp_path / "few" / name)
    file = tmp_path / "few.toml"
    per_class = ", ".join(f"{name} = {load_manifest('caltech101').counts.per_class[name]}" for name in names)
    file.write_text(
        'title = "Five classes of Caltech 101"\n'
        'licence = { name = "as the whole", access = "open" }\n'
        'obtain = { way = "by hand", steps = ["copy them"] }\n'
        "layout = { kind = \"pattern\", pattern = '(?P<class>[^/]+)/image_\\d{4}\\.jpg' }\n"
        f"counts = {{ per_class = {{ {per_class} }} }}\n"
    )
    return load_manifest(file), tmp_path / "few"


def kinds(manifest, root):
    return {problem.kind for problem in verify_set(manifest, root=root).problems}


def test_all_of_caltech_101_is_what_the_manifest_says(caltech):
    found = verify_set("caltech101", root=caltech, workers=2)
    assert found.problems == ()
    assert (found.images, found.classes) == (8677, 101)


def test_five_kinds_of_damage_are_found(few_caltech):
    manifest, root = few_caltech
    assert kinds(manifest, root) == set()
    (root / "ant").rename(root.parent / "ant")
    assert "1 classes are missing: 'ant'" in str(verify_set(manifest, root=root).problems)
    (root.parent / "ant").rename(root / "emmet")
    assert "class 'ant' is missing and 'emmet' is unknown: renamed?" in str(
        verify_set(manifest, root=root).problems
    )
    (root / "emmet").rename(root / "ant")
    shutil.copy(root / "bass" / "image_0001.jpg", root / "bass" / "copy.jpg")
    assert kinds(manifest, root) == {"unexpected"}
    (root / "bass" / "copy.jpg").unlink()
    image = root / "crab" / "image_0002.jpg"
    image.write_bytes(image.read_bytes()[:-500])
    assert kinds(manifest, root) == {"unreadable"}


def test_an_image_in_two_splits_is_found(few_caltech):
    manifest, root = few_caltech
    table = draw_shots(from_manifest(manifest, root=root), shots=10, seed=0)
    assert verify_table(manifest, table).ok
    train = table.where_split("train").file(0)
    test = table.where_split("test").file(0)
    shutil.copy(train, test)
    (problem,) = verify_table(manifest, table).problems
    assert problem.kind == "two splits"


def test_flowers_17_agrees_but_for_the_lists_that_are_not_there(shared, tmp_path_factory):
    root = unpacked(shared, tmp_path_factory, "flowers17_160")
    found = verify_set("flowers17", root=root)
    assert (found.images, found.classes) == (1360, 17)
    assert [(problem.kind, problem.text.split(" in ")[0]) for problem in found.problems] == [
        ("list", "datasplits.mat: no such file"),
        ("missing", "datasplits.mat is missing; the manifest has its md5"),
        ("count", "no official split could be read; expected: train 680, val 340, test 340"),
    ]


def test_ten_classes_of_dtd_lack_thirty_seven(shared, tmp_path_factory):
    found = verify_set("dtd", root=unpacked(shared, tmp_path_factory, "dtd10_160"))
    texts = [problem.text for problem in found.problems if problem.kind in ("count", "class")]
    assert texts[0].startswith("no official split could be read")
    assert texts[1] == "counts.images: 1,200 found, 5,640 expected"
    assert texts[2] == "counts.classes: 10 found, 47 expected"
    assert texts[3].startswith("37 classes are missing: 'dotted'") and len(texts) == 4


class Jpegs(Dataset):
    """A part of the CIFAR-10 copy, decoded when asked for."""

    def __init__(self, archive, part):
        self.data, self.offset = archive[f"{part}_jpeg"], archive[f"{part}_offset"]
        self.targets = archive[f"{part}_label"].tolist()
        self.classes = [str(name) for name in archive["classes"]]

    def __len__(self):
        return len(self.targets)

    def __getitem__(self, i):
        data = self.data[self.offset[i] : self.offset[i + 1]].tobytes()
        return Image.open(io.BytesIO(data)), self.targets[i]


def test_cifar_10_is_what_the_manifest_says(shared):
    archive = np.load(shared / "data" / "train" / "cifar10_jpeg" / "cifar10_jpeg.npz", allow_pickle=False)
    parts = {part: Jpegs(archive, part) for part in ("train", "test")}
    classes = [name for part in parts.values() for name in from_dataset(part).classes]
    splits = tuple(name for name, part in parts.items() for _ in range(len(part)))
    table = replace(from_items(ConcatDataset(parts.values()), classes), splits=splits)
    found = verify_table(load_manifest("cifar10"), table, workers=2)
    assert found.problems == ()
    assert (found.images, found.classes, found.splits) == (60000, 10, {"test": 10000, "train": 50000})
