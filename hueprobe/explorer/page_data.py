"""The records of the explorer's page, from results of the library.

Kernel weights, likelihoods and decisions after cells or classes are taken out are computed in the page, from
the distances and the n_C that stand here. All other numbers are copied from results: no statistic is computed
here. `docs/reference/explorer-format.md` describes the format.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from os.path import relpath
from typing import Any

import numpy as np

from hueprobe import observations
from hueprobe.classification import Classification
from hueprobe.errors import InputError
from hueprobe.explorer.exploration import Explored
from hueprobe.explorer.typed_arrays import encoded
from hueprobe.grid import Grid
from hueprobe.images.table import ImageTable
from hueprobe.memory.store import Memory
from hueprobe.observations.locations.base import base_density

NO_MATCH = 0xFFFFFFFF
_MOST_MEASURED = 20_000  # images whose energy a server measures before it is ready: about a second
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
            raise InputError(
                f"the memory has {n_vectors:,} vectors, and a page can name {NO_MATCH:,} of them"
            )
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
        picked: dict[str, Any] = {}
        for one in fields(self):
            values = getattr(self, one.name)
            picked[one.name] = tuple(values[i] for i in rows) if isinstance(values, tuple) else values[rows]
        return QueryArrays(**picked)

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

    if result.energy.any():
        record |= _energy_maps(result.energy, grid, class_ids(result), result.classes)
    if len(matches):
        where = observations.locations.measure(matches, valid=valid)
        record |= {
            "locations": _cells(where.all, grid),
            "locations_same": _cells(where.same, grid),
            "locations_other": _cells(where.other, grid),
            "class_locations": _cells(where.class_same[:n_classes], grid, n_classes),
            "class_locations_other": _cells(where.class_other[:n_classes], grid, n_classes),
            "base": _cells(where.base, grid),
            "n_same": where.n_same,
            "n_other": where.n_other,
        }
        # The densities do not depend on the permutations.
        given = observations.conditional.measure(matches, seed=0, n_permutations=1)
        record["conditional"] = {
            "same": _cells(given.same.density, grid, grid.n_cells),
            "other": _cells(given.other.density, grid, grid.n_cells),
            "same_base": _cells(where.same, grid),
            "other_base": _cells(where.other, grid),
        }
    return record


def _energy_maps(
    energy: np.ndarray, grid: Grid, image_class: np.ndarray, classes: tuple[str, ...]
) -> dict[str, Any]:
    found = observations.energy.measure(energy, grid, image_class=image_class, classes=classes)
    return {
        "energy": _cells(found.mean_map, grid),
        "class_energy": _cells(found.class_maps, grid, len(classes)),
    }


def _cells(values: np.ndarray, grid: Grid, *shape: int) -> dict[str, Any]:
    return encoded(values.reshape(*shape, grid.n_cells), "float32")


def maps_before_search(memory: Memory, *, own: bool) -> dict[str, Any]:
    """Return the maps that a server knows before it has searched anything: base rate and energy.

    Parameters
    ----------
    memory : Memory
        The memory.
    own : bool
        Whether the queries are the memory's own images; only their energy is known.
    """
    grid, energy = memory.grid, memory.energy()
    record: dict[str, Any] = dict.fromkeys(_MAPS)
    if grid.n_cells == 1:
        return record
    record["base"] = _cells(base_density(memory.valid(), memory.n_images, grid), grid)
    readable = memory.readable
    if own and readable.sum() <= _MOST_MEASURED and energy.any():
        record["n_images"] = int(readable.sum())
        record |= _energy_maps(energy[readable], grid, memory.image_class[readable], memory.classes)
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
        "classes": list(memory.classes),
        "vectors": int(memory.valid().sum()),
        "class_vectors": encoded(memory.class_counts(), "uint32"),
        "images": {
            "root": root_of(explored.images),
            "paths": list(memory.images.paths),
            "class": encoded(memory.image_class, "int32"),
        },
    }


def root_of(table: ImageTable) -> str | None:
    """Return the folder of a table's images as one would type it here; None if they have no common one."""
    roots = set(table.roots)
    if len(roots) != 1 or "" in roots:
        return None
    (root,) = roots
    near = relpath(root)
    return root if near.startswith("..") else near
