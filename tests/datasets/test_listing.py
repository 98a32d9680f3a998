"""Finding a set on disk: roots, links, side tables, and paths that try to leave."""

import hashlib
import sys
from pathlib import Path

import numpy as np
import pytest
from scipy.io import savemat

from hueprobe.datasets import data_root, from_manifest
from hueprobe.datasets.listing import list_set
from hueprobe.datasets.mat_files import read_mat
from hueprobe.datasets.side_tables import join, read_side_table, read_stacks
from hueprobe.errors import HueprobeWarning, ImageError, ManifestError
from hueprobe.images import resolve_images
from tests.tiny_sets import manifest_of, rows_of, write_image


def side_table(**keys):
    return manifest_of(tables=[keys]).tables[0]


@pytest.mark.parametrize("below", ["", "shapes", "shapes/images"])
def test_a_root_may_be_anywhere_on_the_way_down(shapes, below):
    manifest, root = shapes
    rows = rows_of(from_manifest(manifest, root=root / below))
    assert len(rows) == 12
    assert rows["circle/circle_0.png"] == ("circle", "train", None)
    assert rows["square/square_3.png"] == ("square", "test", None)


def test_class_folders_alone_have_no_official_split(shapes, tmp_path):
    manifest, root = shapes
    (root / "shapes" / "images").rename(tmp_path / "copied")
    (tmp_path / "test.txt").write_text("circle/circle_0.png")  # a stranger that lies beside it
    with pytest.warns(
        HueprobeWarning, match=r"train.txt: no such file in .*and 1 more.*hueprobe data verify shapes"
    ):
        table = from_manifest(manifest, root=tmp_path / "copied")
    assert len(table) == 12 and set(table.splits) == {None}


def test_the_root_of_all_sets_comes_from_the_environment(shapes, monkeypatch, tmp_path):
    manifest, root = shapes
    monkeypatch.setenv("HUEPROBE_DATA", str(root))
    assert data_root() == root
    assert len(from_manifest(manifest)) == 12
    # There, the folder of all sets is not taken for the set's own.
    monkeypatch.setenv("HUEPROBE_DATA", str(root / "shapes" / "images"))
    with pytest.raises(
        ImageError, match=r"no images of 'shapes' at .*`hueprobe data show shapes` explains how to get it"
    ):
        from_manifest(manifest)
    monkeypatch.delenv("HUEPROBE_DATA")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    if sys.platform == "linux":
        assert data_root() == tmp_path / "hueprobe"
        monkeypatch.delenv("XDG_DATA_HOME")
        assert data_root() == Path.home() / ".local" / "share" / "hueprobe"


def test_a_manifest_of_ones_own_finds_images_beside_itself(shapes, monkeypatch, tmp_path):
    _, root = shapes
    monkeypatch.setenv("HUEPROBE_DATA", str(tmp_path / "none"))
    text = """
        title = "Shapes"
        licence = { name = "CC0", access = "open" }
        obtain = { way = "by hand", steps = ["draw them"] }
        layout = { kind = "class_folders", folder = "shapes", pictures = "images" }
        variants.lines.layout = { kind = "pattern", pattern = '(?P<class>line)/.+', others_allowed = true }
    """
    for file in (root / "mine.toml", root / "shapes" / "mine.toml"):
        file.write_text(text)
        assert len(resolve_images(file)) == 12
        assert len(resolve_images(str(file))) == 12
        assert len(resolve_images(f"{file}:lines")) == 4
    monkeypatch.chdir(root)
    assert len(resolve_images("mine.toml")) == 12
    (root / "shapes").rename(root / "other")  # its neighbors are not taken for it
    with pytest.raises(ImageError, match=r"no images of 'mine' at .*`hueprobe data show mine.toml`"):
        resolve_images("mine.toml")
    with pytest.raises(ManifestError, match="cannot read the manifest"):
        resolve_images("none.toml")


def test_what_exists_comes_before_a_manifest_of_its_name(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HUEPROBE_DATA", str(tmp_path / "sets"))
    write_image(tmp_path / "utkface" / "mine" / "a.png")
    write_image(tmp_path / "sets" / "UTKFace" / "3_1_0_2016.jpg")
    with pytest.warns(
        HueprobeWarning, match=r"'utkface' is both a path and a data manifest; .*'manifest:utkface'"
    ):
        assert resolve_images("utkface").classes == ("mine",)
    assert resolve_images("./utkface").classes == ("mine",)
    assert resolve_images("manifest:utkface").classes == ("female",)
    assert resolve_images("utkface:race").classes == ("White",)
    (tmp_path / "utkface").rename(tmp_path / "elsewhere")
    assert resolve_images("utkface").classes == ("female",)
    with pytest.raises(ManifestError, match="no data manifest 'utkfase'"):
        resolve_images("manifest:utkfase")
    with pytest.raises(ImageError, match=r"no images at 'utkfase'; give .*a data manifest's name"):
        resolve_images("utkfase")


def test_split_folders(tmp_path):
    for name in ("train/a/1.png", "test/a/2.png", "test/b/3.png"):
        write_image(tmp_path / name)
    rows = rows_of(from_manifest(manifest_of(layout={"kind": "split_folders"}), root=tmp_path))
    assert rows == {
        "train/a/1.png": ("a", "train", None),
        "test/a/2.png": ("a", "test", None),
        "test/b/3.png": ("b", "test", None),
    }


def test_groups_and_names(tmp_path):
    layout = {"kind": "pattern", "pattern": r"(?P<person>\w+?)_(?P<sex>[01])_\d\.png"}
    for name in ("ann_1_0", "ann_1_1", "bob_0_0"):
        write_image(tmp_path / f"{name}.png")
    more = {"class": {"column": "sex", "names": {"1": "female"}}, "group": {"column": "person"}}
    rows = rows_of(from_manifest(manifest_of(layout=layout, **more), root=tmp_path))
    assert rows == {
        "ann_1_0.png": ("female", None, "ann"),
        "ann_1_1.png": ("female", None, "ann"),
        "bob_0_0.png": ("0", None, "bob"),
    }


@pytest.mark.parametrize(
    "name", ["../secret.png", "/etc/passwd", "a/../../secret.png", "..\\secret.png", "C:/x.png"]
)
def test_a_list_cannot_name_an_image_outside(tmp_path, name):
    root = tmp_path / "set"
    write_image(root / "a" / "1.png")
    write_image(tmp_path / "secret.png")
    (root / "all.txt").write_text(f"a/1.png\n{name}\n")
    tables = [{"file": "all.txt", "columns": ["picture"], "set": {"class": "a"}}]
    for layout in ({"kind": "tables"}, {"kind": "class_folders"}):
        listing = list_set(manifest_of(layout=layout, tables=tables), root)
        assert [entry.path for entry in listing.entries] == ["a/1.png"]
        assert any(
            "which is not allowed" in problem and repr(name) in problem for problem in listing.problems
        )


def test_a_column_cannot_lead_a_path_outside(tmp_path):
    root = tmp_path / "set"
    write_image(root / "1.png")
    (root / "all.txt").write_text("1\n../secret\n")
    write_image(tmp_path / "secret.png")
    layout = {"kind": "tables", "picture": "{id}.png"}
    tables = [{"file": "all.txt", "columns": ["id"], "set": {"class": "a"}}]
    listing = list_set(manifest_of(layout=layout, tables=tables), root)
    assert [entry.path for entry in listing.entries] == ["1.png"]
    assert "'../secret.png', which is not allowed" in listing.problems[0]


def test_links_inside_are_followed_and_links_outside_are_not(tmp_path):
    root, secret = tmp_path / "set", tmp_path / "secret"
    write_image(root / "a" / "1.png")
    write_image(secret / "2.png")
    (root / "b").symlink_to(root / "a")
    (root / "out").symlink_to(secret)
    (root / "a" / "3.png").symlink_to(secret / "2.png")
    (root / "a" / "4.png").symlink_to("1.png")
    (root / "a" / "up").symlink_to(root)
    listing = list_set(manifest_of(), root)
    assert {entry.path for entry in listing.entries} == {"a/1.png", "a/4.png", "b/1.png", "b/4.png"}
    said = {
        problem.split(":")[0] for problem in listing.problems if "leads out of the set's folder" in problem
    }
    assert said == {"out", "a/3.png", "b/3.png"}


def test_the_way_to_the_set_may_be_a_link(tmp_path):
    write_image(tmp_path / "disk" / "shapes" / "a" / "1.png")
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "shapes").symlink_to(tmp_path / "disk" / "shapes")
    manifest = manifest_of(layout={"kind": "class_folders", "folder": "shapes"})
    assert len(from_manifest(manifest, root=tmp_path / "data")) == 1


def test_a_side_table_behind_a_link_to_outside_is_not_read(tmp_path):
    root = tmp_path / "set"
    write_image(root / "a" / "1.png")
    (tmp_path / "secret.txt").write_text("a/1.png\n")
    (root / "train.txt").symlink_to(tmp_path / "secret.txt")
    tables = [{"file": "train.txt", "columns": ["picture"], "set": {"split": "train"}}]
    with pytest.warns(HueprobeWarning, match="a link leads out"):
        assert from_manifest(manifest_of(tables=tables), root=root).splits == (None,)


def test_an_image_in_two_lists_keeps_the_first_and_is_told(shapes):
    manifest, root = shapes
    with (root / "shapes" / "test.txt").open("a") as file:
        file.write("circle/circle_0.png\n")
    listing = list_set(manifest, root)
    assert {entry.path: entry.split for entry in listing.entries}["circle/circle_0.png"] == "train"
    assert listing.problems == (
        "picture 'circle/circle_0.png' is listed twice, with split 'train' and 'test'",
    )


def test_classes_that_need_a_missing_list_are_an_error(tmp_path):
    write_image(tmp_path / "1.png")
    layout = {"kind": "pattern", "pattern": r"(?P<id>\d)\.png"}
    tables = [{"file": "labels.txt", "columns": ["id", "class"]}]
    with pytest.raises(
        ImageError, match=r"classes of 'shapes' cannot be determined: labels.txt: no such file"
    ):
        from_manifest(manifest_of(layout=layout, tables=tables), root=tmp_path)


def test_text_tables(tmp_path):
    (tmp_path / "a.txt").write_text("\ufeff# a comment\n\n1 Boeing 707  \n2\tF-16A/B\n")
    rows = read_side_table(
        side_table(file="a.txt", columns=["id", "name"], number="n", set={"split": "x"}), tmp_path
    )
    assert rows == [
        {"id": "1", "name": "Boeing 707", "n": "1", "split": "x"},
        {"id": "2", "name": "F-16A/B", "n": "2", "split": "x"},
    ]
    (tmp_path / "a.txt").write_text("1 x\n2\n")
    with pytest.raises(ImageError, match=r"^a.txt, line 2: 1 columns, expected 2: id, name$"):
        read_side_table(side_table(file="a.txt", columns=["id", "name"]), tmp_path)
    (tmp_path / "a.txt").write_bytes(b"\xff\xfe")
    with pytest.raises(ImageError, match=r"^a.txt: not UTF-8"):
        read_side_table(side_table(file="a.txt", columns=["id"]), tmp_path)


def test_csv_tables(tmp_path):
    (tmp_path / "a.csv").write_text('Subject,Gender,Age\n100307,F,"26-30"\n100408,,x\n')
    table = side_table(file="a.csv", columns={"subject": "Subject", "sex": "Gender"})
    assert read_side_table(table, tmp_path) == [
        {"subject": "100307", "sex": "F"},
        {"subject": "100408", "sex": ""},
    ]
    with pytest.raises(ImageError, match=r"^a.csv: no column 'Family_ID'; there are: Subject, Gender, Age$"):
        read_side_table(side_table(file="a.csv", columns={"family": "Family_ID"}), tmp_path)
    (tmp_path / "a.csv").write_text('Subject\n"1\n')
    with pytest.raises(ImageError, match=r"^a.csv: not valid CSV after line"):
        read_side_table(side_table(file="a.csv", columns={"subject": "Subject"}), tmp_path)


@pytest.mark.slow
def test_matlab_tables(tmp_path):
    savemat(
        tmp_path / "a.mat",
        {"ids": np.array([[3.0, 4.0]]), "w": np.array([["x"], ["y"], ["z"]], dtype=object)},
    )
    assert read_side_table(side_table(file="a.mat", columns={"id": "ids"}), tmp_path) == [
        {"id": "3"},
        {"id": "4"},
    ]
    for columns, said in (
        ({"id": "idz"}, r"a.mat: no variable 'idz'; there are: ids, w"),
        ({"id": "ids.x"}, r"a.mat: variable 'ids' has no field 'x'"),
        ({"id": "ids", "w": "w"}, r"a.mat: variables differ in length: \{'id': 2, 'w': 3\}"),
    ):
        with pytest.raises(ImageError, match=said):
            read_side_table(side_table(file="a.mat", columns=columns), tmp_path)
    (tmp_path / "a.mat").write_bytes(b"no matlab")
    with pytest.raises(ImageError, match=r"a.mat: not a MATLAB file that SciPy can read"):
        read_side_table(side_table(file="a.mat", columns={"id": "ids"}), tmp_path)


def test_joining_goes_from_table_to_table(tmp_path):
    (tmp_path / "a.txt").write_text("p1 7\np2 8\n")
    (tmp_path / "b.txt").write_text("7 cat\n")
    tables = manifest_of(
        tables=[
            {"file": "a.txt", "columns": ["picture", "id"]},
            {"file": "b.txt", "columns": ["id", "class"]},
        ]
    ).tables
    rows = [{"picture": "p1"}, {"picture": "p2", "class": "known"}, {"picture": "p3"}]
    join(rows, read_stacks(tables, tmp_path))
    assert rows == [
        {"picture": "p1", "id": "7", "class": "cat"},
        {"picture": "p2", "id": "8", "class": "known"},
        {"picture": "p3"},
    ]


def test_a_matlab_list_is_read_here_only_where_its_checksum_agrees(tmp_path, monkeypatch):
    file = tmp_path / "labels.mat"
    savemat(file, {"labels": [3.0, 1.5], "id": np.array(["a", "b"], object)})
    expected = {"labels": ["3", "1.5"], "id": ["a", "b"]}
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    assert read_mat(file, name="labels.mat") == expected  # by another process
    monkeypatch.setattr(sys, "executable", "")  # there is none
    assert read_mat(file, name="labels.mat", checksum=f"sha256:{digest}") == expected
    for checksum in (None, f"sha256:{'0' * 64}"):
        with pytest.raises(ImageError, match=r"labels\.mat: .*crashed"):
            read_mat(file, name="labels.mat", checksum=checksum)
    manifest = manifest_of(
        layout={"kind": "tables", "picture": "{id}.png"},
        tables=[{"file": "labels.mat", "columns": {"id": "id", "class": "labels"}}],
        checksums={"labels.mat": f"sha256:{digest}"},
    )
    for name in "ab":
        write_image(tmp_path / f"{name}.png")
    assert from_manifest(manifest, root=tmp_path).classes == ("1.5", "3")


def test_a_matlab_file_of_absurd_size_is_not_read(tmp_path):
    with (tmp_path / "x.mat").open("wb") as file:
        file.truncate(1 << 40)
    with pytest.raises(ImageError, match=r"x\.mat: 1,099,511,627,776 bytes; a list of images has at most"):
        read_mat(tmp_path / "x.mat", name="x.mat")
