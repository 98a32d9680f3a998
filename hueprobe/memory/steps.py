"""What each line of the ledger must say, and the names of the files that it adds."""

import re
from collections.abc import Iterable, Mapping
from typing import Any

from hueprobe.memory.settings import FILE_NAME as SETTINGS

STEPS = ("source", "shard", "append", "complete")
_IN_EVERY_STEP = {"step", "previous", "sha256", "files"}
_FIELDS: dict[str, dict[str, type]] = {
    "source": {"start": int, "stop": int},
    "append": {"start": int, "stop": int},
    "shard": {"number": int, "start": int, "stop": int, "nonnegative": bool},
    "complete": {"images": int},
}
_SHA256 = re.compile(r"[0-9a-f]{64}")


def shard_files(number: int) -> tuple[str, str, str]:
    """Return the names of a shard's vectors, energy and images, relative to the memory."""
    stem = f"shards/{number:06d}"
    return f"{stem}.vectors.npy", f"{stem}.energy.npy", f"{stem}.images.parquet"


def source_file(part: int) -> str:
    """Return the name of a list of images: the first, or that of the part-th `append`."""
    return "source.parquet" if part == 0 else f"source.{part:06d}.parquet"


def first_problem(steps: Iterable[Mapping[str, Any]]) -> tuple[int, str] | None:
    """Return the line and the fault of the first step that is malformed or does not follow from those before.

    Whoever changes a ledger can compute its hashes anew; so a step is also held against the only things a
    writer ever writes: fields of their types, images in order without a gap, and files of the names that
    are theirs, none of which can lead out of the memory.

    Parameters
    ----------
    steps : iterable of dict
        Parsed lines, each with a text under "step", "previous" and "sha256" and a dict under "files".
    """
    listed = done = n_shards = n_lists = 0
    files: dict[str, Any] = {}
    before = ""
    for line, step in enumerate(steps, start=1):
        kind = step["step"]
        if (fault := _malformed(step)) is not None:
            return line, fault
        if kind in ("source", "append"):
            fits = (
                before == ("" if kind == "source" else "complete") and step["start"] == listed < step["stop"]
            )
            names = {source_file(n_lists), *({SETTINGS} if kind == "source" else ())}
            listed, n_lists = step["stop"], n_lists + 1
        elif kind == "shard":
            fits = step["number"] == n_shards and step["start"] == done < step["stop"] <= listed
            names = set(shard_files(n_shards))
            done, n_shards = step["stop"], n_shards + 1
        else:
            fits = step["images"] == done == listed > 0 and before != "complete" and step["files"] == files
            names = set(files)
        if not fits:
            return line, f"a step {kind!r} that does not follow from those before"
        if set(step["files"]) != names:
            return line, f"a step {kind!r} with files that are not its own"
        files.update(step["files"])
        before = kind
    return None


def _malformed(step: Mapping[str, Any]) -> str | None:
    fields = _FIELDS.get(step["step"])
    if fields is None:
        return "a step of an unknown kind"
    if set(step) != _IN_EVERY_STEP | set(fields):
        return f"a step {step['step']!r} with other fields than it has"
    for name, kind in fields.items():
        if type(step[name]) is not kind or step[name] < 0:
            return f"a step {step['step']!r} with {name} {step[name]!r}"
    for entry in step["files"].values():
        known = isinstance(entry, dict) and set(entry) == {"sha256", "size"}
        if (
            not known
            or type(entry["size"]) is not int
            or entry["size"] < 0
            or not _is_sha256(entry["sha256"])
        ):
            return f"a step {step['step']!r} with a file of no size or hash"
    return None


def _is_sha256(value: Any) -> bool:
    return isinstance(value, str) and _SHA256.fullmatch(value) is not None
