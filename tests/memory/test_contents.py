"""Files of a memory are read as they were written, or refused by name."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from hueprobe.errors import MemoryDamagedError
from hueprobe.memory.contents import IMAGES_SCHEMA, map_array, read_array, read_records
from hueprobe.memory.files import file_entry

VALUES = np.arange(12, dtype=np.float32).reshape(3, 4)


def written(path, images, readable=(True, False, True)):
    columns = [images, ["a", None, "c"], [1, None, 3], [4, None, 6], list(readable), [None, "torn", None]]
    arrays = [pa.array(c, f.type) for c, f in zip(columns, IMAGES_SCHEMA, strict=True)]
    pq.write_table(pa.table(arrays, IMAGES_SCHEMA), path)
    return file_entry(path)


def test_some_columns_of_the_records_are_those_of_all(tmp_path):
    entry = written(tmp_path / "r.parquet", [5, 6, 7])
    whole = read_records(tmp_path / "r.parquet", entry, 5, 8)
    some = read_records(tmp_path / "r.parquet", entry, 5, 8, ["readable"])
    assert some.column_names == ["image", "readable"] and some["readable"].to_pylist() == [True, False, True]
    assert whole.select(some.column_names) == some and whole.schema == IMAGES_SCHEMA


@pytest.mark.parametrize("columns", [None, ["readable"]])
@pytest.mark.parametrize("images", [[5, 7, 6], [6, 7, 8], [5, 6, None]])
def test_records_of_other_images_are_refused(tmp_path, images, columns):
    entry = written(tmp_path / "r.parquet", images)
    with pytest.raises(MemoryDamagedError, match=r"r\.parquet .*its images are not 5 to 7"):
        read_records(tmp_path / "r.parquet", entry, 5, 8, columns)


@pytest.mark.parametrize("columns", [None, ["readable"]])
def test_records_without_a_value_that_each_image_needs_are_refused(tmp_path, columns):
    entry = written(tmp_path / "r.parquet", [5, 6, 7], [True, None, True])
    with pytest.raises(MemoryDamagedError, match="readable is missing for some images"):
        read_records(tmp_path / "r.parquet", entry, 5, 8, columns)


def header(text, length=128):
    """Return a header of version 1.0 around this description, padded to a length."""
    filled = text.ljust(length - 11) + "\n"
    return b"\x93NUMPY\x01\x00" + len(filled).to_bytes(2, "little") + filled.encode()


@pytest.mark.parametrize(
    ("text", "length"),
    [
        ("{'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), }", 192),
        ("{'shape': (3, 4), 'fortran_order': False, 'descr': '<f4'}", 128),
    ],
)
def test_a_header_of_another_writer_is_read(tmp_path, text, length):
    path = tmp_path / "a.npy"
    path.write_bytes(header(text, length) + VALUES.tobytes())
    assert np.array_equal(map_array(path, (3, 4), "float32"), VALUES)
    assert np.array_equal(read_array(path, file_entry(path), (3, 4), "float32"), VALUES)


@pytest.mark.parametrize("shape", [(4, 3), (3, 5), (12,)])
def test_an_array_of_another_shape_is_refused(tmp_path, shape):
    np.save(tmp_path / "a.npy", VALUES)
    with pytest.raises(MemoryDamagedError, match=r"a\.npy is not the .npy file .*it holds float32 \(3, 4\)"):
        map_array(tmp_path / "a.npy", shape, "float32")


def test_an_array_that_is_too_long_is_refused(tmp_path):
    np.save(tmp_path / "a.npy", VALUES)
    with (tmp_path / "a.npy").open("ab") as file:
        file.write(b"\0")
    with pytest.raises(MemoryDamagedError, match="49 bytes after its header do not fit"):
        map_array(tmp_path / "a.npy", (3, 4), "float32")
