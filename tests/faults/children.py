"""Commands run in child processes that may be killed, and what must be left of a memory whatever happened."""

import json
import os
import subprocess
import sys
from dataclasses import dataclass


@dataclass(frozen=True)
class Ended:
    """How a child ended: exit code (-9 for SIGKILL, "hung"), output, and the points it reached."""

    code: int | str
    out: str
    err: str
    points: list
    seconds: float

    @property
    def killed(self):
        return self.code == -9


class Children:
    """Runs commands in forks of a process that has everything imported."""

    def __init__(self):
        self._warm = subprocess.Popen(
            [sys.executable, "-m", "tests.faults.warm"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            text=True, env={**os.environ, "OMP_NUM_THREADS": "1", "MPLBACKEND": "agg"},
        )  # fmt: skip
        assert self._warm.stdout.readline() == "ready\n"

    def run(self, *argv, points=None, signal=None, after=0.0):
        asked = {"argv": [str(a) for a in argv], "points": points, "signal": signal, "after": after}
        self._warm.stdin.write(json.dumps(asked) + "\n")
        self._warm.stdin.flush()
        return Ended(**json.loads(self._warm.stdout.readline()))

    def close(self):
        self._warm.stdin.close()
        self._warm.wait()
        self._warm.stdout.close()


def contents(folder):
    """Return {name: bytes} of all files below a folder."""
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def differences(folder, whole):
    """Name what differs between a folder and the contents it should have."""
    here = contents(folder) if folder.exists() else {}
    return [name for name in sorted(here.keys() | whole.keys()) if here.get(name) != whole.get(name)]


def unsound(memory, whole):
    """Say what is wrong with a memory that was interrupted, given the contents of the finished one, or None.

    Judged without the package: the ledger's whole lines are the first of the finished one's, and every file
    they name is there with its bytes.
    """
    path = memory / "ledger.jsonl"
    if not path.exists():
        return None
    *lines, _ = path.read_bytes().split(b"\n")
    if lines != whole["ledger.jsonl"].split(b"\n")[: len(lines)]:
        return f"{len(lines)} ledger lines that are not the first of the undisturbed build's"
    for line in lines:
        for name in json.loads(line)["files"]:
            file = memory / name
            if not file.exists() or file.read_bytes() != whole[name]:
                return f"{name} is in the ledger, and missing or not as it should be"
    return None
