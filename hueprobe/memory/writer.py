"""Writing a memory shard by shard: finished shards are kept, others are written again."""

import contextlib
import hashlib
import re
import shutil
from collections.abc import Collection, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import IO, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from msgspec import UNSET

from hueprobe.activations.rounding import as_float16
from hueprobe.errors import HueprobeError, MemoryFormatError, ShapeError, StorageError
from hueprobe.files import PARTIAL, fsync_folder, storing, written_whole
from hueprobe.images.mask_files import Masks
from hueprobe.images.table import ImageTable
from hueprobe.memory import ledger as ledger_file
from hueprobe.memory import settings as settings_file
from hueprobe.memory.contents import IMAGES_SCHEMA, MASKS_SCHEMA
from hueprobe.memory.files import LOCK, FileEntry, file_entry, one_writer
from hueprobe.memory.headers import UNFINISHED
from hueprobe.memory.in_parts import is_in_parts, parts_folder
from hueprobe.memory.ledger import REMOVED, Ledger, append_step, read_ledger
from hueprobe.memory.settings import LabelSettings, MemorySettings
from hueprobe.memory.sparse_rows import SparseRowsWriter
from hueprobe.memory.steps import (
    AppendStep,
    CompleteStep,
    ShardStep,
    SourceStep,
    Step,
    label_file,
    mask_list_file,
    shard_files,
    source_file,
)
from hueprobe.memory.unchanged import mark_listed
from hueprobe.memory.vectors import SPARSE16, value_type

# Files that a build may leave, relative to the memory.
_OWN_FILES = re.compile(
    r"(shards/\d{6,}\.((vectors|energy|labels)\.npy|vectors\.sparse|images\.parquet)"
    r"|(source|masks)(\.\d{6,})?\.parquet)"
    r"(\.partial)?"
    r"|memory\.json\.partial|ledger\.jsonl\.partial"
)


class ShardWriter:
    """Writes one shard, batch by batch, under temporary names; the end of its `with` block renames the files.

    Vectors are written to disk as they arrive, so RAM use does not depend on the size of a shard.
    """

    def __init__(
        self,
        folder: Path,
        number: int,
        shape: tuple[int, int, int, int],
        dtype: str,
        labels: LabelSettings | None = None,
    ) -> None:
        self._folder, self._number = folder, number
        self._shape, self._dtype, self._type = shape, dtype, np.dtype(value_type(dtype))
        self._names = shard_files(number, dtype)
        self._labels = labels
        self._counts: list[np.ndarray] = []
        self._energies: list[np.ndarray] = []
        self._records: list[dict[str, Any]] = []
        self._written = 0
        self.nonnegative = True

    def __enter__(self) -> "ShardWriter":
        self._stack = contextlib.ExitStack()
        self._file: IO[bytes] = self._stack.enter_context(written_whole(self._folder / self._names[0]))
        self._digest = _Tee(self._file)
        writer = SparseRowsWriter if self._dtype == SPARSE16 else partial(_NpyWriter, dtype=self._type)
        self._rows: SparseRowsWriter | _NpyWriter = writer(self._digest, self._shape)
        return self

    def __exit__(self, *error: Any) -> None:
        self._stack.__exit__(*error)

    def add(
        self,
        vectors: np.ndarray,
        energy: np.ndarray,
        records: Sequence[dict[str, Any]],
        counts: np.ndarray | None = None,
    ) -> None:
        """Append one batch: vectors (b, H, W, C), energy (b, H, W), one record per image.

        A memory with labels needs their counts too, (b, H, W, L).
        """
        if self._labels is not None:
            shape = (len(vectors), *self._shape[1:3], len(self._labels.names))
            if counts is None or counts.shape != shape:
                raise AssertionError(f"no label counts of shape {shape}")
            if counts.max() > np.iinfo(self._labels.dtype).max:
                raise ShapeError(
                    f"{counts.max()} pixels of a label in one cell do not fit {self._labels.dtype}, the type "
                    "of the memory's label counts; build a memory of these larger images alone"
                )
            self._counts.append(counts.astype(self._labels.dtype))
        self.nonnegative = self.nonnegative and not bool((vectors < 0).any())
        rows = as_float16(vectors) if self._type == np.float16 else np.ascontiguousarray(vectors, self._type)
        self._rows.add(rows)
        self._energies.append(np.asarray(energy, np.float32))
        self._records.extend(records)
        self._written += len(vectors)

    def write_companions(self, start: int) -> dict[str, FileEntry]:
        """Write the files of energies, images and labels; return the ledger entries of all files.

        The file of the vectors gets its final name when the `with` block ends.
        """
        if self._written != self._shape[0]:
            raise AssertionError(f"shard {self._number}: {self._written} of {self._shape[0]} images")
        self._rows.finish()
        vectors, energy, images = self._names
        with written_whole(self._folder / energy) as file:
            np.save(file, np.concatenate(self._energies), allow_pickle=False)
        write_records(self._folder / images, start, self._records)
        entries = {
            vectors: FileEntry(sha256=self._digest.hexdigest(), size=self._digest.size),
            energy: file_entry(self._folder / energy),
            images: file_entry(self._folder / images),
        }
        if self._labels is not None:
            name = label_file(self._number)
            with written_whole(self._folder / name) as file:
                np.save(file, np.concatenate(self._counts), allow_pickle=False)
            entries[name] = file_entry(self._folder / name)
        return entries


def write_records(path: Path, start: int, records: Sequence[dict[str, Any]]) -> None:
    """Write what was found while reading images, the first of which is `start` in the memory."""
    rows = [{**record, "image": start + i} for i, record in enumerate(records)]
    with written_whole(path) as file:
        pq.write_table(pa.Table.from_pylist(rows, IMAGES_SCHEMA), file)


class _NpyWriter:
    """Writes a `.npy` file from start to end, batch by batch; see `SparseRowsWriter`."""

    def __init__(self, file: "_Tee", shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
        self._file = file
        np.lib.format.write_array_header_1_0(
            file, {"descr": dtype.str, "fortran_order": False, "shape": shape}
        )

    def add(self, rows: np.ndarray) -> None:
        self._file.write(rows.data)

    def finish(self) -> None:
        pass


class _Tee:
    """Writes to a file and updates its sha256."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file, self._sha256, self.size = file, hashlib.sha256(), 0

    def write(self, data: Any) -> int:
        self._sha256.update(data)
        self.size += memoryview(data).nbytes
        return self._file.write(data)

    def hexdigest(self) -> str:
        return self._sha256.hexdigest()


class MemoryWriter:
    """Writer of one memory, made by `open_writer`, which holds the lock."""

    def __init__(self, folder: Path, settings: MemorySettings, ledger: Ledger) -> None:
        self.folder, self.settings, self.ledger = folder, settings, ledger

    def pending_shards(self) -> Iterator[tuple[int, int]]:
        """Yield (start, stop) of each shard still to be written; none spans two lists of images."""
        size, done = self.settings.shard_images, self.ledger.n_done
        for part in self.ledger.lists:
            for start in range(part.start, part.stop, size):
                if start >= done:
                    yield start, min(start + size, part.stop)

    @contextlib.contextmanager
    def shard(self, start: int, stop: int) -> Iterator[ShardWriter]:
        """Write images [start, stop) as the next shard, and add it to the ledger at the end."""
        number = len(self.ledger.shards)
        shape = (stop - start, *self.settings.grid, self.settings.channels)
        labels = None if self.settings.labels is UNSET else self.settings.labels
        with ShardWriter(self.folder, number, shape, self.settings.dtype, labels) as shard:
            yield shard
            files = shard.write_companions(start)
        self.enter(
            ShardStep(number=number, start=start, stop=stop, nonnegative=shard.nonnegative, files=files)
        )

    def add_source(self, table: ImageTable, masks: Masks | None = None) -> None:
        """Add a list of images and their masks: the first one, or those to append."""
        part, start = len(self.ledger.lists), self.ledger.n_listed
        name = source_file(part)
        with written_whole(self.folder / name) as file:
            pq.write_table(table.to_arrow(), file)
        mark_listed(self.folder / name)
        files = {name: file_entry(self.folder / name)}
        if masks is not None:
            name = mask_list_file(part)
            columns = (range(start, start + len(masks)), masks.files, masks.sha256)
            with written_whole(self.folder / name) as file:
                pq.write_table(pa.table([list(c) for c in columns], MASKS_SCHEMA), file)
            files[name] = file_entry(self.folder / name)
        if part == 0:
            files[settings_file.FILE_NAME] = file_entry(self.folder / settings_file.FILE_NAME)
        kind = AppendStep if part else SourceStep
        self.enter(kind(start=start, stop=start + len(table), files=files))

    def complete(self) -> None:
        """Add the closing line of the ledger, with the hashes of all files."""
        self.enter(CompleteStep(images=self.ledger.n_done, files=self.ledger.files))

    def enter(self, step: Step) -> None:
        """Add a finished step to the ledger."""
        self.ledger = append_step(self.folder, self.ledger, step)


@contextlib.contextmanager
def open_writer(
    folder: Path, settings: MemorySettings, *, overwrite: bool = False, kept: Collection[str] = ()
) -> Iterator[MemoryWriter]:
    """Lock a memory and prepare it for writing: a new one, or an existing one of the same settings.

    Files of an interrupted build that are not in the ledger are removed, except those named in `kept`. A
    partial last line is truncated with the next step. A new folder is removed again if the build fails before
    its first shard.

    Raises
    ------
    MemoryFormatError
        The folder holds something else or a memory of other settings, or another process is writing it, or
        the memory is being built in parts.
    StorageError
        The folder cannot be written.
    """
    _require_memory_or_nothing(folder)
    fresh = not folder.exists()
    with storing(folder):
        folder.mkdir(parents=True, exist_ok=True)
        fsync_folder(folder.parent)
    with one_writer(folder), _removed_if_fruitless(folder, fresh):
        _require_memory_or_nothing(folder)  # another process may have written before the lock was held
        if overwrite and _is_memory(folder):
            remove_memory_files(folder)
        if _is_memory(folder):
            _require_same_settings(folder, settings)
        else:
            with storing(folder):
                (folder / "shards").mkdir(exist_ok=True)
            with written_whole(folder / settings_file.FILE_NAME) as file:
                file.write(settings_file.settings_text(settings).encode())
        ledger = read_ledger(folder)
        _remove_files(folder, {*ledger.files, *kept})
        yield MemoryWriter(folder, settings_file.read_settings(folder), ledger)


def _is_memory(folder: Path) -> bool:
    return (folder / settings_file.FILE_NAME).is_file()


def _require_memory_or_nothing(folder: Path) -> None:
    if folder.exists() and not folder.is_dir():
        raise MemoryFormatError(f"{folder} is a file; choose a folder for the memory")
    if not _is_memory(folder) and is_in_parts(folder):
        raise MemoryFormatError(
            f"{folder} is being built in parts; build those that are missing with --part, then run `hueprobe "
            f"join {folder}`, or remove {parts_folder(folder)}"
        )
    # A build killed before its settings were written leaves the lock and shards/ at most.
    leftovers = {LOCK, "shards", settings_file.FILE_NAME + PARTIAL}
    if folder.is_dir() and not _is_memory(folder) and not {p.name for p in folder.iterdir()} <= leftovers:
        raise MemoryFormatError(f"{folder} is not empty and not a memory; choose a new folder")


def _require_same_settings(folder: Path, settings: MemorySettings) -> None:
    changed = settings_file.differences(settings_file.read_settings(folder), settings)
    if changed:
        raise MemoryFormatError(
            f"{folder} holds a memory of other settings ({'; '.join(changed)}); "
            "choose another folder, use the same settings, or pass --overwrite"
        )


@contextlib.contextmanager
def _removed_if_fruitless(folder: Path, fresh: bool) -> Iterator[None]:
    try:
        yield
    except HueprobeError:
        if fresh and not any((folder / "shards").glob("*.npy")):
            with contextlib.suppress(StorageError):  # report the first error
                _remove_memory(folder)
        raise


def remove_memory(folder: Path) -> None:
    """Remove a memory that no process is writing, and its folder if it is then empty.

    Raises
    ------
    MemoryFormatError
        Another process is writing the memory.
    StorageError
        The memory cannot be removed.
    """
    with one_writer(folder):
        _remove_memory(folder)


def _remove_memory(folder: Path) -> None:
    remove_memory_files(folder)
    with storing(folder):
        (folder / LOCK).unlink(missing_ok=True)
    with contextlib.suppress(OSError):  # files of others are kept, and so is their folder
        folder.rmdir()


def remove_memory_files(folder: Path) -> None:
    """Remove the files that hueprobe wrote into a memory's folder, except the lock; other files stay.

    The ledger is first renamed, and removed after the shards. So a killed removal leaves a memory without
    shards, not a damaged memory, and not one that seems to have lost its ledger.
    """
    with storing(folder):
        if (folder / ledger_file.FILE_NAME).exists():
            (folder / ledger_file.FILE_NAME).replace(folder / REMOVED)
            fsync_folder(folder)
        for index in (folder / "indexes").glob("*"):
            if index.name.endswith((PARTIAL, UNFINISHED)) or (index / "index.json").is_file():
                shutil.rmtree(index)
        _remove_files(folder, set())
        for name in ("shards", "indexes"):
            with contextlib.suppress(OSError):
                (folder / name).rmdir()
        (folder / settings_file.FILE_NAME).unlink(missing_ok=True)


def _remove_files(folder: Path, kept: set[str]) -> None:
    """Remove shards, lists of images and temporary files, except those in `kept`."""
    with storing(folder):
        for path in [*(folder / "shards").glob("*"), *folder.glob("*")]:
            name = path.relative_to(folder).as_posix()
            if name not in kept and _OWN_FILES.fullmatch(name):
                path.unlink()
