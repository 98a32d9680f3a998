"""Where data sets lie: the root a user means, and a set's own folder below it."""

import os
from dataclasses import dataclass
from pathlib import Path

from hueprobe.datasets.manifest import Manifest
from hueprobe.datasets.schema import Layout
from hueprobe.errors import ImageError
from hueprobe.images.trust import DATA


@dataclass(frozen=True)
class Place:
    """Where a set was found, links resolved.

    Attributes
    ----------
    base : Path
        The set's own folder (`layout.folder`), where its side tables are.
    images : Path
        The folder that holds its class folders, or its images (`pictures` below the base).
    """

    base: Path
    images: Path


def data_root() -> Path:
    """Return the folder that holds data sets: `HUEPROBE_DATA`, or else the platform's folder for data."""
    if named := os.environ.get(DATA):
        return Path(named).expanduser()
    from platformdirs import user_data_path

    return user_data_path("hueprobe", appauthor=False)


def find_places(layout: Layout, root: str | Path) -> list[Place]:
    """Return where below `root` a set may lie, the fullest path first.

    `root` may be the folder above the set's own, that folder itself, or any on the way down to the one that
    holds its class folders, which comes last.
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
        # A class folder that was copied out of its set has no set's folder above it.
        is_whole = not images or found.parts[-len(images) :] == images
        places.append(Place(above if is_whole else found, found))
    return places


def candidate_roots(manifest: Manifest, root: str | Path | None) -> list[tuple[Path, bool]]:
    """Return the roots to look at, each with whether it may be the class folders' own folder.

    A root that was named may be anything on the way; the folder of all data sets is above the set. A manifest
    of one's own also finds images beside itself.
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
    """Whether a set that was found at `root` lies in a folder of the name that its layout gives."""
    steps = (*_parts(layout.folder), *_parts(layout.images_folder))
    return not steps or root.joinpath(*steps).is_dir() or place.images.parts[-len(steps) :] == steps


def not_found(manifest: Manifest, roots: list[tuple[Path, bool]]) -> ImageError:
    """Return the error that says where the set was looked for and how to get it."""
    layout = manifest.layout
    below = "/".join(part for part in (layout.folder, layout.images_folder) if part)
    looked = " or ".join(str(root / below) for root, _ in roots)
    how = (
        f"get it as `hueprobe data show {manifest.spec}` says"
        if manifest.obtain.way == "by hand"
        else f"`hueprobe data fetch {manifest.spec}` gets it"
    )
    return ImageError(
        f"no images of {manifest.name!r} at {looked}; {how}, or set {DATA} to the "
        "folder above it (`hueprobe data` commands also take it as --root)"
    )


def _parts(path: str) -> tuple[str, ...]:
    return tuple(path.split("/")) if path else ()
