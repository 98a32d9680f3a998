"""The masks of a data set on disk, by its manifest."""

import os
from collections.abc import Iterator
from pathlib import Path

from hueprobe.datasets.checks import Problem, some_of
from hueprobe.datasets.listing import Listing
from hueprobe.datasets.manifest import Manifest
from hueprobe.datasets.mask_schema import MaskFiles
from hueprobe.errors import HueprobeError, ImageError, ManifestError
from hueprobe.images.mask_files import as_labels, survey_mask
from hueprobe.images.table import ImageTable
from hueprobe.progress import progress_bar
from hueprobe.threads import threaded_map


def mask_files(manifest: Manifest, table: ImageTable) -> list[str]:
    """Return the absolute path of each image's mask.

    Parameters
    ----------
    manifest : Manifest
        Manifest of the data set.
    table : ImageTable
        Images of the data set: all of them, or some.

    Raises
    ------
    ManifestError
        The manifest describes no masks.
    ImageError
        An image is not one of the data set, or its mask is missing or leads out of the set's folder.
    """
    described = _described(manifest)
    files = []
    for i, path in enumerate(table.paths):
        base, below = _place(manifest, table, i)
        mask = described.mask_of(below)
        if mask is None:
            raise ImageError(
                f"image {path!r} does not end in {described.image_ending!r} like those of {manifest.name!r}, "
                "so it has no mask; give images of the data set"
            )
        file = base / mask
        if why := _lacking(file, base):
            raise ImageError(
                f"no mask {mask!r} in {str(base)!r} for image {path!r}: {why}; `hueprobe data verify "
                f"{manifest.spec}` lists all that lack one"
            )
        files.append(str(file))
    return files


def _described(manifest: Manifest) -> MaskFiles:
    if manifest.masks is None:
        raise ManifestError(
            f"the manifest {manifest.name!r} describes no masks; give a folder or a table of masks, or add a "
            "table [masks] to it"
        )
    return manifest.masks


def _place(manifest: Manifest, table: ImageTable, i: int) -> tuple[Path, str]:
    """Return the set's own folder that an image is in, and its path below the images' folder."""
    file = Path(os.path.abspath(table.file(i))) if table.roots[i] else Path(table.paths[i])
    steps = tuple(filter(None, manifest.layout.images_folder.split("/")))
    if not steps:
        return Path(table.roots[i]), table.paths[i]
    for folder in file.parents:
        if folder.parts[-len(steps) :] == steps:
            return folder.parents[len(steps) - 1], file.relative_to(folder).as_posix()
    raise ImageError(
        f"image {table.paths[i]!r} is in no folder {manifest.layout.images_folder!r}, so it is not one of "
        f"{manifest.name!r}; give images of the data set, or a folder or a table of masks"
    )


def _lacking(file: Path, base: Path) -> str | None:
    """Return why a mask cannot be used, None if it can."""
    if not file.is_file():
        return "there is no such file"
    if not os.path.realpath(file).startswith(os.path.join(os.path.realpath(base), "")):
        return "a link leads out of the set's folder"
    return None


def mask_problems(
    manifest: Manifest, listing: Listing, *, decode: bool, workers: int = 1, progress: bool = False
) -> Iterator[Problem]:
    """Yield missing masks, and with `decode` those of a wrong size or with unknown values.

    Parameters
    ----------
    manifest : Manifest
        Manifest of the data set.
    listing : Listing
        Its images.
    decode : bool
        Whether every mask is read.
    workers : int, default=1
        Number of threads that read masks.
    progress : bool, default=False
        Whether to show a progress bar.
    """
    described = _described(manifest)
    base, images = listing.place.base, listing.place.images
    there = [entry.path for entry in listing.entries if entry.size >= 0]
    masks = {path: described.mask_of(path) for path in there}
    lacking = [path for path, mask in masks.items() if mask is None or _lacking(base / mask, base)]
    if lacking:
        yield Problem("mask", f"{len(lacking)} images have no mask: {some_of(lacking)}", tuple(lacking))
    if not decode:
        return
    labels = described.labels()

    def wrong(path: str) -> str | None:
        file = str(base / str(masks[path]))
        try:
            as_labels(survey_mask(file, images / path)[0], labels, file)
        except HueprobeError as error:
            return str(error)
        return None

    rest = [path for path in there if path not in set(lacking)]
    with (
        threaded_map(workers, name="hueprobe-verify") as each,
        progress_bar(len(rest), label="masks", unit="masks", enabled=progress) as advance,
    ):
        for start in range(0, len(rest), 256):
            part = rest[start : start + 256]
            for path, text in zip(part, each(wrong, part), strict=True):
                if text is not None:
                    yield Problem("mask", text, (path,))
                advance(1)
