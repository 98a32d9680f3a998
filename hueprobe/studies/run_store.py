"""Finished runs of a study, a JSON file each, made by one process or shared out among several."""

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
    """A folder of finished runs: a file appears in it whole, at the end of its run, which is made once.

    Parameters
    ----------
    folder : Path
        Is made by the first run that is finished.
    kind : type
        What a run leaves: a frozen dataclass with typed fields, which msgspec reads.
    ending : str
        Of the files' names.
    locks : Path, optional
        Existing folder of the locks, one a run that is being made; `folder` by default.
    indent : int, optional
        Spaces a level of the JSON; by default a run is one line of text.
    encode, decode : callable, optional
        Run to JSON document and back, where the document is not the dataclass's own. NaN is null there.
    remedy : str
        What to do about a file that cannot be read.
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
        """Say whether a run is finished."""
        return self.path(name).is_file()

    def read(self, name: str) -> Run:
        """Return a finished run.

        Raises
        ------
        InputError
            Its file is none, or of another version.
        """
        path = self.path(name)
        try:
            return self._decode(json.loads(path.read_bytes()))
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
            raise InputError(f"{path} is no finished run of this version ({error}); {self._remedy}") from None

    def write(self, name: str, run: Run) -> None:
        """Enter a finished run."""
        with storing(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
        text = json_text(self._encode(run), indent=self._indent)
        with written_whole(self.path(name)) as file:
            file.write((text if self._indent else f"{text}\n").encode())

    def locked(self, name: str, *, wait: bool = False) -> AbstractContextManager[bool]:
        """Hold a run, that no other process makes it; see `hueprobe.studies.locks.locked`."""
        return locked(self.locks / f"{name}.lock", wait=wait)

    def shared_out(self, names: Sequence[str], make: Callable[[str], None]) -> Iterator[str]:
        """Make runs, each in one of the processes that do the same at this time, and yield what is made.

        Runs that another process holds are passed over, and waited for in the end: what it left undone,
        because it was stopped, is made here.

        Parameters
        ----------
        names : sequence of str
            Of all runs, finished ones too.
        make : callable
            Does what is still to be done for a run, if anything is.
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
    """Return 16 hex digits that tell settings, as JSON holds them, from all others.

    >>> settings_hash({"k": 10}) == settings_hash({"k": 1})
    False
    """
    return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:16]
