"""Lists and manifests that spell names in another Unicode form than the disk does."""

import unicodedata

import pytest

from hueprobe.datasets import from_manifest, verify_set
from hueprobe.errors import HueprobeWarning
from hueprobe.images import from_table, save_table
from tests.tiny_sets import manifest_of, write_image

NFC, NFD = (unicodedata.normalize(form, "café") for form in ("NFC", "NFD"))


@pytest.mark.parametrize(("on_disk", "listed"), [(NFD, NFC), (NFC, NFD)])
@pytest.mark.parametrize("layout", [{"kind": "class_folders"}, {"kind": "tables"}])
def test_a_list_in_the_other_form_names_the_same_files(tmp_path, on_disk, listed, layout):
    for name in (on_disk, "tea"):
        write_image(tmp_path / name / f"{on_disk}.png")
    if (tmp_path / listed).exists():
        pytest.skip("this file system normalizes names")
    (tmp_path / "train.txt").write_text(f"{listed}/{listed}.png\ntea/{listed}.png\n", encoding="utf-8")
    tables = [{"file": "train.txt", "columns": ["picture"], "set": {"split": "train", "class": NFC}}]
    manifest = manifest_of(layout=layout, tables=tables, counts={"images": 2, "splits": {"train": 2}})
    if layout["kind"] == "class_folders" and on_disk == NFD:
        with pytest.warns(HueprobeWarning, match="one form"):
            table = from_manifest(manifest, root=tmp_path)
    else:
        table = from_manifest(manifest, root=tmp_path)
    assert set(table.splits) == {"train"} and min(table.sizes) > 0
    assert all(table.file(i).is_file() for i in range(2)) and len(table) == 2


@pytest.mark.parametrize(("folder", "known"), [(NFD, NFC), (NFC, NFD), ("tea ", "tea"), ("tea", " tea")])
def test_the_classes_of_a_manifest_in_another_form(tmp_path, folder, known):
    write_image(tmp_path / folder / "1.png")
    counts = {"images": 1, "classes": 1, "per_class": {known: 1}}
    manifest = manifest_of(counts=counts)
    normal = unicodedata.normalize("NFC", folder).strip()
    if normal == folder:
        found = verify_set(manifest, root=tmp_path)
    else:
        with pytest.warns(HueprobeWarning, match="one form"):
            found = verify_set(manifest, root=tmp_path)
    assert [problem.text for problem in found.problems] == []


def test_a_saved_table_of_a_manifest_finds_images_in_the_other_form(tmp_path):
    write_image(tmp_path / "set" / "tea" / f"{NFD}.png")
    (tmp_path / "mine.toml").write_text(
        'title = "T"\nauthors = ["A"]\ntask = "t"\nlicence = { name = "CC0", access = "open" }\n'
        'obtain = { way = "by hand", steps = ["x"] }\nlayout = { kind = "class_folders", folder = "set" }\n'
    )
    table = from_manifest(tmp_path / "mine.toml")
    save_table(table, tmp_path / "t.csv", manifest=str(tmp_path / "mine.toml"))
    text = (tmp_path / "t.csv").read_text(encoding="utf-8")
    (tmp_path / "t.csv").write_text(unicodedata.normalize("NFC", text), encoding="utf-8")
    assert from_table(tmp_path / "t.csv").paths == table.paths
