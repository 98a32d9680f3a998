"""The time when a file last changed, in its bytes or in what its name leads to."""

import os
import stat

_MOST_LINKS = 40  # on the way to a file, like Linux


class LastChange:
    """Returns when the file at a path last changed; looks up each folder on the way only once.

    `mtime` can be set back and `ctime` cannot, so the later of both counts for a file. It is also noticed if
    a name leads to another file now: a link has its own `ctime`, and a renamed folder has a `ctime` after its
    `mtime` (adding a file sets both). Below the root, a folder's `ctime` always counts.

    Parameters
    ----------
    root : str
        Absolute path of the folder of the images.
    """

    def __init__(self, root: str) -> None:
        self._below = os.path.join(root, "")
        self._folders: dict[str, int] = {}

    def __call__(self, path: str) -> int:
        """Return the time of the last change in ns since the epoch.

        Parameters
        ----------
        path : str
            Absolute path of a file below the root.

        Raises
        ------
        OSError
            If the file does not exist.
        """
        return self._of(path, 0)

    def _of(self, path: str, links: int) -> int:
        if path in self._folders:
            return self._folders[path]
        above, name = os.path.split(path)
        if not name:
            return 0  # the root of the file system
        info = os.lstat(path)
        if stat.S_ISLNK(info.st_mode):
            if links == _MOST_LINKS:
                raise OSError(f"too many links on the way to {path}")
            target = os.path.join(os.path.realpath(above), os.readlink(path))
            led_to = self._of(os.path.normpath(target), links + 1)
            own = max(info.st_ctime_ns, led_to)
        elif not stat.S_ISDIR(info.st_mode):
            own = max(info.st_mtime_ns, info.st_ctime_ns)
        elif path.startswith(self._below) or info.st_ctime_ns > info.st_mtime_ns:
            own = info.st_ctime_ns
        else:
            own = 0
        changed = max(own, self._of(above, links))
        if not stat.S_ISREG(info.st_mode):
            self._folders[path] = changed
        return changed
