"""The folder of a memory's parts, `my.memory.parts`: one memory for each part, and what all have in common.

`whole` is the memory to be: its settings and its list of images, frozen by the first part that was begun.
`join` fills it and gives it its name. `parts.json` is written when `whole` is ready: the number of parts.
"""

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from msgspec import Meta

from hueprobe.errors import InputError, MemoryDamagedError, MemoryFormatError
from hueprobe.files import written_whole
from hueprobe.images.table import ImageTable
from hueprobe.json_documents import json_text
from hueprobe.memory.contents import read_source
from hueprobe.memory.in_parts import parts_folder
from hueprobe.memory.ledger import Ledger, read_ledger
from hueprobe.memory.records import Record, RecordError, as_record
from hueprobe.memory.settings import MemorySettings, read_settings
from hueprobe.memory.steps import source_file
from hueprobe.scale.part import Part

FILE_NAME = "parts.json"
FORMAT = 1
PART_NAME = re.compile(r"[0-9]{4,}-of-[0-9]{4,}")


class PartsRecord(Record, frozen=True):
    """Contents of parts.json: version of the format, and number of parts."""

    format: Annotated[int, Meta(ge=1)]
    n: Annotated[int, Meta(ge=1)]


def part_path(path: str | Path, part: Part) -> Path:
    """Return the folder of a part, which is a memory of its own.

    Parameters
    ----------
    path : path
        Folder of the whole memory.
    part : Part
        The part.

    Returns
    -------
    Path

    See Also
    --------
    hueprobe.scale.build_part : Build a part.

    Examples
    --------
    >>> hp.scale.part_path("my.memory", hp.scale.Part(3, 16)).as_posix()
    'my.memory.parts/0003-of-0016'
    """
    return parts_folder(Path(path)) / f"{part.number:04d}-of-{part.n:04d}"


def whole_folder(path: Path) -> Path:
    """Return the folder of the memory to be, until it is joined."""
    return parts_folder(path) / "whole"


@dataclass(frozen=True)
class Whole:
    """What all parts of a memory have in common.

    Attributes
    ----------
    path : Path
        Folder of the memory once it is joined.
    n : int
        Number of parts.
    settings : MemorySettings
        Settings of the memory and of each part.
    ledger : Ledger
        Steps of the memory to be: its list of images, and the shards that are joined.
    """

    path: Path
    n: int
    settings: MemorySettings
    ledger: Ledger

    @property
    def folder(self) -> Path:
        """Folder of the memory to be."""
        return whole_folder(self.path)

    @property
    def is_joining(self) -> bool:
        """Whether a join has begun."""
        return bool(self.ledger.shards)

    def rows(self, number: int) -> range:
        """Return the images of a part as rows of the memory."""
        return share_of(Part(number, self.n), self.ledger.n_listed, self.settings, self.path)

    def listed(self) -> ImageTable:
        """Return the list of all images."""
        name = source_file(0)
        return read_source(self.folder / name, self.ledger.files[name], self.ledger.n_listed)


def read_parts(path: Path) -> Whole | None:
    """Return what the parts of a memory have in common; None if none was begun.

    Raises
    ------
    MemoryDamagedError
        parts.json or a file of the memory to be is damaged or missing.
    MemoryFormatError
        A newer version of hueprobe began the parts.
    """
    file = parts_folder(path) / FILE_NAME
    try:
        document = json.loads(file.read_text("utf-8"))
        version = document.get("format") if isinstance(document, dict) else None
        if isinstance(version, int) and version > FORMAT:
            raise MemoryFormatError(
                f"{file} has format {version}, this hueprobe reads up to {FORMAT}; install a newer hueprobe"
            )
        record = as_record(document, PartsRecord)
    except FileNotFoundError:
        return None
    except RecordError as error:
        raise MemoryDamagedError(f"{file} {error}; restore it, or remove {file.parent}") from None
    except (OSError, json.JSONDecodeError, UnicodeDecodeError, RecursionError) as error:
        reason = getattr(error, "strerror", None) or "it is not JSON"
        raise MemoryDamagedError(
            f"{file} is damaged ({reason}); restore it, or remove {file.parent}"
        ) from None
    folder = whole_folder(path)
    if not folder.exists():  # joined, and not all is removed yet
        return None
    whole = Whole(path, record.n, read_settings(folder), read_ledger(folder))
    if not whole.ledger.lists:
        raise MemoryDamagedError(f"{folder} has lost its ledger; restore it, or remove {file.parent}")
    return whole


def write_parts(path: Path, n: int) -> None:
    """Record that the memory to be is ready, and how many parts it has."""
    with written_whole(parts_folder(path) / FILE_NAME) as file:
        document = PartsRecord(format=FORMAT, n=n).to_json()
        file.write((json_text(document, indent=2) + "\n").encode())


def share_of(part: Part, n_images: int, settings: MemorySettings, path: Path) -> range:
    """Return the images of a part: whole shards, as many in each part as far as possible.

    Raises
    ------
    InputError
        There are more parts than shards.
    """
    size = settings.shard_images
    n_shards = -(-n_images // size)
    if part.n > n_shards:
        raise InputError(
            f"{path} has {n_images} images in {n_shards} shards of {size}, so at most {n_shards} parts, got "
            f"{part}; give fewer parts (--part I/{n_shards})"
        )
    shards = part.share(n_shards)
    return range(shards.start * size, min(shards.stop * size, n_images))
