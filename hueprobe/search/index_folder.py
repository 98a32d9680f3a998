"""The folder of one index: a file and a header that ties it to a state of the memory, never half there."""

import importlib.metadata
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from hueprobe.errors import SearcherError
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


@dataclass(frozen=True)
class IndexFolder:
    """A folder below a memory's `indexes/`.

    Attributes
    ----------
    memory : Memory
    contents : str
        What lies there, `kind:build`, as the header says it too; the folder is named by it.
    package : str
        The package that builds it, whose version the header records.
    """

    memory: "Memory"
    contents: str
    package: str

    @property
    def path(self) -> Path:
        """Where the folder lies, or would."""
        return self.memory.path / FOLDER / folder_name(self.contents)

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
        with one_writer(self.memory.path):
            for leftover in self.path.parent.glob(f"*{PARTIAL}"):
                shutil.rmtree(leftover, ignore_errors=True)
            try:
                with storing(self.path):
                    partial.mkdir(parents=True)
                    fsync_folder(self.memory.path)
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
