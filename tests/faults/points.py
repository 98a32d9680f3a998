"""The moments at which a write to disk may fail, counted; at one the process dies, or the system refuses.

Installed in a child process by a test. Everything that the package does to its files goes through here, but
for what C++ writes (Annoy, and FAISS below its callback), which kills at random times and full disks reach.
"""

import io
import os
import signal
import threading

CHANGING = ("fsync", "replace", "rename", "unlink", "mkdir", "rmdir")


class Points:
    """Counts writes, and does `action` at the one numbered `at` (from 1).

    Parameters
    ----------
    at : int or None
        None only counts.
    action : "kill" or int
        SIGKILL, with half of the data written where it is a write; or the errno of an OSError.
    lasting : bool
        Whether every later one fails too, as on a disk that stays full. Removing goes on working.
    """

    def __init__(self, at=None, action="kill", *, lasting=False):
        self.at, self.action, self.lasting = at, action, lasting
        self.names = []
        self._lock = threading.Lock()

    def install(self):
        for name in CHANGING:
            setattr(os, name, self._watched(name, getattr(os, name)))
        opened = io.open

        def watched_open(file, mode="r", *args, **options):
            if not set(mode) & set("wax+"):
                return opened(file, mode, *args, **options)
            self.reach("open", file)
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
        if self.action == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        raise OSError(self.action, os.strerror(self.action), str(what))

    def _watched(self, kind, function):
        def watched(what, *args, **options):
            self.reach(kind, os.readlink(f"/proc/self/fd/{what}") if isinstance(what, int) else what)
            return function(what, *args, **options)

        return watched


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
