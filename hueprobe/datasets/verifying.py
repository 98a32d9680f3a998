"""Comparison of a data set on disk with its manifest: reports every difference."""

import os
from collections import Counter, deque
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from itertools import chain
from pathlib import Path
from typing import Any

from hueprobe.datasets.checks import (
    Problem,
    checksum_problems,
    class_problems,
    count_problems,
    double_notes,
    group_problems,
    listing_problems,
    same_content,
    split_problems,
    unreadable_problems,
)
from hueprobe.datasets.library import load_manifest
from hueprobe.datasets.listing import list_set
from hueprobe.datasets.manifest import Manifest
from hueprobe.datasets.mask_places import mask_problems
from hueprobe.datasets.resolving import from_manifest, table_of
from hueprobe.errors import ImageError
from hueprobe.images.reading import ImageRecord, read_row
from hueprobe.images.table import ImageTable
from hueprobe.progress import progress_bar
from hueprobe.threads import threaded_map

# Number of images that are read in advance.
_AHEAD = 256


@dataclass(frozen=True)
class Verification:
    """Result of verifying a data set.

    Attributes
    ----------
    name : str
        Name of the manifest.
    root : str
        Folder of the images; empty for Datasets.
    images, classes : int
        Number of images and classes found.
    splits : dict of str to int
        Number of images per official split.
    decoded : bool
        Whether every image was read.
    problems : tuple of Problem
        Differences from the manifest; empty if there are none.
    notes : tuple of str
        Other observations, such as duplicate images.

    See Also
    --------
    hueprobe.datasets.verify_set : Verify a data set.
    """

    name: str
    root: str
    images: int
    classes: int
    splits: dict[str, int]
    decoded: bool
    problems: tuple[Problem, ...]
    notes: tuple[str, ...]

    @property
    def ok(self) -> bool:
        """Whether there are no problems."""
        return not self.problems

    def to_json(self) -> dict[str, Any]:
        """Return all attributes and `ok` as JSON values.

        Returns
        -------
        dict
            Values by name.

        Examples
        --------
        >>> from hueprobe.datasets import draft_manifest, verify_set
        >>> with open("shapes.toml", "w") as file:
        ...     _ = file.write(draft_manifest("images", beside="."))
        >>> verify_set("shapes.toml").to_json()["classes"]
        3
        """
        return {**asdict(self), "ok": self.ok}


def verify_set(
    spec: str | Manifest,
    *,
    root: str | Path | None = None,
    decode: bool = True,
    workers: int = 1,
    progress: bool = False,
) -> Verification:
    """Compare a data set on disk with its manifest: counts, layout, every image and mask, checksums, splits.

    Parameters
    ----------
    spec : str or Manifest
        Name of a manifest, its TOML file, or a loaded manifest.
    root : path, optional
        Folder of the data set, as in `hueprobe.datasets.from_manifest`; None for the default folders.
    decode : bool, default=True
        Whether to read every image and mask. Otherwise only names are compared, and neither damaged images
        nor duplicates are found.
    workers : int, default=1
        Number of threads that read images.
    progress : bool, default=False
        Whether to show a progress bar on stderr.

    Returns
    -------
    Verification
        Counts, problems and notes.

    Raises
    ------
    ManifestError
        If the manifest does not exist or is invalid.
    ImageError
        If no image of the data set is found.

    See Also
    --------
    hueprobe.datasets.verify_table : Compare images from any other source.

    Examples
    --------
    >>> with open("shapes.toml", "w") as file:
    ...     _ = file.write(hp.datasets.draft_manifest("images", beside="."))
    >>> import os
    >>> os.remove("images/circle/circle0.png")
    >>> found = verify_set("shapes.toml")
    >>> found.ok, found.problems[0].text
    (False, 'counts.images: 11 found, 12 expected')
    """
    manifest = spec if isinstance(spec, Manifest) else load_manifest(spec)
    options: dict[str, Any] = {"decode": decode, "workers": workers, "progress": progress}
    if manifest.layout.kind == "torchvision":
        return verify_table(manifest, from_manifest(manifest, root=root), **options)
    listing = list_set(manifest, root)
    problems = [*listing_problems(listing), *checksum_problems(manifest, listing)]
    if manifest.slices is None:
        there = tuple(entry for entry in listing.entries if entry.size >= 0)
        table = table_of(there, listing.place.images)
    else:
        table = from_manifest(manifest, root=root)
    if manifest.masks is not None:
        problems += mask_problems(manifest, listing, **options)
    found = verify_table(manifest, table, **options)
    return replace(found, problems=(*problems, *found.problems))


def verify_table(
    manifest: Manifest, table: ImageTable, *, decode: bool = True, workers: int = 1, progress: bool = False
) -> Verification:
    """Compare images from any source with a manifest: counts, classes, every image, duplicates.

    Parameters
    ----------
    manifest : Manifest
        Expected content.
    table : ImageTable
        Images to compare.
    decode : bool, default=True
        Whether to read every image.
    workers : int, default=1
        Number of threads that read images.
    progress : bool, default=False
        Whether to show a progress bar on stderr.

    Returns
    -------
    Verification
        Counts, problems and notes.

    See Also
    --------
    hueprobe.datasets.verify_set : Compare the files of a data set.

    Examples
    --------
    >>> with open("shapes.toml", "w") as file:
    ...     _ = file.write(hp.datasets.draft_manifest("images", beside="."))
    >>> manifest = hp.datasets.load_manifest("shapes.toml")
    >>> verify_table(manifest, hp.images.from_folder("images")).ok
    True
    """
    splits = Counter(split for split in table.splits if split is not None)
    problems = [
        *count_problems(manifest, table, splits),
        *class_problems(manifest, table),
        *group_problems(table),
    ]
    notes = []
    if decode:
        records = list(_read(table, workers, progress))
        problems += [*unreadable_problems(table, records)]
        twice = same_content(table, records)
        problems += [*split_problems(table, twice)]
        notes = [*double_notes(table, twice)]
    return Verification(
        name=manifest.name,
        root=os.path.commonpath(set(table.roots)) if len(table) and all(table.roots) else "",
        images=len(table),
        classes=len(table.class_names),
        splits=dict(sorted(splits.items())),
        decoded=decode,
        problems=tuple(problems),
        notes=tuple(notes),
    )


def _read(table: ImageTable, workers: int, progress: bool) -> Iterator[ImageRecord]:
    """Yield each row's record in order; at most a few hundred rows are read in advance."""
    with (
        progress_bar(len(table), label="verify", enabled=progress) as advance,
        threaded_map(workers, name="hueprobe-verify") as each,
    ):
        pending: deque[Iterator[ImageRecord]] = deque()
        for row in range(len(table)):
            pending.append(each(_record, [table], [row]))
            if len(pending) > _AHEAD:
                yield next(pending.popleft())
                advance(1)
        for record in chain.from_iterable(pending):
            yield record
            advance(1)


def _record(table: ImageTable, i: int) -> ImageRecord:
    try:
        return read_row(table, i)[1]
    except ImageError as error:
        return ImageRecord("", 0, 0, readable=False, reason=str(error))
