"""The moments at which a write to disk may fail, counted; at one the process dies, or the system refuses.

Installed in a child process by a test. Everything that the package does to its files goes through here, but
for what C++ writes (Annoy, and FAISS below its callback), which kills at random times and full disks reach.
"""

import contextlib
import io
import os
import shutil
import signal
import threading
from functools import partial
from pathlib import Path

CHANGING = ("fsync", "replace", "rename", "link", "unlink", "mkdir", "rmdir")


_RENAME = os.rename


class Points:
    """Counts writes, and does `action` at the one numbered `at` (from 1).

    Parameters
    ----------
    at : int or None
        None only counts.
    action : "kill", "power" or int
        SIGKILL, with half of the data written where it is a write; the same with all lost that no fsync made
        durable, as in a power cut; or the errno of an OSError.
    lasting : bool
        Whether every later one fails too, as on a disk that stays full. Removing goes on working.
    """

    def __init__(self, at=None, action="kill", *, lasting=False):
        self.at, self.action, self.lasting = at, action, lasting
        self.names = []
        self._durable = _Durable()
        self._lock = threading.Lock()

    def install(self):
        for name in CHANGING:
            setattr(os, name, self._watched(name, getattr(os, name)))
        opened = io.open

        def watched_open(file, mode="r", *args, **options):
            if not set(mode) & set("wax+"):
                return opened(file, mode, *args, **options)
            self.reach("open", file)
            with self._durable.opening(Path(file)):
                return _WatchedFile(opened(file, mode, *args, **options), self)

        io.open = watched_open

    def reach(self, kind, what, half=None):
        """Count one point, and act there; `half` writes half of what was to be written."""
        with self._lock:
            self.names.append(f"{kind} {os.path.basename(str(what))}")
            number = len(self.names)
        hit = self.at is not None and (number >= self.at if self.lasting else number == self.at)
        if not hit or (self.lasting and kind in ("unlink", "rmdir")):
            return
        if half is not None:
            half()
        if self.action == "power":
            self._durable.cut()
        if self.action in ("kill", "power"):
            os.kill(os.getpid(), signal.SIGKILL)
        raise OSError(self.action, os.strerror(self.action), str(what))

    def _watched(self, kind, function):
        def watched(what, *args, **options):
            path = os.readlink(f"/proc/self/fd/{what}") if isinstance(what, int) else what
            self.reach(kind, path)
            target = args[0] if kind in ("replace", "rename", "link") else None
            before = self._durable.before(kind, target)
            result = function(what, *args, **options)
            self._durable.happened(kind, Path(path), target, before)
            return result

        return watched


class _Durable:
    """What a power cut would leave: synced contents, and names in synced folders.

    Taken at its worst, as POSIX allows: what no fsync has covered is gone. Removals are taken to last.
    """

    def __init__(self):
        self._sizes = {}  # of files with unsynced contents: bytes that are synced
        self._undo = []  # (folder, what takes a name in it back)
        self._new = set()  # files whose names no fsync has made durable

    @contextlib.contextmanager
    def opening(self, path):
        new = not path.exists()
        self._sizes.setdefault(path, 0 if new else path.stat().st_size)
        yield
        if new:
            self._new.add(path)
            self._undo.append((path.parent, lambda: path.unlink(missing_ok=True)))

    def before(self, kind, target):
        return Path(target).read_bytes() if kind == "replace" and Path(target).exists() else None

    def happened(self, kind, path, target, before):
        if kind == "fsync":
            self._sizes.pop(path, None)
            self._undo = [(folder, undo) for folder, undo in self._undo if folder != path]
            self._new = {name for name in self._new if name.parent != path}
        elif kind == "mkdir":
            self._undo.append((path.parent, lambda: shutil.rmtree(path, ignore_errors=True)))
        elif kind == "replace":
            target = Path(target)
            if path in self._sizes:
                self._sizes[target] = self._sizes.pop(path)
            back = target.unlink if before is None else lambda: target.write_bytes(before)
            if before is None and path not in self._new:
                back = partial(_RENAME, target, path)
            self._new = {target if name == path else name for name in self._new}
            self._undo.append((target.parent, back))
        elif kind == "rename":
            self._undo.append((Path(target).parent, lambda: _RENAME(target, path)))
        elif kind == "link":
            self._undo.append((Path(target).parent, Path(target).unlink))

    def cut(self):
        """Take everything back that may be lost; called last in the process."""
        for path, size in self._sizes.items():
            if path.exists():
                os.truncate(path, size)
        for _, undo in reversed(self._undo):
            with contextlib.suppress(OSError):
                undo()


class _WatchedFile:
    """A file whose writes are points."""

    def __init__(self, file, points):
        self._file, self._points = file, points

    def __getattr__(self, name):
        return getattr(self._file, name)

    def __enter__(self):
        self._file.__enter__()
        return self

    def __exit__(self, *error):
        return self._file.__exit__(*error)

    def write(self, data):
        def half():
            view = memoryview(data).cast("B") if not isinstance(data, str) else data
            self._file.write(view[: len(view) // 2])
            self._file.flush()

        self._points.reach("write", self._file.name, half)
        return self._file.write(data)
