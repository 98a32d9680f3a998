"""Commands run in child processes that may be killed, and what must be left of a memory whatever happened."""

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path


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
    """Runs commands in forks of a process that has everything imported.

    Parameters
    ----------
    disk : (Path, str), optional
        A folder, and the size of the disk of its own that these commands alone see there, such as "200k".
    """

    def __init__(self, disk=None):
        command = [sys.executable, "-m", "tests.faults.warm"]
        if disk is not None:
            self._disk, size = disk
            mounted = 'mount -t tmpfs -o size="$1" tmpfs "$2" && shift 2 && exec "$@"'
            command = ["unshare", "-m", "sh", "-c", mounted, "sh", size, str(self._disk), *command]
        self._warm = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            env={**os.environ, "OMP_NUM_THREADS": "1", "MPLBACKEND": "agg"},
        )  # fmt: skip
        assert self._warm.stdout.readline() == "ready\n"

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._warm.stdin.close()
        self._warm.wait()
        self._warm.stdout.close()

    def begin(self, *commands, points=None, signal=None, after=0.0):
        """Start one command or several at once; `end` must follow."""
        asked = [
            {"argv": [str(a) for a in argv], "points": points, "signal": signal, "after": after}
            for argv in commands
        ]
        self._warm.stdin.write(json.dumps(asked) + "\n")
        self._warm.stdin.flush()

    def end(self):
        """Wait for what was begun and return how each ended."""
        return [Ended(**ended) for ended in json.loads(self._warm.stdout.readline())]

    def run(self, *argv, **options):
        """Run one command: `points` as `Points` takes them; `signal` is sent after so many seconds."""
        self.begin(argv, **options)
        return self.end()[0]

    def remount(self, options):
        """Change the disk: another size, or "ro" for one that may only be read."""
        inside = ["nsenter", "-t", str(self._warm.pid), "-m"]
        subprocess.run([*inside, "mount", "-o", f"remount,{options}", str(self._disk)], check=True)

    def seen(self, path):
        """Return where this process finds a path on the disk that the commands see."""
        return Path(f"/proc/{self._warm.pid}/root{path}")


def contents(folder):
    """Return {name: bytes} of all files below a folder."""
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def differences(folder, whole):
    """Name what differs between a folder and the contents it should have."""
    here = contents(folder) if folder.exists() else {}
    return [name for name in sorted(here.keys() | whole.keys()) if here.get(name) != whole.get(name)]


def unsound(folder, whole):
    """Say what is wrong with interrupted memories, given the contents of the finished ones, or None.

    Judged without the package: a ledger's whole lines are the first of the finished one's, and every file
    they name is there with its bytes.
    """
    for path in folder.rglob("ledger.jsonl"):
        inside = path.parent.relative_to(folder)
        *lines, _ = path.read_bytes().split(b"\n")
        if lines != whole[(inside / path.name).as_posix()].split(b"\n")[: len(lines)]:
            return f"{inside}: {len(lines)} ledger lines that are not the first of the undisturbed build's"
        for line in lines:
            for name in json.loads(line)["files"]:
                file = path.parent / name
                if not file.exists() or file.read_bytes() != whole[(inside / name).as_posix()]:
                    return f"{inside}: {name} is in the ledger, and missing or not as it should be"
    return None
