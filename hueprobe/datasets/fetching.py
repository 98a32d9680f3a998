"""Fetching of data sets: into a temporary folder, checked there, and moved into place when complete."""

import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from urllib.error import HTTPError

from hueprobe.datasets.downloads import fetch_file
from hueprobe.datasets.library import load_manifest
from hueprobe.datasets.listing import Listing, list_set
from hueprobe.datasets.manifest import Manifest
from hueprobe.datasets.resolving import from_manifest
from hueprobe.datasets.roots import data_root, has_own_folder
from hueprobe.datasets.schema import Slices
from hueprobe.datasets.unpacking import is_archive, unpack
from hueprobe.datasets.volumes import slice_folder, slice_names, write_slices
from hueprobe.errors import DownloadError, HueprobeError, ImageError
from hueprobe.images.table import ImageTable
from hueprobe.progress import progress_bar


@dataclass(frozen=True)
class Fetched:
    """Result of `fetch_set`.

    Attributes
    ----------
    root : Path
        Folder that contains the data set's own folder.
    was_there : bool
        Whether the data set already existed, so that nothing was fetched.
    n_images : int
        Number of listed images; they are not decoded (`verify_set` does that).
    """

    root: Path
    was_there: bool
    n_images: int


def fetch_set(spec: str | Manifest, *, root: str | Path | None = None, progress: bool = False) -> Fetched:
    """Fetch a data set unless it already exists; for volumes, write their slices as images.

    Everything is fetched and unpacked in a hidden folder in `root`. It is moved into place only if all
    checksums match and all images are there. A failure leaves no files.

    Parameters
    ----------
    spec : str or Manifest
        Name of a manifest, its TOML file, or a loaded manifest.
    root : path, optional
        Folder that will contain the data set's own folder; None for `hueprobe.datasets.data_root`.
    progress : bool, default=False
        Whether to show progress bars on stderr.

    Returns
    -------
    Fetched
        `root`, whether the set `was_there`, and `n_images`, the number of images.

    Raises
    ------
    ManifestError
        If the manifest does not exist or is invalid.
    DownloadError
        If the set cannot be fetched, or is incomplete; explains what to get by hand and where to put it.

    See Also
    --------
    hueprobe.datasets.verify_set : Check the data set, including every image.
    hueprobe.datasets.from_manifest : List the images of the data set.

    Examples
    --------
    >>> fetched = fetch_set("dtd", root="data")  # doctest: +SKIP
    >>> fetched.n_images  # doctest: +SKIP
    5640
    """
    manifest = spec if isinstance(spec, Manifest) else load_manifest(spec)
    above = Path(root).expanduser() if root is not None else data_root()
    if (present := _present(manifest, above, progress)) is not None:
        return Fetched(above, True, len(present))
    if manifest.obtain.way == "by hand":
        raise DownloadError(f"{manifest.name!r} cannot be fetched by a program; {by_hand(manifest, above)}")
    try:
        above.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=above, prefix=f".{manifest.name.replace(':', '-')}.") as hidden:
            stage = Path(hidden)
            _fetch_into(manifest, stage, progress)
            n_images = _require_whole(manifest, stage)
            _move(stage, above)
    except DownloadError as error:
        raise DownloadError(f"{error}; {by_hand(manifest, above)}") from None
    except HueprobeError:
        raise
    except Exception as error:  # torchvision and its urllib raise anything
        if isinstance(error, HTTPError):
            error.close()
        reason = " ".join(str(error).split())[:300] or type(error).__name__
        text = f"cannot fetch {manifest.name!r}: {reason}; {by_hand(manifest, above)}"
        raise DownloadError(text) from error
    return Fetched(above, False, n_images)


def by_hand(manifest: Manifest, root: Path) -> str:
    """Return the instructions for getting the set by hand, in one line."""
    steps = list(manifest.obtain.steps)
    if not steps:
        addresses = [file.url for file in manifest.obtain.files] or [manifest.homepage]
        steps = [f"get {', '.join(addresses)} with a browser and unpack"]
    layout = manifest.layout
    below = "/".join(part for part in (layout.folder, layout.images_folder) if part)
    return f"by hand: {'; '.join(steps)}; the images belong in {str(root / below)!r}"


def _present(manifest: Manifest, root: Path, progress: bool) -> ImageTable | None:
    """Return the set's table if it exists at `root`, after writing the slices of its volumes.

    Only the folder with the name in the manifest counts: other folders at `root` may look similar.
    """
    try:
        if manifest.layout.kind != "torchvision":
            listing = list_set(manifest, root)
            if not has_own_folder(manifest.layout, root, listing.place):
                return None
    except ImageError:
        return None
    if manifest.slices is not None:
        _write_slices(manifest.slices, listing, progress)
    try:
        return from_manifest(manifest, root=root)
    except ImageError:
        return None


def _write_slices(slices: Slices, listing: Listing, progress: bool) -> None:
    folder = listing.place.base / slice_folder(slices)
    with progress_bar(len(listing.entries), label="slices", unit="volumes", enabled=progress) as advance:
        for entry in listing.entries:
            images = [folder / name for name in slice_names(entry.path, slices)]
            if not all(image.is_file() for image in images):
                write_slices(listing.place.images / entry.path, slices, images)
            advance(1)


def _fetch_into(manifest: Manifest, stage: Path, progress: bool) -> None:
    if manifest.torchvision is not None and manifest.obtain.way == "torchvision":
        from hueprobe.datasets.torchvision_sets import open_datasets, torchvision_bars

        with torchvision_bars(progress):
            open_datasets(manifest.torchvision, stage, download=True)
        for path in [path for path in stage.rglob("*") if path.is_file() and is_archive(path.name)]:
            path.unlink()  # torchvision keeps the archives
    for file in manifest.obtain.files:
        folder = stage / file.to if file.to else stage
        folder.mkdir(parents=True, exist_ok=True)
        arrived = fetch_file(file, folder, progress=progress)
        if file.unpack and is_archive(file.name):
            unpack(arrived, folder)
            arrived.unlink()


def _require_whole(manifest: Manifest, stage: Path) -> int:
    """Return the number of fetched images; raise an error if there are too few."""
    try:
        table = from_manifest(manifest, root=stage)
    except ImageError:
        raise DownloadError(
            f"the download does not have the layout in the manifest of {manifest.name!r}; nothing is kept"
        ) from None
    expected = manifest.counts.images
    there = len(table) if table.dataset is not None else sum(size >= 0 for size in table.sizes)
    if expected is not None and there < expected and "counts.images" not in manifest.unverified:
        raise DownloadError(
            f"the download has {there:,} images of {manifest.name!r}, not {expected:,}; nothing is kept"
        )
    return there


def _move(stage: Path, root: Path) -> None:
    arrived = sorted(stage.iterdir())
    for path in arrived:
        if (root / path.name).exists():
            raise DownloadError(
                f"{str(root / path.name)!r} exists, but is not the data set; move it away and fetch again"
            )
    for path in arrived:
        shutil.move(path, root / path.name)
