"""Finished runs of a study, one JSON file per run, made by one process or shared among several."""

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict
from pathlib import Path
from typing import Any, Generic, TypeVar

import msgspec

from hueprobe.errors import InputError
from hueprobe.files import storing, written_whole
from hueprobe.json_documents import json_text, with_nans
from hueprobe.studies.locks import locked

Run = TypeVar("Run")


class RunStore(Generic[Run]):
    """A folder of finished runs; each run is made once, and its file appears complete at its end.

    Parameters
    ----------
    folder : Path
        Folder of the files; created by the first finished run.
    kind : type
        Type of a run: a frozen dataclass with typed fields, which msgspec reads.
    ending : str, default=".json"
        Ending of the file names.
    locks : Path, optional
        Existing folder of the locks, one per run in progress; `folder` by default.
    indent : int, optional
        Number of spaces per level of the JSON; by default a run is one line of text.
    encode, decode : callable, optional
        Functions from run to JSON document and back; by default the document has the fields of the dataclass,
        with NaN as null.
    remedy : str, default="remove it, and it is made again"
        What to do about an unreadable file, for the error message.
    """

    def __init__(
        self,
        folder: Path,
        kind: type[Run],
        *,
        ending: str = ".json",
        locks: Path | None = None,
        indent: int | None = None,
        encode: Callable[[Run], Any] = asdict,  # type: ignore[assignment]
        decode: Callable[[Any], Run] | None = None,
        remedy: str = "remove it, and it is made again",
    ) -> None:
        self.folder, self.ending, self.locks = folder, ending, locks or folder
        self._encode, self._indent, self._remedy = encode, indent, remedy
        self._decode = decode or (lambda document: msgspec.convert(with_nans(document, kind), kind))

    def path(self, name: str) -> Path:
        """Return the file of a run, finished or not."""
        return self.folder / f"{name}{self.ending}"

    def __contains__(self, name: str) -> bool:
        """Return whether a run is finished."""
        return self.path(name).is_file()

    def read(self, name: str) -> Run:
        """Return a finished run.

        Raises
        ------
        InputError
            The file is not a run, or is of another version.
        """
        path = self.path(name)
        try:
            return self._decode(json.loads(path.read_bytes()))
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
            raise InputError(
                f"{path} is not a finished run of this version ({error}); {self._remedy}"
            ) from None

    def write(self, name: str, run: Run) -> None:
        """Save a finished run."""
        with storing(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
        text = json_text(self._encode(run), indent=self._indent)
        with written_whole(self.path(name)) as file:
            file.write((text if self._indent else f"{text}\n").encode())

    def locked(self, name: str, *, wait: bool = False) -> AbstractContextManager[bool]:
        """Lock a run, so that no other process makes it; see `hueprobe.studies.locks.locked`."""
        return locked(self.locks / f"{name}.lock", wait=wait)

    def shared_out(self, names: Sequence[str], make: Callable[[str], None]) -> Iterator[str]:
        """Make runs, shared with other processes that do the same, and yield the name of each finished run.

        Runs locked by another process are skipped and waited for at the end. If that process was stopped, its
        run is made here.

        Parameters
        ----------
        names : sequence of str
            Names of all runs, including finished ones.
        make : callable
            Function of a name that does what is left to do for the run, if anything.
        """
        others = []
        for name in names:
            with self.locked(name) as free:
                if free:
                    make(name)
            if free:
                yield name
            else:
                others.append(name)
        for name in others:
            with self.locked(name, wait=True):
                make(name)
            yield name


def settings_hash(settings: Any) -> str:
    """Return 16 hex digits that identify settings, which must be JSON values.

    >>> settings_hash({"k": 10}) == settings_hash({"k": 1})
    False
    """
    return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:16]
