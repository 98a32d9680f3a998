"""Folders of data sets: the root, and a set's own folder below it."""

import os
from dataclasses import dataclass
from pathlib import Path

from hueprobe.datasets.manifest import Manifest
from hueprobe.datasets.schema import Layout
from hueprobe.errors import ImageError
from hueprobe.images.trust import DATA


@dataclass(frozen=True)
class Place:
    """The folders where a data set was found, with links resolved.

    Attributes
    ----------
    base : Path
        The set's own folder (`layout.folder`), which contains its side tables.
    images : Path
        The folder that contains its class folders or images (`pictures` below the base).
    """

    base: Path
    images: Path


def data_root() -> Path:
    """Return the folder of all data sets: `HUEPROBE_DATA`, or by default the platform's folder for user data.

    Returns
    -------
    Path
        The folder, which need not exist.

    See Also
    --------
    hueprobe.datasets.fetch_set : Fetch a data set into this folder.

    Examples
    --------
    >>> from unittest.mock import patch
    >>> with patch.dict("os.environ", HUEPROBE_DATA="/data/sets"):
    ...     data_root().as_posix()
    '/data/sets'
    """
    if named := os.environ.get(DATA):
        return Path(named).expanduser()
    from platformdirs import user_data_path

    return user_data_path("hueprobe", appauthor=False)


def find_places(layout: Layout, root: str | Path) -> list[Place]:
    """Return the candidate places of a data set below `root`, longest path first.

    `root` may be the folder that contains the set's own, that folder itself, or any folder from there down to
    the one that contains its class folders, which is tried last.
    """
    root = Path(root).expanduser()
    folder, images = _parts(layout.folder), _parts(layout.images_folder)
    steps = (*folder, *images)
    places = []
    for k in range(len(steps) + 1):
        found = root.joinpath(*steps[k:])
        if not found.is_dir():
            continue
        found = found.resolve()
        above = found.parents[len(images) - 1] if images else found
        # Class folders that were copied out of their set have no folder of the set above them.
        is_whole = not images or found.parts[-len(images) :] == images
        places.append(Place(above if is_whole else found, found))
    return places


def candidate_roots(manifest: Manifest, root: str | Path | None) -> list[tuple[Path, bool]]:
    """Return the roots to search, each with whether it may itself contain the class folders.

    A root given by the user may be at any level; the folder of all data sets is above the set. A user's own
    manifest also finds images beside itself.
    """
    if root is not None:
        return [(Path(root).expanduser(), True)]
    steps = (*_parts(manifest.layout.folder), *_parts(manifest.layout.images_folder))
    roots = [(data_root(), not steps)]
    if not manifest.shipped:
        beside = Path(manifest.file).absolute().parent
        roots.insert(0, (beside, not steps or beside.name == steps[-1]))
    return roots


def has_own_folder(layout: Layout, root: Path, place: Place) -> bool:
    """Whether a set found at `root` is in a folder with the name given by its layout."""
    steps = (*_parts(layout.folder), *_parts(layout.images_folder))
    return not steps or root.joinpath(*steps).is_dir() or place.images.parts[-len(steps) :] == steps


def not_found(manifest: Manifest, roots: list[tuple[Path, bool]]) -> ImageError:
    """Return the error that reports where the set was searched and how to get it."""
    layout = manifest.layout
    below = "/".join(part for part in (layout.folder, layout.images_folder) if part)
    looked = " or ".join(str(root / below) for root, _ in roots)
    how = (
        f"`hueprobe data show {manifest.spec}` explains how to get it"
        if manifest.obtain.way == "by hand"
        else f"`hueprobe data fetch {manifest.spec}` gets it"
    )
    return ImageError(
        f"no images of {manifest.name!r} at {looked}; {how}, or set {DATA} to the "
        "folder that contains it (or --root in `hueprobe data` commands)"
    )


def _parts(path: str) -> tuple[str, ...]:
    return tuple(path.split("/")) if path else ()
