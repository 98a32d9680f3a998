"""The individual checks of `verify_set`; each yields the problems that it finds."""

from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass

from hueprobe.datasets.listing import Listing
from hueprobe.datasets.manifest import Manifest
from hueprobe.files import digest_of
from hueprobe.images.names import normal_name
from hueprobe.images.reading import ImageRecord
from hueprobe.images.table import ImageTable

KINDS = (
    "list", "missing", "unexpected", "count", "class", "unreadable", "checksum", "two splits", "group",
    "mask",
)  # fmt: skip
_SHOWN = 10  # names in one problem's text; all are in `paths`


@dataclass(frozen=True)
class Problem:
    """One difference between a data set and its manifest.

    Attributes
    ----------
    kind : str
        Kind of problem: list, missing, unexpected, count, class, unreadable, checksum, two splits, group or
        mask.
    text : str
        Description in one sentence.
    paths : tuple of str, default=()
        Files concerned, relative to the images' folder.

    See Also
    --------
    hueprobe.datasets.verify_set : Find the problems of a data set.
    """

    kind: str
    text: str
    paths: tuple[str, ...] = ()


def listing_problems(listing: Listing) -> Iterator[Problem]:
    """Yield the problems found while listing: bad side tables, missing images, unexpected files."""
    for text in listing.problems:
        yield Problem("list", text)
    if missing := [entry.path for entry in listing.entries if entry.size < 0]:
        yield Problem(
            "missing", f"{len(missing)} listed images are missing: {some_of(missing)}", tuple(missing)
        )
    if listing.unexpected:
        n = len(listing.unexpected)
        yield Problem(
            "unexpected", f"{n} files do not belong there: {some_of(listing.unexpected)}", listing.unexpected
        )


def checksum_problems(manifest: Manifest, listing: Listing) -> Iterator[Problem]:
    """Yield the files that differ from their known checksum."""
    for path, promised in manifest.checksums.items():
        file = listing.place.base / path
        kind, _, digest = promised.partition(":")
        if not file.resolve().is_relative_to(listing.place.base) or not file.is_file():
            yield Problem("missing", f"{path} is missing; the manifest has its {kind}", (path,))
        elif (found := digest_of(file, kind)) != digest:
            yield Problem("checksum", f"{path} has {kind} {found}, expected {digest}", (path,))


def count_problems(manifest: Manifest, table: ImageTable, splits: Counter[str]) -> Iterator[Problem]:
    """Yield differences in the numbers of images, classes and splits."""
    expected = manifest.counts
    per_volume = manifest.slices.count if manifest.slices else 1
    wanted = {"counts.images": (len(table), expected.images and expected.images * per_volume)}
    wanted["counts.classes"] = (len(table.class_names), expected.classes)
    if splits or not expected.splits:
        for name, n in expected.splits.items():
            wanted[f"counts.splits.{name}"] = (splits[normal_name(name)], n * per_volume)
    else:
        listed = ", ".join(f"{name} {n:,}" for name, n in expected.splits.items())
        yield Problem("count", f"no official split could be read; expected: {listed}")
    for key, (found, number) in wanted.items():
        if number is not None and found != number:
            yield Problem("count", f"{key}: {found:,} found, {number:,} expected{_doubt(manifest, key)}")
    known = {normal_name(name) for name in expected.splits}
    if unknown := sorted(set(splits) - known) if known else []:
        yield Problem("count", f"splits that are not in the manifest: {some_of(unknown)}")


def class_problems(manifest: Manifest, table: ImageTable) -> Iterator[Problem]:
    """Yield classes that are missing, unknown, renamed or of another size, and images without one."""
    counts = Counter(name for name in table.classes if name is not None)
    known = tuple(dict.fromkeys(map(normal_name, manifest.counts.class_names)))
    without = [table.paths[i] for i, name in enumerate(table.classes) if name is None]
    if without and (counts or manifest.counts.classes):  # else a set without classes
        yield Problem("class", f"{len(without)} images have no class: {some_of(without)}", tuple(without))
    missing = [name for name in known if name not in counts]
    unknown = [name for name in counts if name not in known] if known else []
    expected = _class_sizes(manifest, counts)
    for name in list(missing):
        # Without a known size, a single unknown class is the best guess.
        twins = [other for other in unknown if counts[other] == expected.get(name, counts[other])]
        if (name in expected and twins) or len(missing) == len(unknown) == 1:
            twin = (twins or unknown)[0]
            yield Problem("class", f"class {name!r} is missing and {twin!r} is unknown: renamed?")
            missing.remove(name)
            unknown.remove(twin)
    if missing:
        yield Problem("class", f"{len(missing)} classes are missing: {some_of(missing)}")
    if unknown:
        yield Problem("class", f"{len(unknown)} classes are unknown: {some_of(unknown)}")
    other = [
        f"{name!r} has {counts[name]:,} images instead of {n:,}"
        for name, n in expected.items()
        if name in counts and counts[name] != n
    ]
    if other:
        key = "counts.per_class" if manifest.counts.per_class else "counts.each_class"
        text = f"{len(other)} classes differ in size: {some_of(other, quote=False)}"
        yield Problem("count", text + _doubt(manifest, key))


def _class_sizes(manifest: Manifest, counts: Counter[str]) -> dict[str, int]:
    """Return the expected number of images of each class, as far as it is known."""
    per_volume = manifest.slices.count if manifest.slices else 1
    each = manifest.counts.each_class
    sizes = manifest.counts.per_class or ({name: each for name in counts} if each is not None else {})
    expected: Counter[str] = Counter()
    for name, n in sizes.items():
        expected[normal_name(name)] += n * per_volume
    return dict(expected)


def group_problems(table: ImageTable) -> Iterator[Problem]:
    """Yield groups (a person, a family) that are in more than one official split."""
    sides: dict[str, set[str]] = defaultdict(set)
    for group, split in zip(table.groups, table.splits, strict=True):
        if group is not None and split is not None:
            sides[group].add(split)
    torn = sorted(group for group, splits in sides.items() if len(splits) > 1)
    if torn:
        yield Problem("group", f"{len(torn)} groups are in more than one split: {some_of(torn)}")


def unreadable_problems(table: ImageTable, records: list[ImageRecord]) -> Iterator[Problem]:
    """Yield the images that cannot be decoded."""
    for i, record in enumerate(records):
        if not record.readable:
            yield Problem(
                "unreadable", f"{table.paths[i]} cannot be read: {record.reason}", (table.paths[i],)
            )


def same_content(table: ImageTable, records: list[ImageRecord]) -> list[list[int]]:
    """Return the rows of each content that occurs more than once."""
    rows: dict[str, list[int]] = defaultdict(list)
    for i, record in enumerate(records):
        if record.sha256 and record.readable:
            rows[record.sha256].append(i)
    return [same for same in rows.values() if len(same) > 1]


def split_problems(table: ImageTable, twice: list[list[int]]) -> Iterator[Problem]:
    """Yield contents that are in more than one split, so that training images would leak into the test."""
    for same in twice:
        splits = {table.splits[i] for i in same} - {None}
        if len(splits) > 1:
            names = [f"{table.paths[i]} ({table.splits[i]})" for i in same]
            yield Problem(
                "two splits",
                f"the same image is in more than one split: {some_of(names, quote=False)}",
                tuple(table.paths[i] for i in same),
            )


def double_notes(table: ImageTable, twice: list[list[int]]) -> Iterator[str]:
    """Yield notes about contents that occur more than once."""
    across = [same for same in twice if len({table.classes[i] for i in same}) > 1]
    if twice:
        example = " = ".join(table.paths[i] for i in twice[0])
        yield f"{sum(len(same) - 1 for same in twice)} images are duplicates, such as {example}"
    if across:
        example = " = ".join(table.paths[i] for i in across[0])
        yield f"{len(across)} images are in more than one class, such as {example}"


def _doubt(manifest: Manifest, key: str) -> str:
    is_doubtful = any(key == doubted or key.startswith(f"{doubted}.") for doubted in manifest.unverified)
    return " (the manifest marks its number as unverified)" if is_doubtful else ""


def some_of(names: tuple[str, ...] | list[str], *, quote: bool = True) -> str:
    """Return the first names in words, and how many more there are."""
    shown = ", ".join(repr(name) if quote else name for name in names[:_SHOWN])
    return f"{shown} and {len(names) - _SHOWN} more" if len(names) > _SHOWN else shown
