"""Whether what lies on disk is the set that its manifest describes: every difference, told exactly."""

import os
from collections import Counter, defaultdict
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from hueprobe.errors import ImageError
from hueprobe.files import digest_of
from hueprobe.images.manifests.library import load_manifest
from hueprobe.images.manifests.listing import Listing, list_set
from hueprobe.images.manifests.resolving import from_manifest, table_of
from hueprobe.images.manifests.schema import Manifest
from hueprobe.images.reading import PictureRecord, read_row
from hueprobe.images.table import ImageTable
from hueprobe.progress import progress_bar

KINDS = (
    "list", "missing", "unexpected", "count", "class", "unreadable", "checksum", "two splits", "group",
)  # fmt: skip
_SHOWN = 10  # paths named in one problem's text; all are in `paths`
_AHEAD = 256


@dataclass(frozen=True)
class Problem:
    """One difference between a set and its manifest.

    Attributes
    ----------
    kind : str
        One of `KINDS`.
    text : str
        What is wrong, in a sentence.
    paths : tuple of str
        The files concerned, relative to the pictures' folder.
    """

    kind: str
    text: str
    paths: tuple[str, ...] = ()


@dataclass(frozen=True)
class Verification:
    """What `verify_set` found.

    Attributes
    ----------
    name, root : str
        The manifest's name; the folder that holds the pictures, empty for Datasets.
    images, classes : int
        Pictures and classes that are there.
    splits : dict of str to int
        Pictures of each official split.
    decoded : bool
        Whether every picture was read.
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
    """Compare a data set on disk with its manifest: counts, layout, every picture, checksums, splits.

    Parameters
    ----------
    spec : str or Manifest
    root : path, optional
        As for `from_manifest`.
    decode : bool
        Read every picture; without it only names are looked at, and neither damage nor doubles are seen.
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
    problems = [*_of_listing(listing), *_checksums(manifest, listing)]
    if manifest.slices is None:
        there = tuple(entry for entry in listing.entries if entry.size >= 0)
        table = table_of(there, listing.place.pictures)
    else:
        table = from_manifest(manifest, root=root)
    found = verify_table(manifest, table, **options)
    return Verification(**{**_fields(found), "problems": (*problems, *found.problems)})


def verify_table(
    manifest: Manifest, table: ImageTable, *, decode: bool = True, workers: int = 1, progress: bool = False
) -> Verification:
    """Compare pictures of any source with a manifest: counts, classes, every picture, doubles across splits.

    Parameters
    ----------
    manifest : Manifest
    table : ImageTable
    decode, workers, progress
        As for `verify_set`.
    """
    splits = Counter(split for split in table.splits if split is not None)
    problems = [*_counts(manifest, table, splits), *_classes(manifest, table), *_groups(table)]
    notes = []
    if decode:
        records = list(_read(table, workers, progress))
        problems += [*_unreadable(table, records)]
        twice = _same_content(table, records)
        problems += [*_in_two_splits(table, twice)]
        notes = [*_doubles(table, twice)]
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


def _fields(found: Verification) -> dict[str, Any]:
    return {name: getattr(found, name) for name in found.__dataclass_fields__}


def _of_listing(listing: Listing) -> Iterator[Problem]:
    for text in listing.problems:
        yield Problem("list", text)
    if missing := [entry.path for entry in listing.entries if entry.size < 0]:
        yield Problem(
            "missing", f"{len(missing)} listed pictures are not there: {_some(missing)}", tuple(missing)
        )
    if listing.unexpected:
        n = len(listing.unexpected)
        yield Problem(
            "unexpected", f"{n} files do not belong there: {_some(listing.unexpected)}", listing.unexpected
        )


def _checksums(manifest: Manifest, listing: Listing) -> Iterator[Problem]:
    for path, promised in manifest.checksums.items():
        file = listing.place.base / path
        kind, _, digest = promised.partition(":")
        if not file.resolve().is_relative_to(listing.place.base) or not file.is_file():
            yield Problem("missing", f"{path} is not there; its {kind} is known", (path,))
        elif (found := digest_of(file, kind)) != digest:
            yield Problem("checksum", f"{path} has {kind} {found}, expected {digest}", (path,))


def _counts(manifest: Manifest, table: ImageTable, splits: Counter[str]) -> Iterator[Problem]:
    expected = manifest.counts
    per_volume = manifest.slices.count if manifest.slices else 1
    wanted = {"counts.images": (len(table), expected.images and expected.images * per_volume)}
    wanted["counts.classes"] = (len(table.class_names), expected.classes)
    if splits or not expected.splits:
        for name, n in expected.splits.items():
            wanted[f"counts.splits.{name}"] = (splits[name], n * per_volume)
    else:
        listed = ", ".join(f"{name} {n:,}" for name, n in expected.splits.items())
        yield Problem("count", f"no official split could be read; expected are {listed}")
    for key, (found, number) in wanted.items():
        if number is not None and found != number:
            yield Problem("count", f"{key}: {found:,} found, {number:,} expected{_doubt(manifest, key)}")
    if unknown := sorted(set(splits) - set(expected.splits)) if expected.splits else []:
        yield Problem("count", f"splits that the manifest does not know: {_some(unknown)}")


def _classes(manifest: Manifest, table: ImageTable) -> Iterator[Problem]:
    counts = Counter(name for name in table.classes if name is not None)
    known = manifest.counts.class_names
    without = [table.paths[i] for i, name in enumerate(table.classes) if name is None]
    if without and (counts or manifest.counts.classes):  # else a set without classes
        yield Problem("class", f"{len(without)} pictures have no class: {_some(without)}", tuple(without))
    missing = [name for name in known if name not in counts]
    unknown = [name for name in counts if name not in known] if known else []
    expected = _class_sizes(manifest, counts)
    for name in list(missing):
        # Without a known size a lone stranger is the best guess.
        twins = [other for other in unknown if counts[other] == expected.get(name, counts[other])]
        if (name in expected and twins) or len(missing) == len(unknown) == 1:
            twin = (twins or unknown)[0]
            yield Problem("class", f"class {name!r} is missing and {twin!r} is unknown: renamed?")
            missing.remove(name)
            unknown.remove(twin)
    if missing:
        yield Problem("class", f"{len(missing)} classes are missing: {_some(missing)}")
    if unknown:
        yield Problem("class", f"{len(unknown)} classes are unknown: {_some(unknown)}")
    other = [
        f"{name!r} has {counts[name]:,} pictures instead of {n:,}"
        for name, n in expected.items()
        if name in counts and counts[name] != n
    ]
    if other:
        key = "counts.per_class" if manifest.counts.per_class else "counts.each_class"
        text = f"{len(other)} classes differ in size: {_some(other, quote=False)}"
        yield Problem("count", text + _doubt(manifest, key))


def _class_sizes(manifest: Manifest, counts: Counter[str]) -> dict[str, int]:
    """Return the pictures that each class should have, as far as that is known."""
    per_volume = manifest.slices.count if manifest.slices else 1
    each = manifest.counts.each_class
    sizes = manifest.counts.per_class or ({name: each for name in counts} if each is not None else {})
    return {name: n * per_volume for name, n in sizes.items()}


def _groups(table: ImageTable) -> Iterator[Problem]:
    sides: dict[str, set[str]] = defaultdict(set)
    for group, split in zip(table.groups, table.splits, strict=True):
        if group is not None and split is not None:
            sides[group].add(split)
    torn = sorted(group for group, splits in sides.items() if len(splits) > 1)
    if torn:
        yield Problem("group", f"{len(torn)} groups are in more than one split: {_some(torn)}")


def _read(table: ImageTable, workers: int, progress: bool) -> Iterator[PictureRecord]:
    """Yield each row's record in order; no more than a few hundred rows are in the air."""
    with (
        progress_bar(len(table), label="verify", enabled=progress) as advance,
        ThreadPoolExecutor(max(1, workers)) as pool,
    ):
        rows = iter(range(len(table)))
        pending = [pool.submit(_record, table, i) for i in islice(rows, _AHEAD)]
        while pending:
            yield pending.pop(0).result()
            advance(1)
            pending += [pool.submit(_record, table, i) for i in islice(rows, 1)]


def _record(table: ImageTable, i: int) -> PictureRecord:
    try:
        return read_row(table, i)[1]
    except ImageError as error:
        return PictureRecord("", 0, 0, readable=False, reason=str(error))


def _unreadable(table: ImageTable, records: list[PictureRecord]) -> Iterator[Problem]:
    for i, record in enumerate(records):
        if not record.readable:
            yield Problem(
                "unreadable", f"{table.paths[i]} cannot be read: {record.reason}", (table.paths[i],)
            )


def _same_content(table: ImageTable, records: list[PictureRecord]) -> list[list[int]]:
    """Return the rows of each content that is there more than once."""
    rows: dict[str, list[int]] = defaultdict(list)
    for i, record in enumerate(records):
        if record.sha256 and record.readable:
            rows[record.sha256].append(i)
    return [same for same in rows.values() if len(same) > 1]


def _in_two_splits(table: ImageTable, twice: list[list[int]]) -> Iterator[Problem]:
    for same in twice:
        splits = {table.splits[i] for i in same} - {None}
        if len(splits) > 1:
            names = [f"{table.paths[i]} ({table.splits[i]})" for i in same]
            yield Problem(
                "two splits",
                f"the same picture is in more than one split: {_some(names, quote=False)}",
                tuple(table.paths[i] for i in same),
            )


def _doubles(table: ImageTable, twice: list[list[int]]) -> Iterator[str]:
    across = [same for same in twice if len({table.classes[i] for i in same}) > 1]
    if twice:
        example = " = ".join(table.paths[i] for i in twice[0])
        yield f"{sum(len(same) - 1 for same in twice)} pictures are there more than once, such as {example}"
    if across:
        example = " = ".join(table.paths[i] for i in across[0])
        yield f"{len(across)} pictures are in more than one class, such as {example}"


def _doubt(manifest: Manifest, key: str) -> str:
    is_doubtful = any(key == doubted or key.startswith(f"{doubted}.") for doubted in manifest.unverified)
    return " (the manifest marks its number as unverified)" if is_doubtful else ""


def _some(names: tuple[str, ...] | list[str], *, quote: bool = True) -> str:
    shown = ", ".join(repr(name) if quote else name for name in names[:_SHOWN])
    return f"{shown} and {len(names) - _SHOWN} more" if len(names) > _SHOWN else shown
