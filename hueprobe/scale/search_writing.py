"""Writing the file of a searched part, so that a search that is killed goes on where it was.

A file that is being written has the ending `.partial`. What a killed search left there is read as a stream
and copied into a new file, batch by batch, up to the first one that is not whole.
"""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from hueprobe.errors import InputError, MemoryFormatError
from hueprobe.files import PARTIAL, fsync_folder, storing
from hueprobe.match_reading import IMAGES_KEY
from hueprobe.memory.files import locked
from hueprobe.scale.search_files import PartBatch, PartFile, checked_batch, header_of, schema_of
from hueprobe.scale.search_records import BATCH_KEY, BatchFacts, PartHeader, encoded

_MAGIC = 8  # bytes before the stream in an IPC file
_BEFORE = ".before"  # what an earlier run left, while it is copied
_LOCK = ".lock"


def lock_of(path: Path) -> Path:
    """Return the lock of a part's file."""
    return path.with_name(path.name + _LOCK)


class PartWriter:
    """Writes the batches of one part.

    Parameters
    ----------
    path : Path
        The file when it is finished, for messages.
    file : file object
        An empty file, open for writing bytes.
    header : PartHeader
        The search.
    images : bytes
        The images on both sides, from `images_to_json`.

    Attributes
    ----------
    n_done : int
        Number of query images that an earlier run has searched.
    n_batches : int
        Number of batches so far.
    """

    def __init__(self, path: Path, file: IO[bytes], header: PartHeader, images: bytes) -> None:
        import pyarrow as pa

        self._path, self._file, self._header = path, file, header
        self.n_done = self.n_batches = 0
        self._schema = schema_of(header)
        self._writer = pa.ipc.new_file(file, self._schema)
        empty = pa.RecordBatch.from_pylist([], schema=self._schema)
        self._writer.write_batch(empty, custom_metadata={IMAGES_KEY: images})

    def write(self, batch: PartBatch, facts: BatchFacts) -> None:
        """Append a batch, which is then not lost if the process is killed.

        Parameters
        ----------
        batch : PartBatch
            Its rows.
        facts : BatchFacts
            Its facts.
        """
        import pyarrow as pa

        k = self._header.k
        columns = [
            pa.array(batch.query_image, pa.int64()),
            pa.array(batch.query_cell, pa.int32()),
            pa.FixedSizeListArray.from_arrays(pa.array(batch.neighbors.ids.reshape(-1), pa.int64()), k),
            pa.FixedSizeListArray.from_arrays(pa.array(batch.neighbors.distances.reshape(-1)), k),
        ]
        rows = pa.RecordBatch.from_arrays(columns, schema=self._schema)
        with storing(self._path):
            self._writer.write_batch(rows, custom_metadata={BATCH_KEY: encoded(facts)})
            self._file.flush()
        self.n_batches += 1

    def copy(self, path: Path) -> None:
        """Append the whole batches of a file that was not finished, durably.

        Parameters
        ----------
        path : Path
            That file, of the same search.
        """
        with _stream(path) as stream:
            while stream is not None and (batch := _next_batch(stream, self._header, path)) is not None:
                self.write(*batch)
                self.n_done = batch[1].stop
        self._file.flush()
        os.fsync(self._file.fileno())

    def close(self) -> None:
        """Finish the file, durably."""
        self._writer.close()
        self._file.flush()
        os.fsync(self._file.fileno())


@contextlib.contextmanager
def one_writer_of(path: Path) -> Iterator[None]:
    """Hold the lock of a part's file, existing or not; the lock file is then removed.

    Parameters
    ----------
    path : Path
        The file.

    Raises
    ------
    MemoryFormatError
        Another process holds the lock.
    StorageError
        The folder cannot hold a lock file.
    """
    lock = lock_of(path)
    file = locked(lock)
    if file is None:
        raise MemoryFormatError(
            f"another process is writing {path}; wait for it to end, or name another output"
        )
    with file:
        try:
            yield
        finally:
            with storing(path):
                lock.unlink(missing_ok=True)  # whoever has opened it finds that it is gone, makes another


@contextlib.contextmanager
def written_part(path: Path, header: PartHeader, images: bytes, *, overwrite: bool) -> Iterator[PartWriter]:
    """Yield a writer, with what an earlier run of the same search left; at the end, the file has its name.

    Parameters
    ----------
    path : Path
        The file; the caller holds its lock.
    header : PartHeader
        The search.
    images : bytes
        The images on both sides, from `images_to_json`.
    overwrite : bool
        Whether to replace a file of another search.

    Raises
    ------
    InputError
        There is a file of another search, finished or not.
    """
    partial, before = (path.with_name(path.name + ending) for ending in (PARTIAL, PARTIAL + _BEFORE))
    with contextlib.ExitStack() as stack:
        with storing(path):
            if overwrite:
                for old in (partial, before):
                    old.unlink(missing_ok=True)
            else:
                require_same(path, header)
            if partial.exists() and not before.exists():  # otherwise the copy was not finished
                partial.rename(before)
            file = stack.enter_context(partial.open("wb"))
            writer = PartWriter(path, file, header, images)
            if before.exists():
                writer.copy(before)
                fsync_folder(path.parent)
                before.unlink()
        try:
            yield writer
        except BaseException:
            if not writer.n_batches:
                with contextlib.suppress(OSError):  # report the first error
                    partial.unlink()
            raise
        with storing(path):
            writer.close()
            partial.replace(path)
            fsync_folder(path.parent)


def require_same(path: Path, header: PartHeader) -> None:
    """Require that a file, or what an unfinished run left, belongs to a search.

    Parameters
    ----------
    path : Path
        The file, existing or not.
    header : PartHeader
        The search.

    Raises
    ------
    InputError
        It belongs to another search or part.
    """
    for file in (path, path.with_name(path.name + PARTIAL + _BEFORE), path.with_name(path.name + PARTIAL)):
        if not file.exists():
            continue
        if file == path:
            found = PartFile(path).header
        else:
            with _stream(file) as stream:
                if stream is None:  # it ends before its header does
                    continue
                found = header_of(stream.schema, file)
        difference = found.difference(header)
        if difference is None and found.part != header.part:
            difference = f"part {found.of}, not {header.of}"
        if difference is not None:
            raise InputError(
                f"{file} holds another search ({difference}); name another output, or replace it with "
                "--overwrite (overwrite=True)"
            )


def unfinished_size(path: Path) -> int:
    """Return the bytes that are written of a file that is not finished; 0 if none is begun.

    Parameters
    ----------
    path : Path
        The file when it is finished.
    """
    size = 0
    for ending in (PARTIAL, PARTIAL + _BEFORE):
        with contextlib.suppress(OSError):
            size = max(size, path.with_name(path.name + ending).stat().st_size)
    return size


def remove_part(path: Path) -> None:
    """Remove the file of a part, finished or not.

    Parameters
    ----------
    path : Path
        The file when it is finished.
    """
    with storing(path):
        for ending in ("", PARTIAL, PARTIAL + _BEFORE):
            path.with_name(path.name + ending).unlink(missing_ok=True)


@contextlib.contextmanager
def _stream(path: Path) -> Iterator[Any]:
    """Yield a reader of an unfinished file's batches, behind the image tables; None if there are none."""
    import pyarrow as pa

    with pa.memory_map(str(path)) if path.stat().st_size else contextlib.nullcontext() as file:
        try:
            if file is None:
                raise pa.ArrowInvalid("empty")
            file.seek(_MAGIC)
            stream = pa.ipc.open_stream(file)
            stream.read_next_batch_with_custom_metadata()
        except (StopIteration, OSError, pa.ArrowException):
            stream = None
        yield stream


def _next_batch(stream: Any, header: PartHeader, path: Path) -> tuple[PartBatch, BatchFacts] | None:
    """Return the next batch of an unfinished file; None if it ends here."""
    import pyarrow as pa

    try:
        rows, metadata = stream.read_next_batch_with_custom_metadata()
        return checked_batch(rows, dict(metadata or {}), header, path)
    except (StopIteration, OSError, pa.ArrowException, InputError):
        return None
