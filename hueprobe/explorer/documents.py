"""The whole document of the explorer's page: for one file, or for a page that asks a server."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from hueprobe import __version__
from hueprobe.classification import Classification
from hueprobe.errors import InputError
from hueprobe.explorer.exploration import Exploration, Explored, sample_record
from hueprobe.explorer.page_data import (
    NO_MATCH,
    QueryArrays,
    maps_before_search,
    maps_record,
    memory_record,
    root_of,
)
from hueprobe.explorer.thumbnails import FORMAT, Thumbnails
from hueprobe.explorer.typed_arrays import encoded
from hueprobe.images.table import ImageTable

NAME, VERSION = "hueprobe-explorer", 1
_MATCH_BYTES = 8  # an id and a distance
_BASE64 = 4 / 3


def server_document(exploration: Exploration) -> dict[str, Any]:
    """Return the document of a page that asks a server: without matches and thumbnails.

    Parameters
    ----------
    exploration : Exploration
        What is explored.
    """
    memories = []
    for one in exploration.explored:
        table = one.memory.images if exploration.queries is None else exploration.queries
        rows = exploration.askable
        own = exploration.queries is None
        number = {name: i for i, name in enumerate(one.memory.classes)}
        names = [table.classes[row] for row in rows]
        known = [number.get(name, -1) if name is not None else -1 for name in names]
        queries = {
            "paths": [table.paths[row] for row in rows],
            "class": encoded(known, "int32"),
            "class_names": names,
            "memory_row": encoded(rows if own else np.full(len(rows), -1), "int32"),
            "root": root_of(one.images if own else table),
        }
        n_asked = {"n_asked": len(rows), "sample": None}
        memories.append(
            {
                **memory_record(one),
                **n_asked,
                "queries": queries,
                "maps": maps_before_search(one.memory, own=own),
            }
        )
    return _document(exploration, "server", memories)


@dataclass(frozen=True)
class FileDocument:
    """The document of a page in one file, and what is to be said about it.

    Attributes
    ----------
    document : dict
        The document.
    n_asked, n_added : int
        Number of query images, and of memory images added to walk on.
    n_thumbnails : int
        Number of thumbnails.
    missing : dict of str to str
        Paths of the images that could not be read for a thumbnail, and why.
    skipped : tuple of (str, str)
        Path and reason of each query image that could not be read.
    """

    document: dict[str, Any]
    n_asked: int
    n_added: int
    n_thumbnails: int
    missing: dict[str, str]
    skipped: tuple[tuple[str, str], ...]


def match_bytes(exploration: Exploration, n_images: int) -> float:
    """Return how many bytes the matches of so many images take in a page, before anything is searched."""
    return sum(
        n_images * one.memory.grid.n_cells * one.classifier.k * _MATCH_BYTES * _BASE64
        for one in exploration.explored
    )


def file_document(exploration: Exploration, *, max_images: int | None = None) -> FileDocument:
    """Ask every query image and return the document of a page in one file.

    With query images from outside, the memory images among their matches follow, each left out, so that one
    can walk on to them.

    Parameters
    ----------
    exploration : Exploration
        What is explored.
    max_images : int, optional
        Largest number of images that can be opened in the page: a random sample of the query images, and
        then the memory images that are matched most. By default all.
    """
    rows = exploration.sample(max_images)
    own = exploration.queries is None
    table = None if exploration.queries is None else exploration.queries.select(rows)
    asked = [
        one.classifier.leave_one_out(rows=rows) if table is None else one.classifier.classify(table)
        for one in exploration.explored
    ]
    both = sorted(set.intersection(*(set(result.rows.tolist()) for result in asked)))
    if not both:
        _, reason = asked[0].skipped[0]
        raise InputError(f"none of {len(rows)} images could be read ({reason}); nothing to explore")
    parts = [
        [_of_rows(result, one, both, own)] for result, one in zip(asked, exploration.explored, strict=True)
    ]
    room = None if max_images is None else max(0, max_images - len(both))
    added = [] if own else _to_walk_on(exploration, asked, room)
    if added:
        for one, part in zip(exploration.explored, parts, strict=True):
            part.append(_of_rows(one.classifier.leave_one_out(rows=added), one, added, True))
    thumbnails = Thumbnails(exploration.thumbnails)
    memories = []
    for one, result, part in zip(exploration.explored, asked, parts, strict=True):
        arrays = QueryArrays.concatenate(part)
        record = memory_record(one)
        own_thumbnails, of_queries = _places(one, arrays, table, both, thumbnails)
        record["images"]["thumbnail"] = encoded(own_thumbnails, "int32")
        queries = {**arrays.to_json(), "thumbnail": encoded(of_queries, "int32")}
        queries["root"] = root_of(one.images if table is None else table)
        more = {"n_asked": len(both), "sample": sample_record(exploration, rows), "queries": queries}
        memories.append({**record, **more, "maps": maps_record(result, one.memory.valid())})
    document = {**_document(exploration, "file", memories), "pictures": thumbnails.to_json()}
    return FileDocument(
        document, len(both), len(added), len(thumbnails.pictures), thumbnails.missing, asked[0].skipped
    )


def _document(exploration: Exploration, mode: str, memories: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "format": NAME,
        "version": VERSION,
        "hueprobe": __version__,
        "mode": mode,
        "title": exploration.title,
        "thumbnails": {
            "size": exploration.thumbnails.size,
            "format": FORMAT,
            "quality": exploration.thumbnails.quality,
        },
        "memories": memories,
        "verdicts": exploration.verdicts,
    }


def _of_rows(result: Classification, one: Explored, rows: Sequence[int], own: bool) -> QueryArrays:
    position = {int(row): i for i, row in enumerate(result.rows)}
    arrays = QueryArrays.of(result, k=one.classifier.k, own=own)
    return arrays.select(np.array([position[row] for row in rows], np.int64))


def _to_walk_on(exploration: Exploration, asked: Sequence[Classification], room: int | None) -> list[int]:
    """Return the memory rows among the matches, ascending; with too little room, those matched most."""
    if not exploration.same_images or any(one.classifier.exclude == "none" for one in exploration.explored):
        return []
    matched = np.concatenate([result.matches.image for result in asked if result.matches is not None])
    rows, times = np.unique(matched, return_counts=True)
    rows = rows[np.lexsort((rows, -times))][:room]
    return sorted(rows.tolist())


def _places(
    one: Explored, arrays: QueryArrays, table: ImageTable | None, rows: Sequence[int], thumbnails: Thumbnails
) -> tuple[np.ndarray, np.ndarray]:
    """Return the place of the thumbnail of each memory image and of each query; -1 where there is none."""
    ids = arrays.ids[arrays.ids != NO_MATCH]
    shown = np.union1d(ids // one.memory.grid.n_cells, arrays.memory_row[arrays.memory_row >= 0])
    of_memory = np.full(one.memory.n_images, -1)
    for row in shown.tolist():
        of_memory[row] = thumbnails.place(one.images, row, one.transform)
    of_queries = np.where(arrays.memory_row >= 0, of_memory[arrays.memory_row], -1)
    if table is not None:
        for i, row in enumerate(rows):
            of_queries[i] = thumbnails.place(table, row, one.transform)
    return of_memory, of_queries
