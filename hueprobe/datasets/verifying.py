"""Whether what lies on disk is the set that its manifest describes: every difference, told exactly."""

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
from hueprobe.datasets.resolving import from_manifest, table_of
from hueprobe.errors import ImageError
from hueprobe.images.reading import ImageRecord, read_row
from hueprobe.images.table import ImageTable
from hueprobe.progress import progress_bar
from hueprobe.threads import threaded_map

# Images that are read ahead of the one whose turn it is.
_AHEAD = 256


@dataclass(frozen=True)
class Verification:
    """What `verify_set` found.

    Attributes
    ----------
    name, root : str
        The manifest's name; the folder that holds the images, empty for Datasets.
    images, classes : int
        Images and classes that are there.
    splits : dict of str to int
        Images of each official split.
    decoded : bool
        Whether every image was read.
    problems : tuple of Problem
        Empty where all agrees.
    notes : tuple of str
        What is worth knowing and not wrong.
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
        """Whether nothing is wrong."""
        return not self.problems

    def to_json(self) -> dict[str, Any]:
        """Return all of it as JSON holds it."""
        return {**asdict(self), "ok": self.ok}


def verify_set(
    spec: str | Manifest,
    *,
    root: str | Path | None = None,
    decode: bool = True,
    workers: int = 1,
    progress: bool = False,
) -> Verification:
    """Compare a data set on disk with its manifest: counts, layout, every image, checksums, splits.

    Parameters
    ----------
    spec : str or Manifest
    root : path, optional
        As for `from_manifest`.
    decode : bool
        Read every image; without it only names are looked at, and neither damage nor doubles are seen.
    workers : int
        Threads that read.
    progress : bool
        A bar on stderr.

    Raises
    ------
    ImageError
        Nothing of the set is there.
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
    found = verify_table(manifest, table, **options)
    return replace(found, problems=(*problems, *found.problems))


def verify_table(
    manifest: Manifest, table: ImageTable, *, decode: bool = True, workers: int = 1, progress: bool = False
) -> Verification:
    """Compare images of any source with a manifest: counts, classes, every image, doubles across splits.

    Parameters
    ----------
    manifest : Manifest
    table : ImageTable
    decode : bool
        Read every image.
    workers : int
        Threads that read.
    progress : bool
        A bar on stderr.
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
    """Yield each row's record in order; no more than a few hundred rows are in the air."""
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
