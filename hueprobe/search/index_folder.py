"""The folder of one index: a file, and a header that ties it to a state of the memory; never partial."""

import contextlib
import importlib.metadata
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import UNSET, UnsetType

from hueprobe.errors import SearcherError, StorageError
from hueprobe.files import PARTIAL, fsync_file, fsync_folder, sha256_of, storing
from hueprobe.memory.files import one_writer
from hueprobe.memory.headers import FILE_NAME as HEADER
from hueprobe.memory.headers import (
    FOLDER,
    UNFINISHED,
    IndexHeader,
    folder_name,
    read_header,
    require_whole,
    write_header,
)
from hueprobe.search.unfinished import BUILD_FILE, read_build, remove_stale

if TYPE_CHECKING:
    from hueprobe.memory.store import Memory


def indexes_of(memory: "Memory", index_dir: str | Path | None = None) -> Path:
    """Return the folder of a memory's indexes: in its own folder, or below one that several memories share.

    Parameters
    ----------
    memory : Memory
        The memory.
    index_dir : path, optional
        Shared folder. Each memory has a folder in it, named by the memory and by the hash of the first line
        of its ledger, which is unique. By default the memory's own folder.
    """
    if index_dir is None:
        return memory.path / FOLDER
    return Path(index_dir) / f"{memory.path.resolve().name}-{memory.ledger.hashes[0][:12]}"


@contextlib.contextmanager
def written_alone(memory: "Memory", indexes: Path) -> Iterator[None]:
    """Hold the lock of a memory's indexes; in the memory's own folder, it is the memory's lock.

    Parameters
    ----------
    memory : Memory
        The memory.
    indexes : Path
        Folder of the indexes, from `indexes_of`.

    Raises
    ------
    MemoryFormatError
        Another process holds the lock.
    StorageError
        The folder cannot be written. For the memory's own folder, the message suggests `--index-dir`.
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
    """A folder below a memory's `indexes/`, or below the folder that replaces it.

    Attributes
    ----------
    memory : Memory
        The memory.
    contents : str
        Contents as `kind:build`, as in the header; the folder is named by it.
    package : str
        The package that builds the index; the header records its version.
    indexes : Path
        The parent folder, from `indexes_of`.
    """

    memory: "Memory"
    contents: str
    package: str
    indexes: Path

    @property
    def path(self) -> Path:
        """Path of the folder, existing or not."""
        return self.indexes / folder_name(self.contents)

    @property
    def exists(self) -> bool:
        """Whether there is an index, for any state of the memory."""
        return (self.path / HEADER).is_file()

    @property
    def is_current(self) -> bool:
        """Whether there is an index of the current state of the memory."""
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
            The header is missing or damaged, belongs to another memory or another state of it, or the file
            has another size.
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
            raise SearcherError(
                f"{file} has {size} bytes, but {header.size} in its header; rebuild the index"
            )
        return header

    def require_whole(self) -> None:
        """Raise SearcherError unless the index is current and its file is unchanged."""
        self.current_header()
        require_whole(self.path)

    def build(
        self, write: Callable[[Path], Path], *, nonzero: float | UnsetType = UNSET, resumable: bool = False
    ) -> None:
        """Let `write` fill a folder, and replace this folder by it.

        Leftovers of killed builds are removed first, except those of resumable builds of this state of the
        memory. If `write` fails, its folder is removed; that of a resumable build only if FAISS refused.

        Parameters
        ----------
        write : callable
            Takes the folder and returns the file that it wrote there.
        nonzero : float, optional
            Share of nonzero values in the vectors, for the header.
        resumable : bool, default=False
            Whether the folder may hold what an earlier `write` left, and `write` goes on with it.
        """
        partial = self.path.with_name(self.path.name + (UNFINISHED if resumable else PARTIAL))
        with written_alone(self.memory, self.indexes):
            for leftover in self.path.parent.glob(f"*{PARTIAL}"):
                shutil.rmtree(leftover, ignore_errors=True)
            remove_stale(self.memory, self.indexes)
            try:
                with storing(self.path):
                    partial.mkdir(parents=True, exist_ok=resumable)
                    fsync_folder(self.indexes.parent)
                    fsync_folder(self.indexes)
                self.install(write(partial), nonzero=nonzero)
            except BaseException as error:
                if not resumable or isinstance(error, SearcherError):
                    shutil.rmtree(partial, ignore_errors=True)
                raise

    def install(self, file: Path, *, nonzero: float | UnsetType = UNSET) -> None:
        """Write the header of a file and replace this folder by the file's; the caller holds the lock.

        Parameters
        ----------
        file : Path
            The index file, in a folder on the same disk; other files there are removed.
        nonzero : float, optional
            Share of nonzero values in the vectors, for the header.
        """
        build = read_build(file.parent)
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
                nonzero=nonzero,
                training=UNSET if build is None else build.training,
            )
            write_header(file.parent, header)
            # build.json last: without it, the next build would begin anew.
            for other in sorted(file.parent.iterdir(), key=lambda path: path.name == BUILD_FILE):
                if other.name not in (file.name, HEADER):
                    other.unlink()
            if self.path.exists():
                shutil.rmtree(self.path)
            file.parent.rename(self.path)
            fsync_folder(self.path.parent)
