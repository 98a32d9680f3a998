"""Every manifest that hueprobe ships: it parses, torchvision takes its calls, the documents know its keys."""

import re
from pathlib import Path
from typing import get_args

import pytest
import torchvision
from msgspec.structs import fields

from hueprobe.datasets import load_manifest, manifest_names, origin, schema
from hueprobe.datasets.library import _folder, is_manifest
from hueprobe.datasets.manifest import Document
from hueprobe.datasets.parsing import VARIANT_KEYS
from hueprobe.datasets.torchvision_sets import takes_argument
from hueprobe.errors import ManifestError

WANTED = {
    "caltech101", "dtd", "stanford_dogs", "utkface", "hcp", "cub200_2010", "cub200_2011", "flowers102",
    "flowers17", "oxford_pets", "indoor67", "fgvc_aircraft", "stanford_cars", "imagenet1k", "cifar10",
    "cifar100", "mnist",
}  # fmt: skip
ALL = [
    f"{name}:{variant}" if variant else name
    for name in manifest_names()
    for variant in (None, *load_manifest(name).variants)
]


def test_every_set_of_the_paper_has_one():
    assert set(manifest_names()) >= WANTED


@pytest.mark.parametrize("spec", ALL)
def test_each_parses_and_says_what_a_reader_needs(spec):
    manifest = load_manifest(spec)
    assert manifest.name == spec and manifest.shipped
    assert manifest.citation and manifest.homepage and manifest.task and manifest.year
    assert manifest.checked_against
    # What a person can do when nothing can be fetched.
    assert manifest.obtain.steps or manifest.obtain.files
    if manifest.obtain.way == "torchvision":
        assert manifest.obtain.steps
    if manifest.counts.images is None:
        assert "counts" in manifest.unverified


@pytest.mark.parametrize("spec", [spec for spec in ALL if load_manifest(spec).torchvision])
def test_torchvision_has_the_class_and_takes_the_arguments(spec):
    manifest = load_manifest(spec)
    described = manifest.torchvision
    cls = getattr(torchvision.datasets, described.name)
    arguments = {name for call in described.calls.values() for name in call}
    if manifest.obtain.way == "torchvision":
        arguments |= {"root", "download"}
    assert [name for name in arguments if not takes_argument(cls, name)] == []
    assert not takes_argument(cls, "no_such_argument")


def test_the_numbers_of_the_issue():
    counts = {name: load_manifest(name).counts for name in manifest_names()}
    assert (counts["caltech101"].images, counts["caltech101"].classes) == (8677, 101)
    assert "BACKGROUND_Google" not in counts["caltech101"].per_class
    assert {counts[name].classes for name in ("cub200_2010", "cub200_2011")} == {200}
    assert sum(counts["cifar10"].splits.values()) == counts["cifar10"].images == 60000


def test_no_shipped_manifest_names_a_folder_of_somebodys_machine():
    for name in manifest_names():
        text = (_folder() / f"{name}.toml").read_text()
        assert not re.search(r"/(home|root|Users|mnt|tmp)/", text), name


PARTS = (
    Document, origin.License, origin.Obtain, origin.Download, origin.TorchvisionClass, schema.Layout,
    schema.SideTable, schema.Fact, schema.Counts, schema.Slices,
)  # fmt: skip


@pytest.mark.parametrize("part", PARTS)
def test_the_readme_explains_every_key(part):
    text = (_folder() / "README.md").read_text()
    for field in fields(part):
        assert f"`{field.encode_name}`" in text, f"{part.__name__}.{field.name}"


def test_the_readme_lists_every_choice_and_variant_key():
    text = (_folder() / "README.md").read_text()
    kinds = (schema.Kind, origin.Way, origin.Access, schema.Plane, schema.Format)
    for choice in (*(choice for kind in kinds for choice in get_args(kind)), *VARIANT_KEYS):
        assert f"`{choice}`" in text, choice


def test_the_readmes_examples_are_valid(tmp_path):
    text = (_folder() / "README.md").read_text()
    examples = re.findall(r"```toml\n(.*?)```", text, re.S)
    whole = [example for example in examples if example.startswith("title")]
    assert whole
    for i, example in enumerate(whole):
        (tmp_path / f"e{i}.toml").write_text(example)
        load_manifest(tmp_path / f"e{i}.toml")


def test_names_and_files():
    assert (
        is_manifest("dtd")
        and is_manifest("dtd:2")
        and is_manifest("mine.toml")
        and is_manifest("a/mine.toml:v")
    )
    assert not is_manifest("dtd/") and not is_manifest("pictures")
    with pytest.raises(
        ManifestError, match=r"no data manifest 'dtdd'; nearest names: 'dtd'.*hueprobe data list"
    ):
        load_manifest("dtdd")
    with pytest.raises(ManifestError, match=r"'dtd' has no variant '11'; choose one of: 2, 3"):
        load_manifest("dtd:11")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"title = ", "is not valid TOML: "),
        (b"title = '\xff'", "is not UTF-8"),
        (b"title = 'x'\n", "licence.name: is missing"),
    ],
)
def test_files_that_are_no_manifests(tmp_path, content, said):
    file = tmp_path / "mine.toml"
    file.write_bytes(content)
    with pytest.raises(ManifestError, match=said):
        load_manifest(file)
    with pytest.raises(ManifestError, match="cannot read the manifest"):
        load_manifest(str(Path(tmp_path) / "none.toml"))
