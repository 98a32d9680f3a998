"""Names in one form, and files under either form of their name."""

import os
import unicodedata
import warnings

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from hueprobe.errors import HueprobeWarning, ImageError
from hueprobe.images import ImageTable, from_folder, from_paths, from_table, resolve_images, show_image
from hueprobe.images.names import OnDisk, normal_name

NFC, NFD = (unicodedata.normalize(form, "café") for form in ("NFC", "NFD"))


def both_forms(tmp_path, write_image):
    for form in (NFC, NFD):
        write_image(f"set/{form}/{len(form)}.png")
    if len(os.listdir(tmp_path / "set")) == 1:
        pytest.skip("this file system normalizes names")
    return tmp_path / "set"


def test_a_normal_name_is_composed_and_has_no_space_around():
    assert normal_name(f"\t{NFD} \n") == NFC == normal_name(NFC)
    assert normal_name(" a b ") == "a b"


def test_two_folders_of_one_name_are_one_class(tmp_path, write_image):
    root = both_forms(tmp_path, write_image)
    write_image("set/cat/1.png")
    write_image("set/cat /2.png")
    with pytest.warns(HueprobeWarning, match="Unicode NFC without space at the ends") as caught:
        table = from_folder(root)
    assert table.class_names == (NFC, "cat") or table.class_names == ("cat", NFC)
    assert [table.classes.count(name) for name in (NFC, "cat")] == [2, 2]
    assert all(table.file(i).is_file() for i in range(4))
    (warning,) = caught
    assert "class 'cat ' is 'cat'" in str(warning.message) and ascii(NFD) in str(warning.message)
    # The rows of a class lie together, though its folders do not.
    assert list(table.classes) == sorted(name for name in table.classes if name is not None)


@pytest.mark.parametrize("ending", [".csv", ".parquet"])
def test_names_in_tables(tmp_path, write_image, ending):
    columns = {
        "path": [str(write_image(f"{i}.png").name) for i in range(4)],
        "class": [NFC, NFD, "cat", "cat "],
        "group": [" p", "p", None, " "],
        "split": ["train", "train ", "train", "test"],
    }
    path = tmp_path / f"t{ending}"
    if ending == ".csv":
        rows = [",".join(value or "" for value in row) for row in zip(*columns.values(), strict=True)]
        path.write_text("\n".join([",".join(columns), *rows]) + "\n", encoding="utf-8")
    else:
        pq.write_table(pa.table(columns), path)
    with pytest.warns(HueprobeWarning, match="names are taken in one form") as caught:
        table = from_table(path)
    assert table.classes == (NFC, NFC, "cat", "cat")
    assert table.groups == ("p", "p", None, None)
    assert table.splits == ("train", "train", "train", "test")
    assert len(caught) == 1 and "split 'train ' is 'train'" in str(caught[0].message)
    assert table.where_split(" train").paths == ("0.png", "1.png", "2.png")


def test_names_that_are_normal_are_left_alone(tmp_path, write_image):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        table = ImageTable(("1",), ("",), (f"{NFC} x",), ("",), ("a  b",), (-1,))
    assert (table.classes, table.splits, table.groups) == ((f"{NFC} x",), ("",), ("a  b",))


def test_every_source_of_classes_is_brought_to_one_form(tmp_path, small_memory):
    import torch
    from torch.utils.data import TensorDataset

    from hueprobe import memory_from_arrays
    from hueprobe.images import from_dataset

    dataset = TensorDataset(torch.zeros(2, 3, 4, 4), torch.tensor([0, 1]))
    dataset.classes, dataset.targets = [NFC, NFD], [0, 1]
    with pytest.warns(HueprobeWarning, match="one form"):
        assert from_dataset(dataset).classes == (NFC, NFC)
    arrays = np.random.default_rng(0).random((4, 3, 2, 2), np.float32)
    with pytest.warns(HueprobeWarning, match="one form"):
        memory = memory_from_arrays(tmp_path / "m", arrays, [NFC, NFD, "cat ", "cat"])
    assert memory.classes == tuple(sorted((NFC, "cat"))) and memory.class_counts().tolist() == [8, 8]


@pytest.mark.parametrize(("on_disk", "given"), [(NFD, NFC), (NFC, NFD)])
def test_a_path_in_the_other_form_is_found(tmp_path, write_image, on_disk, given):
    file = write_image(f"set/{on_disk}/{on_disk}.png")
    if (tmp_path / "set" / given).exists():
        pytest.skip("this file system normalizes names")
    other = str(tmp_path / "set" / given / f"{given}.png")
    mixed = str(tmp_path / "set" / on_disk / f"{given}.png")
    for path in (other, mixed):
        assert from_paths([path]).file(0) == file and resolve_images(path).sizes[0] > 0
    assert from_folder(tmp_path / "set" / given).paths == (f"{on_disk}.png",)
    assert resolve_images(str(tmp_path / "set" / given)).paths == (f"{on_disk}.png",)
    (tmp_path / "set" / "t.csv").write_text(f"path,class\n{given}/{given}.png,a\n", encoding="utf-8")
    table = from_table(tmp_path / "set" / "t.csv")
    assert table.file(0) == file
    # A memory's list may come from another system, where the names had the other form.
    recorded = ImageTable(
        (f"{given}/{given}.png",), (str(tmp_path / "set"),), (None,), (None,), (None,), (1,)
    )
    assert show_image(recorded, 0).size == (12, 9)


def test_both_forms_of_one_path_in_a_table_are_one_image(tmp_path, write_image):
    write_image(f"{NFD}.png")
    (tmp_path / "t.csv").write_text(f"path,class\n{NFC}.png,a\n{NFD}.png,b\n", encoding="utf-8")
    if (tmp_path / f"{NFC}.png").exists():
        pytest.skip("this file system normalizes names")
    with pytest.raises(ImageError, match=r"line 3: .* is there already, in line 2"):
        from_table(tmp_path / "t.csv")


def test_each_form_is_itself_where_both_are_there(tmp_path, write_image):
    root = both_forms(tmp_path, write_image)
    assert [OnDisk()(str(root / form)) for form in (NFC, NFD)] == [str(root / NFC), str(root / NFD)]


def test_what_is_not_there_in_any_form_stays_as_it_was_given(tmp_path):
    for path in (f"{tmp_path}/{NFC}/x.png", f"{tmp_path}/gone/{NFD}", NFC, f"{NFC}\0"):
        assert OnDisk()(path) == path
