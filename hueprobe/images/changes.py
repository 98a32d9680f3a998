"""When a file last changed, as far as the file system tells: in its bytes, or in what its name leads to."""

import os
import stat

_MOST_LINKS = 40  # on the way to a file, as in Linux


class LastChange:
    """When what a path names last changed; each folder on the way is looked up once.

    `mtime` can be set back and `ctime` cannot, so the later of both counts for a file. That its name leads to
    another file now also shows: a link by its own `ctime`; a folder that was renamed by a `ctime` behind its
    `mtime`, which entering a file sets together, and below the root by either.

    Parameters
    ----------
    root : str
        Absolute folder.
    """

    def __init__(self, root: str) -> None:
        self._below = os.path.join(root, "")
        self._folders: dict[str, int] = {}

    def __call__(self, path: str) -> int:
        """Return the time in ns since the epoch.

        Parameters
        ----------
        path : str
            Absolute, of a file below the root.

        Raises
        ------
        OSError
            It is not there.
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
