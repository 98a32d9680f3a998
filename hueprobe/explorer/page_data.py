"""The document of the explorer's page, from results of the library.

Kernel weights, likelihoods and decisions after cells or classes are taken out are computed in the page, from
the distances and the n_C that stand here. All other numbers are copied from results: no statistic is computed
here. `docs/reference/explorer-format.md` describes the format.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from os.path import relpath
from typing import Any

import numpy as np

from hueprobe import __version__, observations
from hueprobe.classification import Classification
from hueprobe.errors import InputError
from hueprobe.explorer.exploration import Exploration, Explored, sample_record
from hueprobe.explorer.thumbnails import FORMAT, Thumbnails
from hueprobe.explorer.typed_arrays import encoded
from hueprobe.images.table import ImageTable

NAME, VERSION = "hueprobe-explorer", 1
NO_MATCH = 0xFFFFFFFF
_MATCH_BYTES = 8  # an id and a distance
_BASE64 = 4 / 3
_MAPS = (
    "n_images", "energy", "class_energy", "locations", "locations_same", "locations_other", "class_locations",
    "class_locations_other", "base", "n_same", "n_other", "conditional",
)  # fmt: skip


@dataclass(frozen=True)
class QueryArrays:
    """What the page knows about n query images, asked in one memory.

    Attributes
    ----------
    paths : tuple of str
        Path or name of each image.
    class_names : tuple of (str or None)
        True class as given.
    class_id, memory_row : ndarray of int64, shape (n,)
        Id of the true class in the memory, -1 if it has no such class; row of a memory image, in
        leave-one-out, -1 for other images.
    predicted, tie : ndarray of shape (n,)
        Predicted class id, -1 for none; whether another class is as likely.
    likelihood, counts : ndarray of shape (n, n_classes)
        Normalized likelihoods; n_C of Eq. (2).
    energy : ndarray of shape (n, n_cells)
        Squared norm of each activation.
    ids, distance : ndarray of shape (n, n_cells, k)
        Vector id and distance of each match, nearest first; `NO_MATCH` and 0 behind the last one.
    """

    paths: tuple[str, ...]
    class_names: tuple[str | None, ...]
    class_id: np.ndarray
    memory_row: np.ndarray
    predicted: np.ndarray
    tie: np.ndarray
    likelihood: np.ndarray
    counts: np.ndarray
    energy: np.ndarray
    ids: np.ndarray
    distance: np.ndarray

    @classmethod
    def of(cls, result: Classification, *, k: int, own: bool) -> "QueryArrays":
        """Return the arrays of a classification with its match table.

        Parameters
        ----------
        result : Classification
            Result of a `KernelDensityClassifier`.
        k : int
            Largest number of matches of a cell.
        own : bool
            Whether the images are the memory's own, in leave-one-out.
        """
        matches, n, n_classes = result.matches, len(result), len(result.classes)
        assert matches is not None and result.class_counts is not None and result.energy is not None
        n_vectors = len(matches.image_paths) * matches.grid.n_cells
        if n_vectors > NO_MATCH:
            raise InputError(f"the memory has {n_vectors:,} vectors, and a page can name {NO_MATCH:,} of them")
        n_cells = matches.query_grid.n_cells
        ids = np.full((n, n_cells, k), NO_MATCH, np.int64)
        distance = np.zeros((n, n_cells, k))
        position = np.full(len(matches.query_paths), -1)
        position[result.rows] = np.arange(n)
        where = position[matches.query_image], matches.query_cell, matches.rank - 1
        ids[where] = matches.grid.vector_id(matches.image, matches.y, matches.x)
        distance[where] = matches.distance
        return cls(
            paths=result.images,
            class_names=result.true_class,
            class_id=class_ids(result),
            memory_row=result.rows if own else np.full(n, -1),
            predicted=result.predicted,
            tie=result.tie,
            likelihood=result.likelihood.reshape(n, n_classes),
            counts=result.class_counts.reshape(n, n_classes),
            energy=result.energy.reshape(n, n_cells),
            ids=ids,
            distance=distance,
        )

    def select(self, rows: np.ndarray) -> "QueryArrays":
        """Return some of the images, in the order of `rows`."""
        return QueryArrays(
            **{
                one.name: tuple(value[i] for i in rows) if isinstance(value, tuple) else value[rows]
                for one in fields(self)
                for value in [getattr(self, one.name)]
            }
        )

    @classmethod
    def concatenate(cls, parts: Sequence["QueryArrays"]) -> "QueryArrays":
        """Join arrays of the same memory."""
        joined: dict[str, Any] = {}
        for one in fields(cls):
            values = [getattr(part, one.name) for part in parts]
            joined[one.name] = sum(values, ()) if isinstance(values[0], tuple) else np.concatenate(values)
        return cls(**joined)

    def to_json(self) -> dict[str, Any]:
        """Return the record `queries` of the page, without thumbnails."""
        return {
            "paths": list(self.paths),
            "class": encoded(self.class_id, "int32"),
            "class_names": list(self.class_names),
            "memory_row": encoded(self.memory_row, "int32"),
            "predicted": encoded(self.predicted, "int32"),
            "tie": encoded(self.tie, "uint8"),
            "likelihood": encoded(self.likelihood, "float32"),
            "counts": encoded(self.counts, "uint32"),
            "energy": encoded(self.energy, "float32"),
            "ids": encoded(self.ids, "uint32"),
            "distance": encoded(self.distance, "float32"),
        }


def class_ids(result: Classification) -> np.ndarray:
    """Return the id of each image's true class in the memory, -1 where the memory has no such class."""
    number = {name: i for i, name in enumerate(result.classes)}
    return np.array(
        [number.get(name, -1) if name is not None else -1 for name in result.true_class], np.int64
    )


def maps_record(result: Classification, valid: np.ndarray) -> dict[str, Any]:
    """Return the maps of a classification: energy, locations of matches, and these given the query cell.

    Parameters
    ----------
    result : Classification
        Result with its match table and energies.
    valid : ndarray of bool
        Memory vectors that can be matched (`memory.valid()`).

    Returns
    -------
    dict
        The record `maps` of the page; None for what cannot be measured.
    """
    matches, n_classes = result.matches, len(result.classes)
    assert matches is not None and result.energy is not None
    grid = matches.grid
    record: dict[str, Any] = dict.fromkeys(_MAPS) | {"n_images": len(result)}
    if grid.n_cells == 1:
        return record

    def cells(values: np.ndarray, *shape: int) -> dict[str, Any]:
        return encoded(values.reshape(*shape, grid.n_cells), "float32")

    if result.energy.any():
        energy = observations.energy.measure(
            result.energy, grid, image_class=class_ids(result), classes=result.classes
        )
        record["energy"] = cells(energy.mean_map)
        record["class_energy"] = cells(energy.class_maps, n_classes)
    if len(matches):
        where = observations.locations.measure(matches, valid=valid)
        record |= {
            "locations": cells(where.all),
            "locations_same": cells(where.same),
            "locations_other": cells(where.other),
            "class_locations": cells(where.class_same[:n_classes], n_classes),
            "class_locations_other": cells(where.class_other[:n_classes], n_classes),
            "base": cells(where.base),
            "n_same": where.n_same,
            "n_other": where.n_other,
        }
        # The densities do not depend on the permutations.
        given = observations.conditional.measure(matches, seed=0, n_permutations=1)
        record["conditional"] = {
            "same": cells(given.same.density, grid.n_cells),
            "other": cells(given.other.density, grid.n_cells),
            "same_base": cells(where.same),
            "other_base": cells(where.other),
        }
    return record


def memory_record(explored: Explored) -> dict[str, Any]:
    """Return what the page knows about a memory, without its queries and maps.

    Parameters
    ----------
    explored : Explored
        The memory and its classifier.
    """
    classifier, memory = explored.classifier, explored.memory
    return {
        "name": memory.path.name or str(memory.path),
        "path": explored.path,
        "network": memory.settings.backbone,
        "layer": memory.settings.layer,
        "grid": list(memory.grid.shape),
        "k": classifier.k,
        "eps": classifier.eps,
        "exclude": classifier.exclude,
        "searcher": classifier.searcher.spec.text,
        "certified": not classifier.searcher.spec.needs_index,
        "crop_known": explored.transform is not None,
        "folder": folder_of(explored.images),
        "classes": list(memory.classes),
        "class_vectors": encoded(memory.class_counts(), "uint32"),
        "images": {
            "paths": list(memory.images.paths),
            "class": encoded(memory.image_class, "int32"),
        },
    }


def folder_of(table: ImageTable) -> str | None:
    """Return the folder of a table's images as one would type it here; None if they have no common one."""
    roots = set(table.roots)
    if len(roots) != 1 or "" in roots:
        return None
    (root,) = roots
    near = relpath(root)
    return root if near.startswith("..") else near


def server_document(exploration: Exploration) -> dict[str, Any]:
    """Return the document of a page that asks a server: without matches, maps and thumbnails.

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
            "folder": folder_of(one.images if own else table),
        }
        n_asked = {"n_asked": len(rows), "sample": None}
        memories.append({**memory_record(one), **n_asked, "queries": queries, "maps": None})
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
        queries["folder"] = folder_of(one.images if table is None else table)
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
