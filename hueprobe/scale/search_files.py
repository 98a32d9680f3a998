"""Files of searched parts: the nearest vectors of each query in one part of a memory, batch by batch.

An Arrow IPC file. Its first batch has no rows, and the image tables in its metadata. Each further batch
belongs to one batch of query images; its metadata has the facts about it (`BatchFacts`), with hashes.
"""

import contextlib
import hashlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import numpy as np

from hueprobe.errors import InputError
from hueprobe.match_files import PART_KEY
from hueprobe.match_images import MatchImages, images_from_json
from hueprobe.match_reading import IMAGES_KEY
from hueprobe.scale.search_records import BATCH_KEY, VERSION, BatchFacts, PartHeader, decoded, encoded
from hueprobe.search.neighbors import Neighbors

if TYPE_CHECKING:
    import pyarrow as pa

ENDING = ".arrow"


@dataclass(frozen=True)
class PartBatch:
    """Neighbors of a batch of query images in one part.

    Attributes
    ----------
    query_image : ndarray of int64, shape (n,)
        Image of each query vector.
    query_cell : ndarray of int32, shape (n,)
        Its cell, y*W + x.
    neighbors : Neighbors
        Ids and distances, shape (n, k).
    """

    query_image: np.ndarray
    query_cell: np.ndarray
    neighbors: Neighbors

    def sha256(self) -> str:
        """Return a hash of all numbers."""
        digest = hashlib.sha256()
        for column in (self.query_image, self.query_cell, self.neighbors.ids, self.neighbors.distances):
            digest.update(np.ascontiguousarray(column).data)
        return digest.hexdigest()


class PartFile:
    """A finished part of a search; rows are memory-mapped, and read batch by batch.

    Parameters
    ----------
    path : path
        A file of `search_part`.

    Attributes
    ----------
    header : PartHeader
        What was searched.

    Raises
    ------
    InputError
        The file is missing, unfinished, damaged, or not a part.
    """

    def __init__(self, path: str | Path) -> None:
        import pyarrow as pa

        self.path = Path(path)
        try:
            self._file = pa.ipc.open_file(pa.memory_map(str(path)))
        except (OSError, pa.ArrowException) as error:
            raise _unreadable(self.path, error) from None
        self.header = header_of(self._file.schema, self.path)

    def __len__(self) -> int:
        """Return the number of batches of query images."""
        return max(0, int(self._file.num_record_batches) - 1)

    def images(self) -> MatchImages:
        """Return the images on both sides."""
        _, metadata = self._read(0)
        if IMAGES_KEY not in metadata:
            raise InputError(f"{self.path} is damaged (it has no image tables); search this part again")
        return images_from_json(metadata[IMAGES_KEY], str(self.path))

    def facts(self, number: int) -> BatchFacts:
        """Return the facts about a batch without reading its rows.

        Parameters
        ----------
        number : int
            Number of the batch, from 0.
        """
        return decoded(self._read(number + 1)[1].get(BATCH_KEY), BatchFacts, str(self.path))

    def batch(self, number: int) -> PartBatch:
        """Return the rows of a batch.

        Parameters
        ----------
        number : int
            Number of the batch, from 0.

        Raises
        ------
        InputError
            They are not what was written.
        """
        import pyarrow as pa

        try:
            found = checked_batch(*self._read(number + 1), self.header, self.path)
        except pa.ArrowException as error:
            raise _unreadable(self.path, error) from None
        if found is None:
            raise InputError(
                f"{self.path} is damaged: rows of batch {number} are not those that were written; search "
                "this part again"
            )
        return found[0]

    def _read(self, number: int) -> tuple["pa.RecordBatch", dict[bytes, bytes]]:
        import pyarrow as pa

        try:
            rows, metadata = self._file.get_batch_with_custom_metadata(number)
        except (OSError, pa.ArrowException) as error:
            raise _unreadable(self.path, error) from None
        return rows, dict(metadata or {})


def schema_of(header: PartHeader) -> "pa.Schema":
    """Return the columns of a part's file, with the header as metadata."""
    import pyarrow as pa

    return pa.schema(
        [
            pa.field("query_image", pa.int64(), nullable=False),
            pa.field("query_cell", pa.int32(), nullable=False),
            pa.field("ids", pa.list_(pa.int64(), header.k), nullable=False),
            pa.field("distances", pa.list_(pa.float64(), header.k), nullable=False),
        ],
        metadata={PART_KEY: encoded(header)},
    )


def header_of(schema: "pa.Schema", path: Path) -> PartHeader:
    """Return the header in the schema of a part's file.

    Parameters
    ----------
    schema : pyarrow.Schema
        The schema.
    path : Path
        The file, for messages.

    Raises
    ------
    InputError
        The file is not a part, or one of a later version, or its columns are others.
    """
    text = (schema.metadata or {}).get(PART_KEY)
    if text is None:
        raise InputError(f"{path} is not a part of a search; give files of `hueprobe search --part`")
    with contextlib.suppress(msgspec.MsgspecError):
        if (version := msgspec.json.decode(text, type=_Version).version) > VERSION:
            raise InputError(
                f"{path} has version {version}, this hueprobe reads {VERSION}; install a newer one"
            )
    header = decoded(text, PartHeader, str(path))
    _ = header.of
    if not schema.equals(schema_of(header)):
        raise InputError(f"{path} is damaged (its columns are not those of a part); search this part again")
    return header


class _Version(msgspec.Struct):
    version: int


def checked_batch(
    rows: "pa.RecordBatch", metadata: dict[bytes, bytes], header: PartHeader, path: Path
) -> tuple[PartBatch, BatchFacts] | None:
    """Return the rows of a batch as arrays, with their facts; None if the rows are not those written.

    Parameters
    ----------
    rows : pyarrow.RecordBatch
        The rows.
    metadata : dict of bytes to bytes
        Metadata of the batch.
    header : PartHeader
        The file's header.
    path : Path
        The file, for messages.

    Raises
    ------
    InputError
        The facts are missing or damaged.
    pyarrow.ArrowInvalid
        The rows are no Arrow data.
    """
    facts = decoded(metadata.get(BATCH_KEY), BatchFacts, str(path))
    rows.validate(full=True)
    if any(column.null_count for column in rows.columns):
        return None
    n, k = rows.num_rows, header.k
    lists = [rows.column(name).flatten().to_numpy().reshape(n, k) for name in ("ids", "distances")]
    image, cell = (rows.column(name).to_numpy() for name in ("query_image", "query_cell"))
    batch = PartBatch(image, cell, Neighbors(*lists))
    return (batch, facts) if batch.sha256() == facts.sha256 else None


def _unreadable(path: Path, error: Exception) -> InputError:
    if isinstance(error, OSError) and error.errno:
        return InputError(f"cannot read {path}: {os.strerror(error.errno)}; give a readable file")
    reason = (str(error) or type(error).__name__).splitlines()[0]
    return InputError(
        f"{path} is not a finished part of a search ({reason}); run its `hueprobe search --part` again"
    )
