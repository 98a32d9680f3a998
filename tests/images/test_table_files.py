"""Tables of images in CSV and Parquet files."""

import csv
import os
import unicodedata
from dataclasses import replace

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hueprobe.errors import HueprobeWarning, ImageError, InputError, StorageError
from hueprobe.images import ImageTable, from_folder, from_table, save_table
from hueprobe.images.paths import normal_path, posix_relative
from hueprobe.images.trust import outside_of

# Whatever Unicode allows; a NUL fits in no file name.
TEXT = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=8)
LABEL = TEXT.map(lambda text: unicodedata.normalize("NFC", text).strip()).filter(bool)
NAME = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0/"), min_size=1, max_size=8)
PATH = st.lists(NAME.filter(lambda n: n not in (".", "..")), min_size=1, max_size=3).map("/".join)


@pytest.mark.parametrize("ending", [".csv", ".parquet"])
@given(data=st.data())
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_what_is_saved_is_read_again(ending, data, tmp_path, monkeypatch):
    monkeypatch.setattr("hueprobe.images.table_files.file_size", lambda file: len(os.fsencode(file)))
    paths = data.draw(st.lists(PATH, min_size=1, max_size=6, unique=True))
    n = len(paths)
    classes, groups, splits = (
        tuple(data.draw(st.lists(st.none() | LABEL, min_size=n, max_size=n))) for _ in range(3)
    )
    roots = (str(tmp_path / "sub"),) * n
    sizes = tuple(len(os.fsencode(os.path.join(roots[0], path))) for path in paths)
    table = ImageTable(tuple(paths), roots, classes, splits, groups, sizes)
    save_table(table, tmp_path / f"t{ending}")
    again = from_table(tmp_path / f"t{ending}")
    assert [again.file(i) for i in range(n)] == [table.file(i) for i in range(n)]
    assert replace(again, paths=table.paths, roots=table.roots) == table
    assert again.paths == tuple(f"sub/{path}" for path in paths)


@pytest.mark.parametrize("name", ["t.csv", "T.CSV", "t.parquet"])
def test_columns_and_order(tmp_path, write_image, name):
    for path in ("b/2.png", "a/1.png"):
        write_image(path)
    table = from_folder(tmp_path)
    table = replace(table, splits=("train", None), groups=(None, "g")).select([1, 0])
    save_table(table, tmp_path / name)
    again = from_table(tmp_path / name)
    assert again == table
    assert again.paths == ("b/2.png", "a/1.png")
    if name.lower() == "t.csv":
        assert (tmp_path / name).read_bytes() == b"path,class,group,split\nb/2.png,b,g,\na/1.png,a,,train\n"
    else:
        assert pq.read_table(tmp_path / name).to_pydict() == {
            "path": ["b/2.png", "a/1.png"],
            "class": ["b", "a"],
            "group": ["g", None],
            "split": [None, "train"],
        }


def test_images_elsewhere_are_saved_with_absolute_paths(tmp_path, write_image):
    files = [write_image(f"set/{name}/1.png") for name in "ab"]
    (tmp_path / "tables").mkdir()
    table = from_folder(tmp_path / "set")
    save_table(table, tmp_path / "tables" / "t.csv")
    with open(tmp_path / "tables" / "t.csv", encoding="utf-8", newline="") as file:
        assert [row["path"] for row in csv.DictReader(file)] == [str(file) for file in files]
    assert outside_of(table, tmp_path / "tables" / "t.csv") == str(tmp_path / "set")
    assert outside_of(table, tmp_path / "t.csv") is None
    assert from_table(tmp_path / "tables" / "t.csv") == table


def test_paths_are_relative_to_the_file_and_may_lead_anywhere(tmp_path, write_image, monkeypatch):
    write_image("set/1.png")
    absolute = write_image("other/2.png")
    (tmp_path / "tables").mkdir()
    (tmp_path / "tables" / "t.csv").write_text(f"path,class\n../set/1.png,a\n{absolute},b\n")
    monkeypatch.chdir("/")
    table = from_table(tmp_path / "tables" / "t.csv")
    assert table.paths == ("../set/1.png", "2.png")
    assert table.roots == (str(tmp_path / "tables"), str(tmp_path / "other"))
    assert all(table.file(i).is_file() for i in range(2))


def test_a_link_to_a_table_stands_for_it(tmp_path, write_image):
    write_image("set/1.png")
    (tmp_path / "set" / "t.csv").write_text("path,class\n1.png,a\n")
    (tmp_path / "t.csv").symlink_to(tmp_path / "set" / "t.csv")
    assert from_table(tmp_path / "t.csv") == from_table(tmp_path / "set" / "t.csv")
    beside = write_image("1.png")
    assert from_table(tmp_path / "t.csv").file(0) == beside


def test_a_missing_image_keeps_its_row(tmp_path, write_image):
    write_image("1.png")
    (tmp_path / "t.csv").write_text("path,class\ngone.png,a\n1.png,a\n")
    table = from_table(tmp_path / "t.csv")
    assert table.paths == ("gone.png", "1.png")
    assert table.sizes == (-1, (tmp_path / "1.png").stat().st_size)
    (tmp_path / "t.csv").write_text("path,class\ngone.png,a\nlost.png,a\n")
    with pytest.raises(ImageError, match=r"none of the 2 images .* the first is '.*gone.png'"):
        from_table(tmp_path / "t.csv")


def test_spreadsheet_csv(tmp_path, write_image):
    write_image("é, 1.png")
    text = '\ufeffclass,path\r\n"say ""a""","é, 1.png"\r\n\r\n'
    (tmp_path / "t.csv").write_bytes(text.encode())
    table = from_table(tmp_path / "t.csv")
    assert (table.paths, table.classes) == (("é, 1.png",), ('say "a"',))


def test_parquet_of_numbers_and_categories(tmp_path, write_image):
    write_image("1.png")
    columns = {
        "path": pa.array(["1.png"]).dictionary_encode(),
        "class": pa.array([7]),
        "split": pa.array([None], pa.null()),
        "group": pa.array([""]),
    }
    pq.write_table(pa.table(columns), tmp_path / "t.parquet")
    table = from_table(tmp_path / "t.parquet")
    assert (table.classes, table.splits, table.groups) == (("7",), (None,), (None,))


@pytest.mark.parametrize("ending", [".csv", ".parquet"])
def test_unknown_columns_are_named(tmp_path, write_image, ending):
    write_image("1.png")
    if ending == ".csv":
        (tmp_path / "t.csv").write_text("path,class,age,mood\n1.png,a,7,good\n")
    else:
        pq.write_table(
            pa.table({"path": ["1.png"], "class": ["a"], "age": [7], "mood": [1]}), tmp_path / "t.parquet"
        )
    with pytest.warns(HueprobeWarning, match="unknown columns of .* are ignored: age, mood") as caught:
        assert from_table(tmp_path / f"t{ending}").classes == ("a",)
    assert caught[0].filename == __file__


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "has no column 'path', 'class', only none"),
        ("file,class\n1.png,a\n", "has no column 'path', only file, class; path and class are required"),
        ("path\n1.png\n", "has no column 'class', only path"),
        ("path,class,class\n1.png,a,b\n", "has column 'class' twice"),
        ("path,class\n", "lists no images"),
        ("path,class\n1.png,a\n,b\n", "line 3: the path is empty"),
        ("path,class\n1.png,a\n2.png,a\n./1.png,b\n", "line 4: './1.png' was already listed in line 2"),
        ('path,class\n1.png,"a\nb"\n1.png,b\n', "line 4: '1.png' was already listed in line 3"),
        ("path,class\n1.png,a,b\n", "line 2: 3 cells under 2 columns; quote a comma"),
        ("path,class\n1.png\n", "line 2: 1 cells under 2 columns"),
        ('path,class\n1.png,"a" b\n', "not valid CSV after line 0"),
        ('path,class\n1.png,a\n2.png,"a\n', "not valid CSV after line 2"),
    ],
)
def test_broken_csv(tmp_path, write_image, text, said):
    write_image("1.png")
    (tmp_path / "t.csv").write_text(text)
    with pytest.raises(ImageError, match=said) as caught:
        from_table(tmp_path / "t.csv")
    assert "\n" not in str(caught.value) and "t.csv" in str(caught.value)


def test_broken_parquet(tmp_path, write_image):
    write_image("1.png")
    path = tmp_path / "t.parquet"
    pq.write_table(pa.table({"path": ["1.png", None], "class": ["a", "b"]}), path)
    with pytest.raises(ImageError, match="row 2: the path is empty"):
        from_table(path)
    pq.write_table(pa.table({"file": ["1.png"], "class": ["a"]}), path)
    with pytest.raises(ImageError, match="has no column 'path'"):
        from_table(path)
    pq.write_table(pa.table({"path": ["1.png"], "class": [["a", "b"]]}), path)
    with pytest.raises(ImageError, match="not a readable Parquet table"):
        from_table(path)
    path.write_bytes(b"no parquet")
    with pytest.raises(ImageError, match="not a readable Parquet table") as caught:
        from_table(path)
    assert "\n" not in str(caught.value)


def test_parquet_below_a_folder_that_looks_like_a_partition(tmp_path, write_image):
    write_image("split=train/1.png")
    path = tmp_path / "split=train" / "t.parquet"
    pq.write_table(pa.table({"path": ["1.png"], "class": ["a"], "split": ["memory"]}), path)
    assert from_table(path).splits == ("memory",)


def test_not_utf8(tmp_path):
    (tmp_path / "t.csv").write_bytes("path,class\né.png,a\n".encode("latin-1"))
    with pytest.raises(ImageError, match=r"t.csv' is not UTF-8 .*; save it as UTF-8"):
        from_table(tmp_path / "t.csv")


def test_files_that_are_no_tables(tmp_path):
    with pytest.raises(ImageError, match=r"no table '.*gone.csv'"):
        from_table(tmp_path / "gone.csv")
    with pytest.raises(ImageError, match=r"must end in one of: .csv .parquet"):
        from_table(tmp_path / "t.xlsx")


def test_a_nul_in_a_path_is_a_missing_image(tmp_path, write_image):
    write_image("1.png")
    (tmp_path / "t.csv").write_bytes(b"path,class\n1.png,a\n\0.png,a\n")
    assert from_table(tmp_path / "t.csv").sizes[1] == -1


def test_save_refuses(tmp_path, write_image):
    write_image("1.png")
    table = from_folder(tmp_path)
    with pytest.raises(InputError, match=r"must end in .csv or .parquet"):
        save_table(table, tmp_path / "t.txt")
    with pytest.raises(StorageError, match=r"cannot write .*t.csv: No such file or directory"):
        save_table(table, tmp_path / "gone" / "t.csv")
    with pytest.raises(ImageError, match="no file"):
        save_table(replace(table, roots=("",)), tmp_path / "t.csv")
    assert sorted(os.listdir(tmp_path)) == ["1.png"]


def test_a_failed_save_leaves_the_old_file(tmp_path, write_image, monkeypatch):
    write_image("1.png")
    table = from_folder(tmp_path)
    save_table(table, tmp_path / "t.csv")
    before = (tmp_path / "t.csv").read_bytes()

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StorageError, match="No space left"):
        save_table(table, tmp_path / "t.csv")
    assert (tmp_path / "t.csv").read_bytes() == before
    assert sorted(os.listdir(tmp_path)) == ["1.png", "t.csv"]


def test_a_manifest_column_must_be_one_and_the_same(tmp_path):
    for cells in ("utkface,dtd", "utkface,"):
        lines = [f"{i}.png,a,{name}" for i, name in enumerate(cells.split(","))]
        (tmp_path / "t.csv").write_text("path,class,manifest\n" + "\n".join(lines) + "\n")
        with pytest.raises(ImageError, match="under manifest; every row must name the same one"):
            from_table(tmp_path / "t.csv")


parts = st.lists(st.sampled_from(["a", "b.png", ".", "..", "", ".c", "d.", "e f"]), max_size=5)


@given(parts, parts)
def test_paths_are_made_relative_as_by_the_standard_library(root, rest):
    root, file = "/".join(["", "r", *root]), "/".join(["", "r", *root, *rest])
    assert normal_path(file) == os.path.normpath(file)
    assert posix_relative(file, root) == os.path.relpath(file, root)
    assert posix_relative(root, file) == os.path.relpath(root, file)
