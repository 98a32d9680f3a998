"""Reading the files of a memory: small files against their hash, vectors against header and size.

No header can cause an allocation: memory.json and the ledger determine what each file must hold. A file
whose header differs is refused before anything is read.
"""

import functools
import hashlib
import io
import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from hueprobe.errors import HueprobeError, MemoryDamagedError
from hueprobe.images.table import ImageTable
from hueprobe.memory.files import FileEntry

IMAGES_SCHEMA = pa.schema(
    [
        ("image", pa.int64()),
        ("sha256", pa.string()),
        ("width", pa.int32()),
        ("height", pa.int32()),
        ("readable", pa.bool_()),
        ("reason", pa.string()),
    ]
)
MASKS_SCHEMA = pa.schema([("image", pa.int64()), ("path", pa.string()), ("sha256", pa.string())])
_SOURCE_SCHEMA = ImageTable((), (), (), (), (), ()).to_arrow().schema
_MAY_BE_NULL = {"class", "split", "group", "sha256", "width", "height", "reason"}
# Limits of an unpacked list of images: no plausible name is longer.
_MOST_BYTES_A_ROW, _MOST_BYTES_A_FILE = 1 << 16, 1 << 24


def require_sizes(folder: Path, files: Mapping[str, FileEntry]) -> None:
    """Compare the sizes of files with the ledger.

    Raises
    ------
    MemoryDamagedError
        A file is missing or has another size; the message names it.
    """
    for name, entry in files.items():
        try:
            size = os.stat(os.path.join(folder, name)).st_size
        except OSError:
            raise MemoryDamagedError(
                f"{folder / name} is missing; restore it or rebuild the memory"
            ) from None
        if size != entry.size:
            raise MemoryDamagedError(
                f"{folder / name} has {size} bytes, but {entry.size} in its ledger; restore it or rebuild "
                "the memory"
            )


def read_whole(path: Path, entry: FileEntry) -> bytes:
    """Return a file's bytes, after a check of size and sha256 against the ledger.

    Raises
    ------
    MemoryDamagedError
        The file cannot be read, or its bytes differ from what was written.
    """
    try:
        with path.open("rb") as file:
            data = file.read(entry.size + 1)
    except OSError as error:
        raise MemoryDamagedError(f"{path} cannot be read: {error.strerror or error}; restore it") from None
    if len(data) != entry.size or hashlib.sha256(data).hexdigest() != entry.sha256:
        raise MemoryDamagedError(
            f"{path} is damaged: its bytes differ from what was written; restore it or rebuild the memory"
        )
    return data


def map_array(path: Path, shape: tuple[int, ...], dtype: str) -> np.ndarray:
    """Return a `.npy` file as a read-only memory map; only its header is read.

    Raises
    ------
    MemoryDamagedError
        The file does not hold an array of this shape and type, in C order, and nothing else.
    """
    try:
        with open(os.fspath(path), "rb") as file:
            offset = _after_header(file, shape, dtype)
            return np.memmap(file, dtype, "r", offset, shape)
    except (OSError, ValueError, OverflowError) as error:
        raise _no_such_array(path, error) from None


def read_array(path: Path, entry: FileEntry, shape: tuple[int, ...], dtype: str) -> np.ndarray:
    """Return a `.npy` file as a read-only array, after a check of its hash.

    Raises
    ------
    MemoryDamagedError
        See `map_array` and `read_whole`.
    """
    data = read_whole(path, entry)
    try:
        return np.frombuffer(data, dtype, offset=_after_header(io.BytesIO(data), shape, dtype)).reshape(shape)
    except (ValueError, OverflowError) as error:
        raise _no_such_array(path, error) from None


def _after_header(file: Any, shape: tuple[int, ...], dtype: str) -> int:
    """Return the offset of an array's data; raise ValueError unless its header is exactly as expected."""
    written = _header(shape, dtype)
    if file.read(len(written)) != written:  # as another version of NumPy writes it, or another array
        file.seek(0)
        _require_header(file, shape, dtype)
    start = int(file.tell())
    n_bytes = file.seek(0, io.SEEK_END) - start
    if n_bytes != math.prod(shape) * np.dtype(dtype).itemsize:
        raise ValueError(f"{n_bytes} bytes after its header do not fit {dtype} {shape}")
    return start


@functools.cache
def _header(shape: tuple[int, ...], dtype: str) -> bytes:
    """Return the header that this NumPy writes; comparing it is much faster than parsing."""
    file = io.BytesIO()
    description = {"descr": np.dtype(dtype).str, "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(file, description)
    return file.getvalue()


def _require_header(file: Any, shape: tuple[int, ...], dtype: str) -> None:
    try:
        np.lib.format.read_magic(file)
        found, is_fortran, kind = np.lib.format.read_array_header_1_0(file)
    except Exception as error:  # NumPy parses the header as Python code, which can fail in many ways
        raise ValueError(" ".join(str(error).split())[:200] or type(error).__name__) from None
    if found != shape or kind != dtype or is_fortran:
        raise ValueError(f"it holds {kind} {found}, memory.json and ledger require {dtype} {shape}")


def _no_such_array(path: Path, error: Exception) -> MemoryDamagedError:
    return MemoryDamagedError(
        f"{path} is not the .npy file that was written ({error}); restore it or rebuild the memory"
    )


def read_source(path: Path, entry: FileEntry, n_rows: int) -> ImageTable:
    """Return the list of images of one `source` or `append` step.

    Raises
    ------
    MemoryDamagedError
        The file differs from what was written, or does not list `n_rows` images.
    """
    table = _read_parquet(path, entry, _SOURCE_SCHEMA, 0, n_rows)
    try:
        return ImageTable.from_arrow(table)
    except HueprobeError as error:
        raise MemoryDamagedError(f"{path}: {error}") from None


def read_records(
    path: Path, entry: FileEntry, start: int, stop: int, columns: Sequence[str] | None = None
) -> pa.Table:
    """Return what reading images [start, stop) found, in some or all columns of `IMAGES_SCHEMA`.

    Raises
    ------
    MemoryDamagedError
        See `read_source`.
    """
    return _read_parquet(path, entry, IMAGES_SCHEMA, start, stop, columns)


def read_mask_list(path: Path, entry: FileEntry, start: int, stop: int) -> pa.Table:
    """Return the masks of images [start, stop), in the columns of `MASKS_SCHEMA`.

    Raises
    ------
    MemoryDamagedError
        See `read_source`.
    """
    return _read_parquet(path, entry, MASKS_SCHEMA, start, stop)


def _read_parquet(
    path: Path,
    entry: FileEntry,
    schema: pa.Schema,
    start: int,
    stop: int,
    columns: Sequence[str] | None = None,
) -> pa.Table:
    data = read_whole(path, entry)
    try:
        with pq.ParquetFile(pa.BufferReader(data)) as file:
            _require_modest(file.metadata, stop - start)
            if not file.schema_arrow.equals(schema):
                raise ValueError(f"its columns are {', '.join(file.schema_arrow.names)[:200]}")
            table = file.read(None if columns is None else ["image", *columns], use_threads=False)
        table.validate(full=True)
        if not np.array_equal(table["image"].to_numpy(), np.arange(start, stop)):
            raise ValueError(f"its images are not {start} to {stop - 1}")
        if lacking := [n for n in table.column_names if n not in _MAY_BE_NULL and table[n].null_count]:
            raise ValueError(f"{lacking[0]} is missing for some images")
    except (OSError, ValueError, OverflowError, MemoryError, pa.ArrowException) as error:
        text = (str(error).splitlines() or [type(error).__name__])[0][:200]
        raise MemoryDamagedError(f"{path} is not the table that was written ({text}); restore it") from None
    return table


def _require_modest(metadata: pq.FileMetaData, n_rows: int) -> None:
    """Raise ValueError if a table claims to be larger than `n_rows` images can be, before unpacking it."""
    if metadata.num_rows != n_rows:
        raise ValueError(f"it has {metadata.num_rows} rows for {n_rows} images")
    groups = [metadata.row_group(i) for i in range(metadata.num_row_groups)]
    if sum(group.total_byte_size for group in groups) > _MOST_BYTES_A_FILE + n_rows * _MOST_BYTES_A_ROW:
        raise ValueError("it unpacks to more bytes than names and hashes need")
