"""The header of a derived folder, `indexes/<spec>/index.json`: what file lies there, and of which memory.

The header carries its own hash and is written in one form only, so that no byte of it can differ unnoticed.
"""

import hashlib
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

from msgspec import Meta

from hueprobe.errors import SearcherError
from hueprobe.files import PARTIAL, sha256_of, written_whole
from hueprobe.json_documents import json_text
from hueprobe.memory.files import to_json_line
from hueprobe.memory.records import Count, Record, RecordError, as_record

FOLDER = "indexes"
FILE_NAME = "index.json"
_OWN_HASH = "header_sha256"
# A name without a folder, so that no header leads out of its own; nor to itself.
_PLAIN_NAME = r"^(?!index\.json\Z)[A-Za-z0-9_-][A-Za-z0-9._-]{0,60}\Z"


class IndexHeader(Record, frozen=True):
    """What `index.json` says.

    Attributes
    ----------
    spec : str
        `kind:build` of the SPEC; how it is searched is no part of it.
    file : str
        Name of the index's file in the header's folder.
    sha256 : str
        Of that file.
    size : int
        Of that file, in bytes.
    ledger : str
        Hash of the ledger's last line when the index was built.
    n_vectors, n_channels : int
        Nonzero vectors of the memory, and their length.
    library : mapping of str to str
        Name and version of the package that built the index.
    recall_at_10 : mapping of str to float
        Measured recall@10 in [0, 1], by the search settings it was measured under; None where there was
        nothing to measure it by.
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


def write_header(folder: Path, header: IndexHeader) -> None:
    """Write a header, whole or not at all, with its hash."""
    with written_whole(folder / FILE_NAME) as file:
        file.write(_text(header.to_json()))


def read_header(folder: Path) -> IndexHeader:
    """Read a header.

    Raises
    ------
    SearcherError
        It is missing, or is not as it was written.
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
    """Compare every byte of the index with its header; a library may crash on a damaged one.

    Raises
    ------
    SearcherError
        A byte differs, or the file cannot be read.
    """
    header = read_header(folder)
    path = folder / header.file
    try:
        intact = sha256_of(path) == header.sha256
    except OSError as error:
        raise SearcherError(f"cannot read {path}: {error.strerror or error}; build the index again") from None
    if not intact:
        raise SearcherError(
            f"{path} is damaged: its bytes are not those that were written; remove {folder} and build the "
            "index again"
        )


def folder_problems(memory: Path, ledger_hashes: set[str]) -> list[str]:
    """Say what is wrong with the folders of indexes beside a memory, one sentence each.

    An index of an earlier state of the memory is stale, which is no damage: it is refused when it is asked
    for. One whose ledger line is unknown belongs to another memory, or the ledger is an old one.
    """
    problems = []
    for folder in sorted((memory / FOLDER).glob("*")):
        if folder.name.endswith(PARTIAL) or not folder.is_dir():
            problems.append(f"{folder}: no whole index, left by a build that was stopped; remove it")
            continue
        try:
            header = read_header(folder)
            require_whole(folder)
        except SearcherError as error:
            problems.append(str(error))
            continue
        if header.ledger not in ledger_hashes:
            problems.append(
                f"{folder}: an index of another memory, or of a line the ledger has lost; remove it"
            )
        if folder.name != folder_name(header.spec):
            problems.append(f"{folder}: holds an index of {header.spec!r}; remove it")
        known = {FILE_NAME, header.file}
        problems += [
            f"{path}: not known to the index; remove it"
            for path in sorted(folder.rglob("*"))
            if path.relative_to(folder).as_posix() not in known
        ]
    return problems


def folder_name(spec: str) -> str:
    """Return the name of an index's folder, of the header's `kind:build`.

    >>> folder_name("faiss:IVF4,Flat"), folder_name("annoy:trees=10")
    ('faiss-IVF4,Flat', 'annoy-trees=10')
    """
    kind, _, build = spec.partition(":")
    return re.sub(r"[^A-Za-z0-9=,._-]", lambda match: f"%{ord(match[0]):02x}", f"{kind}-{build}")


def _text(header: dict[str, Any]) -> bytes:
    digest = hashlib.sha256(to_json_line(header).encode()).hexdigest()
    return (json_text({**header, _OWN_HASH: digest}, indent=2) + "\n").encode()
