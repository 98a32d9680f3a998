"""Which mask belongs to which image, and the labels of their values."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hueprobe.errors import HueprobeWarning, ImageError, InputError, ShapeError
from hueprobe.images import LabelSet, from_folder, from_paths, label_set, pair_masks


def save(path, value=0, size=(6, 4)):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB" if path.suffix == ".jpg" else "L", size, 0 if path.suffix == ".jpg" else value).save(path)


def names_of(masks, root):
    return [Path(file).relative_to(root).as_posix() for file in masks.files]


@pytest.fixture
def root(tmp_path):
    for i, name in enumerate(["a/x.jpg", "a/y.jpg", "b/x.jpg"]):
        save(tmp_path / "images" / name)
        save(tmp_path / "masks" / Path(name).with_suffix(".png"), value=i)
    return tmp_path


def test_the_same_relative_path(root):
    masks = pair_masks(root / "images", root / "masks")
    assert names_of(masks, root / "masks") == ["a/x.png", "a/y.png", "b/x.png"]
    assert [int(masks.read(i).max()) for i in range(3)] == [0, 1, 2]
    assert repr(masks) == "<Masks of 3 images: the 3 labels are the values 0 to 2, 255 ignored>"


def test_the_same_stem_anywhere(root):
    save(root / "other" / "deep" / "y.PNG", value=7)
    save(root / "other" / ".hidden" / "y.png", value=8)
    images = [root / "images" / "a" / "y.jpg"]
    masks = pair_masks(images, root / "other")
    assert names_of(masks, root / "other") == ["deep/y.PNG"]


def test_names_in_another_unicode_form(root):
    save(root / "images" / "a" / "caf\u00e9.jpg")
    save(root / "masks" / "a" / "cafe\u0301.png")
    masks = pair_masks(root / "images", root / "masks")
    assert "a/cafe\u0301.png" in names_of(masks, root / "masks")


def test_masks_behind_links(root, tmp_path):
    (root / "linked").mkdir()
    (root / "linked" / "a").symlink_to(root / "masks" / "a")
    (root / "linked" / "b").symlink_to(root / "masks" / "b")
    (root / "linked" / "b" / "circle").symlink_to(root / "linked")
    masks = pair_masks(root / "images", root / "linked")
    assert names_of(masks, root / "linked") == ["a/x.png", "a/y.png", "b/x.png"]


def test_two_masks_of_one_stem(root):
    with pytest.raises(ImageError, match=r"2 masks could belong to image '\w+.jpg', such as 'a/x.png' and"):
        pair_masks([root / "images" / "a" / "x.jpg"], root / "masks")


def test_one_mask_for_two_images(root):
    save(root / "flat" / "x.png")
    save(root / "flat" / "y.png")
    with pytest.raises(ImageError, match=r"mask 'x.png' would belong to the images 'a/x.jpg' and 'b/x.jpg'"):
        pair_masks(root / "images", root / "flat")


def test_a_table(root):
    (root / "list.csv").write_text(
        "path,class,mask\nimages/b/x.jpg,b,masks/a/y.png\nimages/a/x.jpg,a,masks/b/x.png\n"
    )
    masks = pair_masks(root / "list.csv", root / "list.csv")
    assert names_of(masks, root) == ["masks/a/y.png", "masks/b/x.png"]
    folder = from_folder(root / "images").select([2, 0])
    assert pair_masks(folder, root / "list.csv").files == masks.files
    with pytest.raises(ImageError, match=r"has no mask for image 'a/y.jpg'; fill in its column mask"):
        pair_masks(root / "images", root / "list.csv")


def test_a_parquet_table(root):
    import pyarrow as pa
    import pyarrow.parquet as pq

    rows = {
        "path": [str(root / "images" / "a" / "x.jpg")], "class": ["a"],
        "mask": [str(root / "masks" / "b" / "x.png")],
    }  # fmt: skip
    pq.write_table(pa.table(rows), root / "list.parquet")
    masks = pair_masks([root / "images" / "a" / "x.jpg"], root / "list.parquet")
    assert names_of(masks, root) == ["masks/b/x.png"]


def test_a_table_without_masks(root):
    (root / "list.csv").write_text("path,class\nimages/b/x.jpg,b\n")
    with pytest.raises(ImageError, match="has no column 'mask'"):
        pair_masks(root / "list.csv", root / "list.csv")
    (root / "list.csv").write_text("path,class,mask\nimages/b/x.jpg,b,\n")
    with pytest.raises(ImageError, match=r"has no mask for image 'images/b/x.jpg'"):
        pair_masks(root / "list.csv", root / "list.csv")


def test_a_table_inside_the_data_folder_may_not_lead_out(root, monkeypatch):
    monkeypatch.setenv("HUEPROBE_DATA", "")
    monkeypatch.setattr("hueprobe.images.mask_pairing.data_root", lambda: root / "data")
    save(root / "data" / "set" / "x.jpg")
    save(root / "data" / "set" / "x.png")
    table = root / "data" / "set" / "list.csv"
    table.write_text("path,class,mask\nx.jpg,b,../../masks/a/x.png\n")
    with pytest.raises(ImageError, match="leads out of the table's folder"):
        pair_masks(table.with_name("x.jpg"), table)
    table.write_text("path,class,mask\nx.jpg,b,x.png\n")
    assert len(pair_masks(table.with_name("x.jpg"), table)) == 1


def test_a_list_of_files(root):
    images = from_paths([root / "images" / "a" / "x.jpg"])
    assert names_of(pair_masks(images, [root / "masks" / "b" / "x.png"]), root) == ["masks/b/x.png"]
    with pytest.raises(ShapeError, match="2 masks for 1 images"):
        pair_masks(images, [root / "masks" / "b" / "x.png"] * 2)
    with pytest.raises(ImageError, match=r"cannot read mask .*nowhere.png"):
        pair_masks(images, [root / "nowhere.png"])
    with pytest.raises(ShapeError, match="3 masks for 1 images"):
        pair_masks(images, pair_masks(root / "images", root / "masks"))


@pytest.mark.parametrize("masks", ["nowhere", "images/a/x.jpg", "list.txt"])
def test_no_masks(root, masks):
    with pytest.raises(ImageError, match=r"no masks at .*; give a folder, a .csv or"):
        pair_masks(root / "images", root / masks)
    with pytest.raises(InputError, match="masks are a int"):
        pair_masks(root / "images", 7)


def test_all_ignored(root):
    save(root / "masks" / "a" / "x.png", value=255)
    with pytest.warns(HueprobeWarning, match=r"all pixels are ignored in 1 of 3 masks, such as .*x.png"):
        assert pair_masks(root / "images", root / "masks").labels.names == ("1", "2")
    for name in ("a/y.png", "b/x.png"):
        save(root / "masks" / name, value=255)
    for names in (None, ["one"]):
        with pytest.raises(InputError, match=r"all pixels of all .*masks are ignored"):
            pair_masks(root / "images", root / "masks", names=names)


def test_a_value_beyond_the_names(root):
    with pytest.raises(
        InputError, match=r"b/x.png' has the value 2, but the 2 labels are the values 0 and 1, 255 ignored"
    ):
        pair_masks(root / "images", root / "masks", names=["sky", "road"])
    with pytest.warns(HueprobeWarning, match="all pixels are ignored in 1 of 3"):
        labels = pair_masks(root / "images", root / "masks", names=["sky", "road"], ignore=[2]).labels
    assert labels == LabelSet(("sky", "road"), (0, 1), (2,))


def test_zero_is_ignore(root):
    with pytest.warns(HueprobeWarning, match="all pixels are ignored in 1 of 3"):
        masks = pair_masks(root / "images", root / "masks", names=["wall", "floor"], zero_is_ignore=True)
    assert masks.labels == LabelSet(("wall", "floor"), (1, 2), (0, 255))
    assert [int(masks.read(i).max()) for i in range(3)] == [-1, 0, 1]


def test_a_mask_that_changes_afterwards(root):
    masks = pair_masks(root / "images", root / "masks")
    save(root / "masks" / "a" / "y.png", value=2)
    with pytest.raises(InputError, match=r"y.png' has changed since the start"):
        masks.read(1)


@pytest.mark.parametrize(
    ("name", "text", "values"),
    [
        ("n.txt", "sky\nroad\r\ncar\n\n", (0, 1, 2)), ("n.txt", "\ufeffsky\nroad\ncar", (0, 1, 2)),
        ("n.json", '["sky", "road", "car"]', (0, 1, 2)),
        ("n.json", '{"7": "car", "0": "sky", "3": "road"}', (0, 3, 7)),
    ],
)  # fmt: skip
def test_files_of_names(tmp_path, name, text, values):
    (tmp_path / name).write_text(text, encoding="utf-8", newline="")
    labels = label_set(tmp_path / name)
    assert labels == LabelSet(("sky", "road", "car"), values)


@pytest.mark.parametrize(
    ("name", "data", "said"),
    [
        ("n.txt", b"", "there are no label names"),
        ("n.txt", b"a\n\nb", "label 1 has no name"),
        ("n.txt", b"a\nb\na", "the label name 'a' occurs twice"),
        ("n.txt", b"\xff\xfe", "is not UTF-8 text"),
        ("n.json", b"{", "is not JSON"),
        ("n.json", b"7", "holds neither a list nor an object"),
        ("n.json", b"[1, 2]", "the label name 1 is no text"),
        ("n.json", b'{"sky": 0}', "'sky' is no value of a mask's pixel"),
        ("n.json", b'{"255": "a"}', "the value 255 is the label 'a' and is ignored too"),
        ("n.json", b'{"0": "a", "00": "b"}', "the label value 0 occurs twice"),
    ],
)
def test_files_that_hold_no_names(tmp_path, name, data, said):
    (tmp_path / name).write_bytes(data)
    with pytest.raises(InputError, match=said):
        label_set(tmp_path / name)


def test_a_missing_file_of_names(tmp_path):
    with pytest.raises(InputError, match=r"cannot read the label names .*: No such file"):
        label_set(tmp_path / "none.txt")


@pytest.mark.parametrize("ignore", [[-1], [65_536], ["x"], [1.5]])
def test_invalid_values(ignore):
    with pytest.raises(InputError, match="give whole numbers from 0 to 65535"):
        label_set(["a"], ignore=ignore)


def test_names_by_value_and_default():
    assert label_set({2: "b", 0: "a"}) == LabelSet(("a", "b"), (0, 2))
    assert label_set(found=[300, 0, 255, 7]) == LabelSet(("0", "7", "300"), (0, 7, 300))
    assert label_set(found=[0, 255], ignore=[]) == LabelSet(("0", "255"), (0, 255), ())
    assert json.dumps(label_set(["a"], ignore=np.array([3])).ignore) == "[3]"
