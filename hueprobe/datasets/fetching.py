"""Getting a data set: into a folder beside its place, looked at there, and moved when it is whole."""

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
    """What `fetch_set` came to.

    Attributes
    ----------
    root : Path
        The folder above the set's own.
    was_there : bool
        Nothing was fetched, since the set lay there.
    n_images : int
        Images listed, none of them decoded; `verify_set` does that.
    """

    root: Path
    was_there: bool
    n_images: int


def fetch_set(spec: str | Manifest, *, root: str | Path | None = None, progress: bool = False) -> Fetched:
    """Fetch a data set, or write the slices of volumes that lie there, unless it is there already.

    Everything is fetched and unpacked in a hidden folder in `root`; only when all checksums agree and all
    images are there is it moved to its place. A failure leaves nothing behind.

    Parameters
    ----------
    spec : str or Manifest
    root : path, optional
        The folder that will hold the set's own; by default `HUEPROBE_DATA` or the platform's folder for data.
    progress : bool
        Bars on stderr.

    Raises
    ------
    DownloadError
        It cannot be fetched, or what came is not whole; the text says what to get by hand, and where to.
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
    """Return what a person has to do to get the set, in one line."""
    steps = list(manifest.obtain.steps)
    if not steps:
        addresses = [file.url for file in manifest.obtain.files] or [manifest.homepage]
        steps = [f"get {', '.join(addresses)} with a browser and unpack"]
    layout = manifest.layout
    below = "/".join(part for part in (layout.folder, layout.images_folder) if part)
    return f"by hand: {'; '.join(steps)}; the images belong in {str(root / below)!r}"


def _present(manifest: Manifest, root: Path, progress: bool) -> ImageTable | None:
    """Return the set's table where it lies at `root`; slices of its volumes are written first.

    Only its own folder counts, of the name that the manifest gives: what else lies at `root` may look alike.
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
            path.unlink()  # torchvision leaves what it unpacked
    for file in manifest.obtain.files:
        folder = stage / file.to if file.to else stage
        folder.mkdir(parents=True, exist_ok=True)
        arrived = fetch_file(file, folder, progress=progress)
        if file.unpack and is_archive(file.name):
            unpack(arrived, folder)
            arrived.unlink()


def _require_whole(manifest: Manifest, stage: Path) -> int:
    """Return the number of images that came; too few of them is an error."""
    try:
        table = from_manifest(manifest, root=stage)
    except ImageError:
        raise DownloadError(
            f"what came is not laid out as the manifest of {manifest.name!r} says; nothing is kept"
        ) from None
    expected = manifest.counts.images
    there = len(table) if table.dataset is not None else sum(size >= 0 for size in table.sizes)
    if expected is not None and there < expected and "counts.images" not in manifest.unverified:
        raise DownloadError(
            f"{there:,} images of {manifest.name!r} came, {expected:,} are expected; nothing is kept"
        )
    return there


def _move(stage: Path, root: Path) -> None:
    arrived = sorted(stage.iterdir())
    for path in arrived:
        if (root / path.name).exists():
            raise DownloadError(
                f"{str(root / path.name)!r} is there, but is not the set; move it away and fetch again"
            )
    for path in arrived:
        shutil.move(path, root / path.name)
