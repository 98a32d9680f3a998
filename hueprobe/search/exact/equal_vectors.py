"""Groups of equal vectors, found once, so that exact search computes one distance per group.

Blank background, padding and inactive channels give many cells exactly the same vector. For a query near
them, the bound of exact search cannot tell which are nearest: their distances are equal, and only their ids
order them. So one vector of each group, the *representative*, is searched; the others are added by id.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from hueprobe.search.neighbors import Neighbors
from hueprobe.threads import n_cores, threaded_map

if TYPE_CHECKING:
    from hueprobe.memory.store import Memory

_READ = 1_024  # vectors hashed or compared at once, in each thread
_PLACES = 1 << 20  # (representative, rank, excluded image) processed at once


@dataclass(frozen=True)
class EqualVectors:
    """The groups of equal vectors of a memory.

    Attributes
    ----------
    n_distinct : int
        Number of distinct vectors: each group counts once.
    representatives : ndarray of int64, shape (n_groups,)
        The lowest id of each group of at least two, ascending.
    starts : ndarray of int64, shape (n_groups + 1,)
        Start of each group in `members`.
    members : ndarray of int64, shape (n_members,)
        Vector ids, including representatives, by group and ascending within a group.
    n_slots, n_cells : int
        Number of slots of the memory, and of cells of one image.
    """

    n_distinct: int
    representatives: np.ndarray
    starts: np.ndarray
    members: np.ndarray
    n_slots: int
    n_cells: int

    @classmethod
    def of(cls, memory: "Memory", ids: np.ndarray) -> "EqualVectors":
        """Find groups of equal vectors.

        Each vector is hashed to 64 bits; vectors with the same hash are compared with the first of them. A
        vector that differs (a hash collision) is not grouped. That costs time but never a wrong result.

        Parameters
        ----------
        memory : Memory
            Memory to search.
        ids : ndarray of int64, shape (n,)
            Ids of the vectors to group, ascending; at least one.
        """
        hashes = np.empty(len(ids), np.uint64)
        parts = [slice(start, start + _READ) for start in range(0, len(ids), _READ)]

        def hashed(part: slice) -> np.ndarray:
            return hashes_of(memory.vectors(ids[part]))

        for part, found in zip(parts, _threaded(hashed, parts), strict=True):
            hashes[part] = found
        order = np.argsort(hashes, kind="stable")  # ids ascend within a hash
        first = np.append(True, np.diff(hashes[order]) != 0)
        leaders = ids[order][np.maximum.accumulate(np.where(first, np.arange(len(ids)), 0))[~first]]
        members = ids[order][~first]
        chunks = [slice(start, start + _READ) for start in range(0, len(members), _READ)]

        def equal(part: slice) -> np.ndarray:
            same = memory.vectors(members[part]) == memory.vectors(leaders[part])
            return np.asarray(same.all(axis=1))

        same = np.concatenate([np.empty(0, bool), *_threaded(equal, chunks)])
        members, leaders = members[same], leaders[same]
        representatives = np.unique(leaders)
        n_distinct = len(ids) - len(members)
        members = np.append(representatives, members)
        leaders = np.append(representatives, leaders)
        members = members[np.lexsort((members, leaders))]
        starts = np.append(np.searchsorted(np.sort(leaders), representatives), len(members))
        return cls(n_distinct, representatives, starts, members, memory.n_slots, memory.grid.n_cells)

    @property
    def followers(self) -> np.ndarray:
        """Ids of the members that are not representatives, ascending, int64."""
        return np.sort(np.delete(self.members, self.starts[:-1]))

    def exhausted(self, excluded: np.ndarray, first: int, last: int) -> tuple[np.ndarray, np.ndarray]:
        """Return queries and representatives of groups that lie entirely in a query's excluded images.

        Parameters
        ----------
        excluded : ndarray of int64, shape (n_queries, m)
            Excluded images, without duplicates in a row; padded with -1.
        first, last : int
            Only representatives with ids from `first` to `last`, inclusive.
        """
        keys, counts = self._by_image
        n = len(self.representatives)
        begin, end = (
            np.searchsorted(keys, excluded * n + np.searchsorted(self.representatives, bound))
            for bound in (first, last + 1)
        )
        query, place = spread(begin, np.where(excluded >= 0, end - begin, 0))
        pairs, pair = np.unique(query * n + keys[place] % n, return_inverse=True)
        n_barred = np.bincount(pair, counts[place], len(pairs))
        query, group = np.divmod(pairs, n)
        whole = n_barred == self._sizes[group]
        return query[whole], self.representatives[group[whole]]

    def led(self, ids: np.ndarray, excluded: np.ndarray) -> np.ndarray:
        """Replace representatives that a query may not match by the lowest member that it may match.

        Parameters
        ----------
        ids : ndarray of int64, shape (n_queries, c)
            Representatives, vectors that equal no other, and -1; without exhausted groups.
        excluded : ndarray of int64, shape (n_queries, m)
            Excluded images, without duplicates in a row, ascending; padded with -1.
        """
        image = np.where(ids >= 0, ids // self.n_cells, -2)
        barred = np.zeros(ids.shape, bool)
        for column in excluded.T:
            barred |= image == column[:, None]
        row, column = np.nonzero(barred)
        group = self._group_of(ids[row, column])
        ids = ids.copy()
        ids[row, column] = self._allowed(group, np.zeros_like(group), *self._barred(group, excluded[row]))
        return ids

    def followed(self, found: Neighbors, excluded: np.ndarray) -> Neighbors:
        """Return the k nearest of all vectors, given the k nearest with one vector per group.

        Parameters
        ----------
        found : Neighbors
            k ids per query as returned by `led`, ordered by distance and then by id.
        excluded : ndarray of int64, shape (n_queries, m)
            Excluded images, as in `led`.
        """
        k = found.ids.shape[1]
        step = max(1, _PLACES // k**2)  # if all distances are equal, each of k groups may contribute k
        parts = [
            self._followed(found.ids[part], found.distances[part], excluded[part])
            for part in (slice(start, start + step) for start in range(0, len(found.ids), step))
        ]
        return Neighbors(*(np.concatenate(columns) for columns in zip(*parts, strict=True)))

    def _followed(
        self, ids: np.ndarray, distances: np.ndarray, excluded: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        k, group = ids.shape[1], self._group_of(ids)
        row, column = np.nonzero(group >= 0)
        begin, length = self._barred(group[row, column], excluded[row])
        count = np.ones(ids.shape, np.int64)
        count[row, column] = self._sizes[group[row, column]] - length.sum(axis=1)
        pair = np.full(ids.shape, -1)
        pair[row, column] = np.arange(len(row))
        # Vectors at equal distance are ordered by id, so all of their groups start at the same rank.
        before = np.cumsum(count, axis=1) - count
        before[:, 1:][distances[:, 1:] == distances[:, :-1]] = 0
        before = np.maximum.accumulate(before, axis=1)
        taken = np.clip(k - before, 0, count)
        row, rank = spread(np.zeros_like(taken), taken)
        column = np.repeat(np.tile(np.arange(k), len(ids)), taken.reshape(-1))
        members, several = ids[row, column], pair[row, column] >= 0
        which = pair[row, column][several]
        members[several] = self._allowed(
            group[row, column][several], rank[several], begin[which], length[which]
        )
        distance = distances[row, column]
        order = np.lexsort((members, distance, row))
        order = order[np.searchsorted(row, np.arange(len(ids)))[:, None] + np.arange(k)]
        return members[order], distance[order]

    @cached_property
    def _sizes(self) -> np.ndarray:
        return np.diff(self.starts)

    @cached_property
    def _keys(self) -> np.ndarray:
        """Group and id of each member, combined in one number, ascending."""
        group = np.repeat(np.arange(len(self.representatives)), self._sizes)
        keys: np.ndarray = group * self.n_slots + self.members
        return keys

    @cached_property
    def _by_image(self) -> tuple[np.ndarray, np.ndarray]:
        """Image and group, combined and ascending, and the number of members of the group in the image."""
        group, member = np.divmod(self._keys, self.n_slots)
        return np.unique(member // self.n_cells * len(self.representatives) + group, return_counts=True)

    @cached_property
    def _by_id(self) -> tuple[np.ndarray, np.ndarray]:
        order = np.argsort(self.members)
        return self.members[order], self._keys[order] // self.n_slots

    def _group_of(self, ids: np.ndarray) -> np.ndarray:
        """Return the group of each id; -1 for a vector that equals no other."""
        members, groups = self._by_id
        place = np.minimum(np.searchsorted(members, ids), len(members) - 1)
        return np.where(members[place] == ids, groups[place], -1)

    def _barred(self, group: np.ndarray, excluded: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the start and number of the members of a group (n,) in each excluded image (n, m)."""
        base = group[:, None] * self.n_slots
        begin = np.searchsorted(self._keys, base + np.maximum(excluded, 0) * self.n_cells)
        end = np.searchsorted(self._keys, base + (excluded + 1) * self.n_cells)
        return begin - self.starts[group][:, None], np.where(excluded >= 0, end - begin, 0)

    def _allowed(
        self, group: np.ndarray, rank: np.ndarray, begin: np.ndarray, length: np.ndarray
    ) -> np.ndarray:
        """Return the id of the member of each rank among the members that may be matched."""
        place = rank.copy()
        for first, n_barred in zip(begin.T, length.T, strict=True):
            place += np.where(place >= first, n_barred, 0)
        ids: np.ndarray = self.members[self.starts[group] + place]
        return ids


def hashes_of(vectors: np.ndarray) -> np.ndarray:
    """Hash float32 vectors (n, d) to uint64 of shape (n,); equal vectors have equal hashes.

    A hash is the sum of a vector's 32-bit words times random factors, modulo 2^64.
    """
    words = np.ascontiguousarray(vectors + np.float32(0)).view(np.uint32)  # -0 becomes 0
    factors = np.random.default_rng(0).integers(0, 2**64, words.shape[1], np.uint64)
    return np.asarray(np.einsum("ij,j->i", words.astype(np.uint64), factors))


def barred_places(
    ids: np.ndarray, excluded: np.ndarray, n_cells: int, equal: EqualVectors | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Return pairs of a query and the position of a vector that it may not match.

    Parameters
    ----------
    ids : ndarray of int64, shape (n_vectors,)
        Vector ids, ascending.
    excluded : ndarray of int64, shape (n_queries, m)
        Images that each query may not match, without duplicates in a row; padded with -1.
    n_cells : int
        Number of cells of an image.
    equal : EqualVectors, optional
        Groups with one member each among the vectors, which may be matched if any member may be.
    """
    begin = np.searchsorted(ids, excluded * n_cells)
    length = np.where(excluded >= 0, np.searchsorted(ids, (excluded + 1) * n_cells) - begin, 0)
    query, place = spread(begin, length)
    if equal is None or not len(ids):
        return query, place
    alone = ~np.isin(ids[place], equal.representatives)
    barred, representatives = equal.exhausted(excluded, int(ids[0]), int(ids[-1]))
    places = np.searchsorted(ids, representatives)
    return np.append(query[alone], barred), np.append(place[alone], places)


def spread(begin: np.ndarray, length: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Expand ranges, given by arrays (n, m) of starts and lengths, to row numbers and values."""
    length = length.astype(np.int64)
    row = np.repeat(np.arange(len(length)), length.sum(axis=1))
    begin, length = begin.reshape(-1), length.reshape(-1)
    return row, np.arange(length.sum()) + np.repeat(begin - np.cumsum(length) + length, length)


def _threaded(function: Callable[[slice], np.ndarray], parts: list[slice]) -> Iterator[np.ndarray]:
    with threaded_map(min(n_cores(), len(parts)), name="hueprobe-equal") as each:
        yield from each(function, parts)
