"""The folder of an index that is being built: what a stopped build leaves, and the next one continues."""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import UNSET, UnsetType, structs

from hueprobe.files import written_whole
from hueprobe.json_documents import json_text
from hueprobe.memory.headers import UNFINISHED, IndexTraining, folder_name
from hueprobe.memory.records import Count, Record, RecordError, as_record

if TYPE_CHECKING:
    from hueprobe.memory.store import Memory

BUILD_FILE = "build.json"


class BuildRecord(Record, frozen=True):
    """Contents of `build.json`: what all files of the folder belong to.

    Attributes
    ----------
    spec : str
        `kind:build` of the SPEC.
    ledger : str
        Hash of the last line of the memory's ledger.
    n_channels : int
        Number of channels of the memory.
    library : mapping of str to str
        Name and version of the package that builds the index.
    training : IndexTraining
        The training sample; unset if the index needs none.
    """

    spec: str
    ledger: str
    n_channels: Count
    library: Mapping[str, str]
    training: IndexTraining | UnsetType = UNSET

    def continues(self, other: "BuildRecord | None") -> bool:
        """Return whether this build may go on with the files of another, wherever that was trained."""
        return other is not None and _on_cpu(self) == _on_cpu(other)


def _on_cpu(record: BuildRecord) -> BuildRecord:
    if isinstance(record.training, UnsetType):
        return record
    return structs.replace(record, training=structs.replace(record.training, device="cpu"))


def write_build(folder: Path, record: BuildRecord) -> None:
    """Write `build.json`, completely or not at all."""
    with written_whole(folder / BUILD_FILE) as file:
        file.write((json_text(record.to_json(), indent=2) + "\n").encode())


def read_build(folder: Path) -> BuildRecord | None:
    """Return the record of a folder, or None if there is none that can be read."""
    try:
        return as_record(json.loads((folder / BUILD_FILE).read_bytes()), BuildRecord)
    except (OSError, ValueError, RecordError, RecursionError):
        return None


def remove_stale(memory: "Memory", indexes: Path) -> None:
    """Remove unfinished indexes that no build continues: of another state of the memory, or damaged."""
    for folder in indexes.glob(f"*{UNFINISHED}"):
        record = read_build(folder)
        if record is None or (record.ledger, folder.name) != (
            memory.ledger.tip, folder_name(record.spec) + UNFINISHED,
        ):  # fmt: skip
            shutil.rmtree(folder, ignore_errors=True)
