"""The header of a derived folder, `indexes/<spec>/index.json`: what file lies there, and of which memory.

The header carries its own hash and is written in one form only, so that no byte of it can differ unnoticed.
"""

import hashlib
import json
import re
from pathlib import Path
from typing import Any

from hueprobe.errors import SearcherError
from hueprobe.files import PARTIAL, sha256_of, written_whole
from hueprobe.memory.files import to_json_line

FOLDER = "indexes"
FILE_NAME = "index.json"
_OWN_HASH = "header_sha256"
_PLAIN_NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,60}")
_FIELDS: dict[str, type] = {
    "spec": str, "file": str, "sha256": str, "size": int, "ledger": str, "n_vectors": int,
    "n_channels": int, "library": dict, "recall_at_10": dict,
}  # fmt: skip


def write_header(folder: Path, header: dict[str, Any]) -> None:
    """Write a header, whole or not at all, with its hash."""
    with written_whole(folder / FILE_NAME) as file:
        file.write(_text(header))


def read_header(folder: Path) -> dict[str, Any]:
    """Read a header, its own hash left out.

    Raises
    ------
    SearcherError
        It is missing, or is not as it was written.
    """
    path = folder / FILE_NAME
    try:
        data = path.read_bytes()
        header = json.loads(data)
        del header[_OWN_HASH]
        if _text(header) == data and _is_header(header):
            return dict(header)
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        pass
    raise SearcherError(f"{path} is damaged or missing; remove {folder} and build the index again")


def require_whole(folder: Path) -> None:
    """Compare every byte of the index with its header; a library may crash on a damaged one.

    Raises
    ------
    SearcherError
        A byte differs, or the file cannot be read.
    """
    header = read_header(folder)
    path = folder / header["file"]
    try:
        intact = sha256_of(path) == header["sha256"]
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
        if header["ledger"] not in ledger_hashes:
            problems.append(
                f"{folder}: an index of another memory, or of a line the ledger has lost; remove it"
            )
        if folder.name != folder_name(header["spec"]):
            problems.append(f"{folder}: holds an index of {header['spec']!r}; remove it")
        known = {FILE_NAME, header["file"]}
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
    return (json.dumps({**header, _OWN_HASH: digest}, sort_keys=True, indent=2) + "\n").encode()


def _is_header(header: dict[str, Any]) -> bool:
    return (
        set(header) == set(_FIELDS)
        and all(type(header[name]) is kind for name, kind in _FIELDS.items())
        and _PLAIN_NAME.fullmatch(header["file"]) is not None
        and header["file"] != FILE_NAME
        and all(type(value) in (int, float) and 0 <= value <= 1 for value in header["recall_at_10"].values())
    )
