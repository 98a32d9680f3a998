"""The ledger: one line a finished step, each holding the hash of the line before.

What is not in the ledger is not read. Steps are `source` (settings and list of pictures), `shard`,
`append` (a further list of pictures) and `complete` (with the hashes of all files). No line holds
a time, so that an interrupted build, continued, is byte for byte the undisturbed one.
"""

import hashlib
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hueprobe.errors import MemoryDamagedError
from hueprobe.memory.files import to_json_line

FILE_NAME = "ledger.jsonl"
STEPS = ("source", "shard", "append", "complete")


@dataclass(frozen=True)
class Ledger:
    """The finished steps of a memory.

    Attributes
    ----------
    steps : tuple of dict
        Parsed lines, in order.
    tip : str
        Hex sha256 of the last line; empty for an empty ledger.
    torn : int
        Bytes behind the last whole line, left by a killed writer.
    """

    steps: tuple[dict[str, Any], ...] = ()
    tip: str = ""
    torn: int = 0

    @property
    def complete(self) -> bool:
        """Whether the last step says that all pictures were done."""
        return bool(self.steps) and self.steps[-1]["step"] == "complete"

    @property
    def files(self) -> dict[str, dict[str, Any]]:
        """Every file the steps have added: name relative to the memory -> {"sha256", "size"}."""
        return {
            name: entry
            for step in self.steps
            if step["step"] != "complete"
            for name, entry in step["files"].items()
        }

    def of(self, kind: str) -> list[dict[str, Any]]:
        """Return the steps of one kind, in order."""
        return [step for step in self.steps if step["step"] == kind]


def _hash(line: str) -> str:
    return hashlib.sha256(line.encode()).hexdigest()


def read_ledger(folder: Path) -> Ledger:
    """Read and check the chain of a memory's ledger.

    Raises
    ------
    MemoryDamagedError
        A line that is no step, or whose `previous` is not the hash of the line before.
    """
    path = folder / FILE_NAME
    try:
        text = path.read_bytes()
    except FileNotFoundError:
        return Ledger()
    *lines, rest = text.split(b"\n")
    steps: list[dict[str, Any]] = []
    tip = ""
    for number, line in enumerate(lines, start=1):
        try:
            step = json.loads(line)
            intact = step["previous"] == tip and step["step"] in STEPS and isinstance(step["files"], dict)
        except (ValueError, KeyError, TypeError, RecursionError):
            intact = False
        if not intact:
            raise MemoryDamagedError(
                f"{path}, line {number} is damaged or out of order; restore the file or build the memory anew"
            )
        steps.append(step)
        tip = hashlib.sha256(line).hexdigest()
    return Ledger(tuple(steps), tip, len(rest))


def append_step(folder: Path, ledger: Ledger, step: dict[str, Any]) -> Ledger:
    """Add one finished step, durably, and return the new ledger.

    A torn line that a killed writer left behind is cut off first.
    """
    line = to_json_line({**step, "previous": ledger.tip})
    path = folder / FILE_NAME
    with path.open("ab") as file:
        if ledger.torn:
            file.truncate(file.tell() - ledger.torn)
        file.write(line.encode() + b"\n")
        file.flush()
        os.fsync(file.fileno())
    return Ledger((*ledger.steps, json.loads(line)), _hash(line))
