"""The image table: selection, joining, moving, Arrow."""

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from hueprobe.errors import ImageError, InputError, ShapeError
from hueprobe.images import ImageTable

TABLE = ImageTable(
    paths=("a/1.png", "a/2.png", "b/3.png", "4.png"),
    roots=("/data/x", "/data/x", "/data/x", "/data/y/z"),
    classes=("a", "a", "b", None),
    splits=("train", "test", None, "train"),
    groups=(None, "g", "g", None),
    sizes=(10, 11, 12, -1),
)


def test_a_table_is_shown_in_a_line():
    assert repr(TABLE) == "<ImageTable /data: 4 images, 2 classes (a, b), splits test 1, train 2, 1 groups>"
    many = ImageTable.concatenate([TABLE] * 1000)
    assert len(repr(many)) < 110 and "4,000 images" in repr(many) and "train 2,000" in repr(many)
    assert repr(TABLE.select([])) == "<ImageTable of no files: 0 images>"
    long = tuple(f"class {i} " + "x" * 200 for i in range(4))
    shown = repr(replace(TABLE, classes=long, splits=long))
    assert len(shown) < 250 and "4 classes (class 0 xxx" in shown and shown.count("...") == 2
    assert "\n" not in shown


def test_properties():
    assert len(TABLE) == 4
    assert TABLE.class_names == ("a", "b")
    assert not TABLE.labeled
    assert TABLE.select([0, 1, 2]).labeled
    assert not TABLE.select([]).labeled
    assert TABLE.file(3) == Path("/data/y/z/4.png")


@pytest.mark.parametrize(
    ("indices", "paths"),
    [
        ([2, 0], ("b/3.png", "a/1.png")),
        (np.array([3]), ("4.png",)),
        (np.array([True, False, False, True]), ("a/1.png", "4.png")),
        (slice(1, 3), ("a/2.png", "b/3.png")),
        (range(2), ("a/1.png", "a/2.png")),
        ([], ()),
    ],
)
def test_select_keeps_the_columns_together(indices, paths):
    picked = TABLE.select(indices)
    assert picked.paths == paths
    assert [TABLE.select([TABLE.paths.index(path)]) for path in paths] == [
        picked.select([i]) for i in range(len(picked))
    ]


def test_where_split():
    assert TABLE.where_split("train").paths == ("a/1.png", "4.png")
    with pytest.raises(InputError, match="no image in split 'val'; choose one of: test, train"):
        TABLE.where_split("val")
    with pytest.raises(InputError, match="no splits"):
        TABLE.select([2]).where_split("train")


def test_arrow_round_trip():
    arrow = TABLE.to_arrow()
    assert arrow.column_names == ["image", "path", "root", "class", "split", "group", "size"]
    assert arrow.schema.field("image").type == pa.int64()
    assert arrow["image"].to_pylist() == [0, 1, 2, 3]
    assert ImageTable.from_arrow(arrow) == TABLE
    assert ImageTable.from_arrow(TABLE.select([]).to_arrow()) == TABLE.select([])
    with pytest.raises(InputError, match="no column 'root'"):
        ImageTable.from_arrow(arrow.drop_columns(["root"]))


def test_relocated_moves_the_common_folder(tmp_path):
    moved = TABLE.relocated(tmp_path)
    assert moved.roots == (*(str(tmp_path / "x"),) * 3, str(tmp_path / "y" / "z"))
    assert moved.paths == TABLE.paths
    one_root = TABLE.select([0, 1]).relocated(tmp_path)
    assert one_root.roots == (str(tmp_path),) * 2
    with pytest.raises(ImageError, match="no folder at"):
        TABLE.relocated(tmp_path / "gone")


def test_relocated_leaves_what_is_no_file(tmp_path):
    items = replace(TABLE, roots=("",) * 4)
    assert items.relocated(tmp_path) == items


def test_concatenate_and_datasets():
    both = ImageTable.concatenate([TABLE, TABLE.select([0])])
    assert both.select(range(4)) == TABLE and both.paths[4] == "a/1.png"
    with_items = ImageTable(("item-0000005",), ("",), ("c",), (None,), (None,), (-1,), dataset="D")
    joined = ImageTable.concatenate([TABLE, with_items])
    assert joined.dataset == "D"
    assert [joined.item(i) for i in range(5)] == [None] * 4 + [5]
    with pytest.raises(InputError, match="2 Datasets"):
        ImageTable.concatenate([with_items, replace(with_items, dataset="E")])
    with pytest.raises(InputError, match="no image tables"):
        ImageTable.concatenate([])


def test_a_row_that_is_no_file_says_so():
    array = ImageTable(("array-0000000",), ("",), (None,), (None,), (None,), (-1,))
    assert array.item(0) is None
    with pytest.raises(ImageError, match="'array-0000000' is no file"):
        array.file(0)


def test_columns_of_differing_length():
    with pytest.raises(ShapeError, match="'splits': 1"):
        ImageTable(("a", "b"), ("", ""), (None, None), (None,), (None, None), (-1, -1))


def test_names_that_are_not_unicode():
    name = os.fsdecode(b"b\xff.png")
    with pytest.raises(ImageError, match=r"name 'b\\udcff.png' is not valid UTF-8; rename"):
        ImageTable((name,), ("/",), (None,), (None,), (None,), (-1,))
