"""The header of an index folder, `indexes/<spec>/index.json`: its file, and the memory it belongs to.

The header holds its own hash and has only one valid form, so that every changed byte is detected.
"""

import hashlib
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

from msgspec import UNSET, Meta, UnsetType

from hueprobe.errors import SearcherError
from hueprobe.files import PARTIAL, sha256_of, written_whole
from hueprobe.json_documents import json_text
from hueprobe.memory.files import to_json_line
from hueprobe.memory.records import Count, Record, RecordError, as_record, one_of

FOLDER = "indexes"
FILE_NAME = "index.json"
UNFINISHED = ".unfinished"  # behind the name of a folder whose build was stopped, and may be continued
_OWN_HASH = "header_sha256"
# A name without a folder, so that no header refers outside its own folder; and not the header itself.
_PLAIN_NAME = r"^(?!index\.json\Z)[A-Za-z0-9_-][A-Za-z0-9._-]{0,60}\Z"


class IndexTraining(Record, frozen=True):
    """The sample that an index was trained with.

    Attributes
    ----------
    n_vectors : int
        Number of vectors, drawn without replacement from the nonzero vectors of the memory.
    seed : int
        Seed of the draw.
    device : {"cpu", "gpu"}
        Where the lists were trained.
    """

    n_vectors: Count
    seed: Count
    device: Annotated[str, one_of(("cpu", "gpu"))]


class IndexHeader(Record, frozen=True):
    """Contents of `index.json`.

    Attributes
    ----------
    spec : str
        `kind:build` of the SPEC, without settings of the search.
    file : str
        Name of the index file in the header's folder.
    sha256 : str
        Hash of that file.
    size : int
        Size of that file in bytes.
    ledger : str
        Hash of the ledger's last line when the index was built.
    n_vectors, n_channels : int
        Number of nonzero vectors of the memory, and of their channels.
    library : mapping of str to str
        Name and version of the package that built the index.
    recall_at_10 : mapping of str to float
        Measured recall@10 in [0, 1] by search settings; None if it could not be measured.
    nonzero : float
        Share of nonzero values in a sample of the vectors, for codes of exact search; otherwise unset.
    training : IndexTraining
        The training sample of a FAISS index; unset if it needs none.
    """

    spec: str
    file: Annotated[str, Meta(pattern=_PLAIN_NAME)]
    sha256: str
    size: Count
    ledger: str
    n_vectors: Count
    n_channels: Count
    library: Mapping[str, str]
    recall_at_10: Mapping[str, Annotated[float, Meta(ge=0, le=1)] | None]
    nonzero: Annotated[float, Meta(ge=0, le=1)] | UnsetType = UNSET
    training: IndexTraining | UnsetType = UNSET


def write_header(folder: Path, header: IndexHeader) -> None:
    """Write a header with its hash, completely or not at all."""
    with written_whole(folder / FILE_NAME) as file:
        file.write(_text(header.to_json()))


def read_header(folder: Path) -> IndexHeader:
    """Read a header.

    Raises
    ------
    SearcherError
        The header is missing, or differs from what was written.
    """
    path = folder / FILE_NAME
    fault = "is damaged or missing"
    try:
        data = path.read_bytes()
        header = json.loads(data)
        del header[_OWN_HASH]
        if _text(header) == data:
            return as_record(header, IndexHeader)
    except RecordError as error:
        fault = f"is damaged: it {error}"
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        pass
    raise SearcherError(f"{path} {fault}; remove {folder} and build the index again")


def require_whole(folder: Path) -> None:
    """Compare the hash of the index file with its header; a library may crash on a damaged file.

    Raises
    ------
    SearcherError
        The file differs from what was written, or cannot be read.
    """
    header = read_header(folder)
    path = folder / header.file
    try:
        intact = sha256_of(path) == header.sha256
    except OSError as error:
        raise SearcherError(f"cannot read {path}: {error.strerror or error}; build the index again") from None
    if not intact:
        raise SearcherError(
            f"{path} is damaged: its bytes differ from what was written; remove {folder} and build the index "
            "again"
        )


def folder_problems(memory: Path, ledger_hashes: set[str]) -> list[str]:
    """Return the problems of the index folders in a memory, one sentence each.

    An index of an earlier state of the memory is stale, not damaged: opening it raises an error. If its
    ledger line is unknown, it belongs to another memory, or the ledger is outdated.
    """
    problems = []
    for folder in sorted((memory / FOLDER).glob("*")):
        if folder.name.endswith(UNFINISHED):
            problems.append(f"{folder}: an unfinished index; build it again to go on with it, or remove it")
            continue
        if folder.name.endswith(PARTIAL) or not folder.is_dir():
            problems.append(f"{folder}: an incomplete index, left by a stopped build; remove it")
            continue
        try:
            header = read_header(folder)
            require_whole(folder)
        except SearcherError as error:
            problems.append(str(error))
            continue
        if header.ledger not in ledger_hashes:
            problems.append(
                f"{folder}: an index of another memory, or of a line missing from the ledger; remove it"
            )
        if folder.name != folder_name(header.spec):
            problems.append(f"{folder}: holds an index of {header.spec!r}; remove it")
        known = {FILE_NAME, header.file}
        problems += [
            f"{path}: not part of the index; remove it"
            for path in sorted(folder.rglob("*"))
            if path.relative_to(folder).as_posix() not in known
        ]
    return problems


def folder_name(spec: str) -> str:
    """Return the folder name of an index from its `kind:build`.

    >>> folder_name("faiss:IVF4,Flat"), folder_name("annoy:trees=10")
    ('faiss-IVF4,Flat', 'annoy-trees=10')
    """
    kind, _, build = spec.partition(":")
    return re.sub(r"[^A-Za-z0-9=,._-]", lambda match: f"%{ord(match[0]):02x}", f"{kind}-{build}")


def _text(header: dict[str, Any]) -> bytes:
    digest = hashlib.sha256(to_json_line(header).encode()).hexdigest()
    return (json_text({**header, _OWN_HASH: digest}, indent=2) + "\n").encode()
