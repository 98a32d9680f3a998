"""What a manifest finds on disk: the images with class, group and split, and what does not fit."""

import fnmatch
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from hueprobe.datasets.inside import require_inside
from hueprobe.datasets.manifest import Manifest
from hueprobe.datasets.roots import Place, candidate_roots, find_places, not_found
from hueprobe.datasets.schema import Fact
from hueprobe.datasets.side_tables import Row, Stack, join, read_stacks, unique_rows
from hueprobe.errors import ImageError
from hueprobe.images.endings import is_image
from hueprobe.images.names import SpelledAs, normal_name

IMAGE = "picture"  # the column, by its name in manifests, with the path below the images' folder
_PATTERNS = {
    "class_folders": r"(?P<class>[^/]+)/(?s:.+)",
    "split_folders": r"(?P<split>[^/]+)/(?P<class>[^/]+)/(?s:.+)",
}
# What people and systems put beside a set.
_BYSTANDERS = (
    "readme*",
    "licen[cs]e*",
    "*.md",
    "*.toml",
    "sha256sums*",
    "thumbs.db",
    "desktop.ini",
    "*.html",
)


@dataclass(frozen=True)
class Entry:
    """One image of a set; `size` is -1 where a list names it and the disk lacks it."""

    path: str
    class_: str | None
    group: str | None
    split: str | None
    size: int


@dataclass(frozen=True)
class Listing:
    """The images of a set, sorted by class and path, and what was noticed on the way.

    Attributes
    ----------
    place : Place
    entries : tuple of Entry
    unexpected : tuple of str
        Files in the images' folder that are no image of the set and not known to belong there.
    problems : tuple of str
        Side tables that cannot be read or contradict themselves, links that lead out of the set.
    """

    place: Place
    entries: tuple[Entry, ...]
    unexpected: tuple[str, ...]
    problems: tuple[str, ...]


def list_set(manifest: Manifest, root: str | Path | None = None) -> Listing:
    """Find a set below `root` and list its images; nothing is decoded.

    Raises
    ------
    ImageError
        There is no image of the set; the places that were looked at are named.
    """
    roots = candidate_roots(manifest, root)
    for folder, may_be_own in roots:
        places = find_places(manifest.layout, folder)
        for place in places:
            if place.images == folder.resolve() and not may_be_own:
                continue
            listing = list_place(manifest, place)
            if _fits(manifest, listing):
                return listing
    raise not_found(manifest, roots)


def list_place(manifest: Manifest, place: Place) -> Listing:
    """List the images of a set whose folder is known."""
    problems: list[str] = []
    files = dict(files_below(place.images, place.base, problems))
    stacks = read_stacks(manifest.tables, place.base, checksums=manifest.checksums)
    on_disk = SpelledAs(files)
    for row in (row for stack in stacks for row in stack.rows if IMAGE in row):
        row[IMAGE] = on_disk(row[IMAGE])
    is_excluded = _Excluded(manifest)
    if manifest.layout.kind == "tables":
        rows = _listed(manifest, stacks, on_disk, problems)
    else:
        pattern = re.compile(manifest.layout.pattern or _PATTERNS[manifest.layout.kind])
        is_any_file = manifest.layout.kind == "volumes"
        found = {path: pattern.fullmatch(path) for path in files if is_any_file or is_image(path)}
        rows = [
            {IMAGE: path, **_said(match)} for path, match in found.items() if match and not is_excluded(path)
        ]
        join(rows, stacks)
        rows += _only_listed(stacks, {row[IMAGE] for row in rows}, pattern, problems)
    problems += dict.fromkeys(problem for stack in stacks for problem in stack.problems)
    entries = [_entry(manifest, row, files) for row in rows]
    known = {row[IMAGE] for row in rows} | _side_files(manifest, place)
    others = [] if manifest.layout.others_allowed else [path for path in files if path not in known]
    return Listing(
        place=place,
        entries=tuple(sorted(entries, key=lambda entry: (entry.class_ or "", entry.path))),
        unexpected=tuple(sorted(path for path in others if not is_excluded(path))),
        problems=tuple(problems),
    )


class _Excluded:
    """Whether a file is known to lie there without being an image of the set."""

    def __init__(self, manifest: Manifest) -> None:
        self._bystander = _any_of(_BYSTANDERS)
        written = ("slices-*",) if manifest.layout.kind == "volumes" else ()  # by hueprobe, from the volumes
        self._exclude = _any_of((*manifest.layout.exclude, *written))

    def __call__(self, path: str) -> bool:
        is_beside = "/" not in path and self._bystander.fullmatch(path.lower()) is not None
        return is_beside or self._exclude.fullmatch(path) is not None


def _any_of(globs: tuple[str, ...]) -> re.Pattern[str]:
    return re.compile("|".join(fnmatch.translate(glob) for glob in globs) or r"(?!)")


def files_below(folder: Path, base: Path, problems: list[str]) -> Iterator[tuple[str, int]]:
    """Yield path (POSIX, relative) and bytes of every file below `folder`, hidden ones left out.

    A link is followed only to what lies in `base`; others are written down in `problems`.
    """
    inside = os.path.realpath(base)
    pending: list[tuple[str, frozenset[str]]] = [("", frozenset())]
    while pending:
        below, above = pending.pop()
        where = os.path.join(folder, below)
        if (identity := os.path.realpath(where)) in above:
            continue  # a link back up: a cycle
        try:
            entries = sorted(os.scandir(where), key=lambda entry: entry.name)
        except OSError as error:
            problems.append(f"cannot read folder {below or str(folder)!r}: {error.strerror}")
            continue
        for entry in entries:
            path = f"{below}/{entry.name}" if below else entry.name
            if entry.name.startswith(".") or entry.name == "__MACOSX":
                continue
            if entry.is_symlink():
                target = os.path.realpath(entry.path)
                if os.path.commonpath([inside, target]) != inside:
                    problems.append(
                        f"{path}: a link leads out of the set's folder; put what it leads to in its place"
                    )
                    continue
            try:
                if entry.is_dir():
                    pending.append((path, above | {identity}))
                else:
                    yield path, entry.stat().st_size
            except OSError as error:
                problems.append(f"{path}: {error.strerror}")


def _listed(manifest: Manifest, stacks: list[Stack], on_disk: SpelledAs, problems: list[str]) -> list[Row]:
    """Return the rows of the first stack, joined with the others, each with its image's path."""
    rows = [dict(row) for row in stacks[0].rows]
    join(rows, stacks[1:])
    pattern = re.compile(manifest.layout.pattern)
    for row in rows:
        if IMAGE not in row and manifest.layout.image_template:
            row[IMAGE] = on_disk(_filled(manifest.layout.image_template, row))
        if manifest.layout.pattern and (match := pattern.fullmatch(row.get(IMAGE, ""))):
            row.update({name: value for name, value in _said(match).items() if name not in row})
    rows = [row for row in rows if row.get(IMAGE) and _is_inside(row[IMAGE], problems)]
    return list(unique_rows(rows, IMAGE, problems).values())


def _only_listed(
    stacks: list[Stack], present: set[str], pattern: re.Pattern[str], problems: list[str]
) -> list[Row]:
    """Return rows for the images that a list names and the disk lacks."""
    listed = [path for stack in stacks if stack.key == IMAGE for path in stack.by_key()]
    rows = []
    for path in dict.fromkeys(listed):
        if path not in present and _is_inside(path, problems):
            match = pattern.fullmatch(path)
            rows.append({IMAGE: path, **(_said(match) if match else {})})
    join(rows, stacks)
    return rows


def _said(match: re.Match[str]) -> Row:
    """Return the named groups that took part in a match."""
    return {name: value for name, value in match.groupdict().items() if value is not None}


def _is_inside(path: str, problems: list[str]) -> bool:
    """Whether a path that a list names stays below its folder; if not, that is a problem."""
    if why := require_inside(path):
        problems.append(f"a list names the image {path!r}, which is not allowed: {why}")
    return not why


def _filled(template: str, row: Row) -> str:
    """Fill `{column}` and `{column:05d}`; the empty text where the row lacks one."""
    lacking = False

    def value(match: re.Match[str]) -> str:
        nonlocal lacking
        name, width = match.groups()
        text = row.get(name, "")
        lacking = lacking or not text or bool(width and not text.isdecimal())
        return text.zfill(int(width)) if width else text

    path = re.sub(r"\{(\w+)(?::0?(\d{0,2})d)?\}", value, template)
    return "" if lacking else path


def _entry(manifest: Manifest, row: Row, files: dict[str, int]) -> Entry:
    return Entry(
        path=row[IMAGE],
        class_=_value(manifest.class_, row),
        group=_value(manifest.group, row),
        split=_value(manifest.split, row),
        size=files.get(row[IMAGE], -1),
    )


def _value(fact: Fact, row: Row) -> str | None:
    value = row.get(fact.column)
    if not value and fact.every is not None:
        number = row.get(fact.number, "")
        place = (int(number) - 1) // fact.every if number.isdecimal() and int(number) else -1
        value = fact.in_order[place] if 0 <= place < len(fact.in_order) else None
    if not value or not fact.names:
        return value or None
    names = {normal_name(name): said for name, said in fact.names.items()}
    return names.get(normal_name(value), value)


def _fits(manifest: Manifest, listing: Listing) -> bool:
    """Whether this is a place of the set: an image is there, of a known class where classes are known."""
    known = {normal_name(name) for name in manifest.counts.class_names}
    return any(
        entry.size >= 0 and (not known or normal_name(entry.class_ or "") in known)
        for entry in listing.entries
    )


def _side_files(manifest: Manifest, place: Place) -> set[str]:
    """Return the files of the set that are no images, relative to the images' folder."""
    files = [*(table.file for table in manifest.tables), *manifest.checksums]
    return {os.path.relpath(place.base / file, place.images).replace(os.sep, "/") for file in files}


def require_classes(manifest: Manifest, listing: Listing) -> None:
    """Refuse a listing whose classes cannot be told because a side table is missing.

    Raises
    ------
    ImageError
    """
    if listing.problems and not any(entry.class_ for entry in listing.entries):
        raise ImageError(f"the classes of {manifest.name!r} cannot be told: {listing.problems[0]}")
