"""The folder of one index: a file and a header that ties it to a state of the memory, never half there."""

import contextlib
import importlib.metadata
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from hueprobe.errors import SearcherError, StorageError
from hueprobe.files import PARTIAL, fsync_file, fsync_folder, sha256_of, storing
from hueprobe.memory.files import one_writer
from hueprobe.memory.headers import FILE_NAME as HEADER
from hueprobe.memory.headers import (
    FOLDER,
    IndexHeader,
    folder_name,
    read_header,
    require_whole,
    write_header,
)

if TYPE_CHECKING:
    from hueprobe.memory.store import Memory


def indexes_of(memory: "Memory", index_dir: str | Path | None = None) -> Path:
    """Return the folder of a memory's indexes: its own, or below another that several memories may share.

    Parameters
    ----------
    memory : Memory
    index_dir : path, optional
        Below it a folder is named by the memory and by the first line of its ledger, which no other has.
    """
    if index_dir is None:
        return memory.path / FOLDER
    return Path(index_dir) / f"{memory.path.resolve().name}-{memory.ledger.hashes[0][:12]}"


@contextlib.contextmanager
def written_alone(memory: "Memory", indexes: Path) -> Iterator[None]:
    """Hold the lock of the folder of a memory's indexes, which for its own is the memory's.

    Parameters
    ----------
    memory : Memory
    indexes : Path
        That of `indexes_of`.

    Raises
    ------
    MemoryFormatError
        Another process holds it.
    StorageError
        The folder cannot be written; of a memory's own it is said that another may be named.
    """
    own = indexes == indexes_of(memory)
    try:
        if not own:
            with storing(indexes):
                indexes.mkdir(parents=True, exist_ok=True)
        with one_writer(memory.path if own else indexes):
            yield
    except StorageError as error:
        if own:
            raise StorageError(f"{error}; or keep indexes elsewhere, with --index-dir DIR") from error
        raise


@dataclass(frozen=True)
class IndexFolder:
    """A folder below a memory's `indexes/`, or below the folder that has the place of it.

    Attributes
    ----------
    memory : Memory
    contents : str
        What lies there, `kind:build`, as the header says it too; the folder is named by it.
    package : str
        The package that builds it, whose version the header records.
    indexes : Path
        The folder it lies in: that of `indexes_of`.
    """

    memory: "Memory"
    contents: str
    package: str
    indexes: Path

    @property
    def path(self) -> Path:
        """Where the folder lies, or would."""
        return self.indexes / folder_name(self.contents)

    @property
    def exists(self) -> bool:
        """Whether there is an index, of whatever state of the memory."""
        return (self.path / HEADER).is_file()

    @property
    def is_current(self) -> bool:
        """Whether there is an index of the memory as it is now."""
        try:
            self.current_header()
        except SearcherError:
            return False
        return True

    def current_header(self) -> IndexHeader:
        """Return the header.

        Raises
        ------
        SearcherError
            It is missing or damaged, or of another memory or another state of it, or the file has another
            size.
        """
        header = read_header(self.path)
        memory = self.memory
        if (header.ledger, header.spec, header.n_channels) != (
            memory.ledger.tip, self.contents, memory.n_channels,
        ):  # fmt: skip
            raise SearcherError(
                f"the index {self.path} belongs to another state of the memory, or to another memory; "
                f"rebuild it with `hueprobe index --searcher {self.contents}` or remove the folder"
            )
        file = self.path / header.file
        size = file.stat().st_size if file.is_file() else -1
        if size != header.size:
            raise SearcherError(f"{file} has {size} bytes, its header says {header.size}; rebuild the index")
        return header

    def require_whole(self) -> None:
        """Raise SearcherError unless the index is current and its file, byte for byte, what was written."""
        self.current_header()
        require_whole(self.path)

    def build(self, write: Callable[[Path], Path]) -> None:
        """Let `write` fill an empty folder, and put that in the place of what was there.

        What builds that were killed left behind goes first, and this one's where it fails.

        Parameters
        ----------
        write : callable
            Takes the empty folder and returns the file that it made there.
        """
        partial = self.path.with_name(self.path.name + PARTIAL)
        with written_alone(self.memory, self.indexes):
            for leftover in self.path.parent.glob(f"*{PARTIAL}"):
                shutil.rmtree(leftover, ignore_errors=True)
            try:
                with storing(self.path):
                    partial.mkdir(parents=True)
                    fsync_folder(self.indexes.parent)
                self.install(write(partial))
            except BaseException:
                shutil.rmtree(partial, ignore_errors=True)
                raise

    def install(self, file: Path) -> None:
        """Give a file its header and make the folder it lies in this one; the caller holds the memory's lock.

        Parameters
        ----------
        file : Path
            Alone in a folder of the same disk.
        """
        with storing(self.path):
            fsync_file(file)
            header = IndexHeader(
                spec=self.contents,
                file=file.name,
                sha256=sha256_of(file),
                size=file.stat().st_size,
                ledger=self.memory.ledger.tip,
                n_vectors=int(self.memory.valid().sum()),
                n_channels=self.memory.n_channels,
                library={self.package: importlib.metadata.version(self.package)},
                recall_at_10={},
            )
            write_header(file.parent, header)
            if self.path.exists():
                shutil.rmtree(self.path)
            file.parent.rename(self.path)
            fsync_folder(self.path.parent)
