"""Reading the files of a memory: whole ones against their hash, vectors by header and size.

Nothing is allocated because a header asks for it: what a file must hold is known beforehand from
memory.json and the ledger, and a header that says otherwise is refused before anything is read.
"""

import hashlib
import io
import math
from collections.abc import Mapping
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
_SOURCE_SCHEMA = ImageTable((), (), (), (), (), ()).to_arrow().schema
_MAY_BE_NULL = {"class", "split", "group", "sha256", "width", "height", "reason"}
# Of a list of images, unpacked: names that long would be no names.
_MOST_BYTES_A_ROW, _MOST_BYTES_A_FILE = 1 << 16, 1 << 24


def require_sizes(folder: Path, files: Mapping[str, FileEntry]) -> None:
    """Compare files with the sizes that the ledger keeps.

    Raises
    ------
    MemoryDamagedError
        One is missing or of another size; it is named.
    """
    for name, entry in files.items():
        path = folder / name
        try:
            size = path.stat().st_size
        except OSError:
            raise MemoryDamagedError(f"{path} is missing; restore it or build the memory anew") from None
        if size != entry.size:
            raise MemoryDamagedError(
                f"{path} has {size} bytes, its ledger says {entry.size}; restore it or build anew"
            )


def read_whole(path: Path, entry: FileEntry) -> bytes:
    """Return a file's bytes, which are those that the ledger keeps size and sha256 of.

    Raises
    ------
    MemoryDamagedError
    """
    try:
        with path.open("rb") as file:
            data = file.read(entry.size + 1)
    except OSError as error:
        raise MemoryDamagedError(f"{path} cannot be read: {error.strerror or error}; restore it") from None
    if len(data) != entry.size or hashlib.sha256(data).hexdigest() != entry.sha256:
        raise MemoryDamagedError(
            f"{path} is damaged: its bytes are not those that were written; restore it or build anew"
        )
    return data


def map_array(path: Path, shape: tuple[int, ...], dtype: str) -> np.ndarray:
    """Return a `.npy` file as a read-only memory map, of which nothing but the header is read.

    Raises
    ------
    MemoryDamagedError
        The file does not hold an array of this shape and type, in C order, and nothing else.
    """
    try:
        with path.open("rb") as file:
            offset = _after_header(file, shape, dtype)
        return np.memmap(path, dtype, "r", offset, shape)
    except (OSError, ValueError, OverflowError) as error:
        raise _no_such_array(path, error) from None


def read_array(path: Path, entry: FileEntry, shape: tuple[int, ...], dtype: str) -> np.ndarray:
    """Return a `.npy` file as a read-only array, its bytes being those that were written.

    Raises
    ------
    MemoryDamagedError
        As `map_array` and `read_whole`.
    """
    data = read_whole(path, entry)
    try:
        return np.frombuffer(data, dtype, offset=_after_header(io.BytesIO(data), shape, dtype)).reshape(shape)
    except (ValueError, OverflowError) as error:
        raise _no_such_array(path, error) from None


def _after_header(file: Any, shape: tuple[int, ...], dtype: str) -> int:
    """Return where an array's bytes begin; ValueError unless its header says exactly what is expected."""
    try:
        np.lib.format.read_magic(file)
        found, is_fortran, kind = np.lib.format.read_array_header_1_0(file)
    except Exception as error:  # NumPy lets Python parse the header, which stumbles in many ways
        raise ValueError(" ".join(str(error).split())[:200] or type(error).__name__) from None
    if found != shape or kind != dtype or is_fortran:
        raise ValueError(f"it holds {kind} {found}, memory.json and ledger ask for {dtype} {shape}")
    start = int(file.tell())
    n_bytes = file.seek(0, io.SEEK_END) - start
    if n_bytes != math.prod(shape) * np.dtype(dtype).itemsize:
        raise ValueError(f"{n_bytes} bytes behind its header are not those of {dtype} {shape}")
    return start


def _no_such_array(path: Path, error: Exception) -> MemoryDamagedError:
    return MemoryDamagedError(
        f"{path} is not the .npy file that was written ({error}); restore it or build anew"
    )


def read_source(path: Path, entry: FileEntry, n_rows: int) -> ImageTable:
    """Return the list of images of one `source` or `append` step.

    Raises
    ------
    MemoryDamagedError
        It is not as it was written, or not of `n_rows` images.
    """
    table = _read_parquet(path, entry, _SOURCE_SCHEMA, 0, n_rows)
    try:
        return ImageTable.from_arrow(table)
    except HueprobeError as error:
        raise MemoryDamagedError(f"{path}: {error}") from None


def read_records(path: Path, entry: FileEntry, start: int, stop: int) -> pa.Table:
    """Return what was learnt while reading images [start, stop), in the columns of `IMAGES_SCHEMA`.

    Raises
    ------
    MemoryDamagedError
        As `read_source`.
    """
    return _read_parquet(path, entry, IMAGES_SCHEMA, start, stop)


def _read_parquet(path: Path, entry: FileEntry, schema: pa.Schema, start: int, stop: int) -> pa.Table:
    data = read_whole(path, entry)
    try:
        with pq.ParquetFile(io.BytesIO(data)) as file:
            _require_modest(file.metadata, stop - start)
            if not file.schema_arrow.equals(schema):
                raise ValueError(f"its columns are {', '.join(file.schema_arrow.names)[:200]}")
            table = file.read(use_threads=False)
        table.validate(full=True)
        if table["image"].to_pylist() != list(range(start, stop)):
            raise ValueError(f"its images are not {start} to {stop - 1}")
        if lacking := [name for name in schema.names if name not in _MAY_BE_NULL and table[name].null_count]:
            raise ValueError(f"{lacking[0]} is missing for some images")
    except (OSError, ValueError, OverflowError, MemoryError, pa.ArrowException) as error:
        text = (str(error).splitlines() or [type(error).__name__])[0][:200]
        raise MemoryDamagedError(f"{path} is not the table that was written ({text}); restore it") from None
    return table


def _require_modest(metadata: pq.FileMetaData, n_rows: int) -> None:
    """Refuse a table that says it is larger than `n_rows` images can be, before it is unpacked."""
    if metadata.num_rows != n_rows:
        raise ValueError(f"it has {metadata.num_rows} rows for {n_rows} images")
    groups = [metadata.row_group(i) for i in range(metadata.num_row_groups)]
    if sum(group.total_byte_size for group in groups) > _MOST_BYTES_A_FILE + n_rows * _MOST_BYTES_A_ROW:
        raise ValueError("it unpacks to more bytes than names and hashes take")
