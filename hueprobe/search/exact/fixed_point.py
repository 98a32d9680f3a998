"""Exact search in 16-bit fixed point: vectors are multiples of 1/32767, and sums of products are exact.

With q^ and x^ the rounded query and vector and s the computed sum of products of their codes,

    <q, x>  =  s / 32767^2 + <q^, x - x^> + <q - q^, x>  <=  s / 32767^2 + ||q^|| r_x + r_q ||x||,

and |s| <= 32767^2 (1 + r_q) (1 + r_x) < 2^31 for unit vectors, for any number of channels. The residuals are
about 1e-4. So candidates can simply be the vectors with the highest s, and the largest r_x bounds them all.

There are two formats. `int16` stores every code; `sparse` stores nonzero codes with their columns, about one
in ten after a ReLU. One pass of native code computes sums and selects (`hueprobe.search.exact.native`).
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import product
from typing import IO

import numpy as np
import torch

from hueprobe.search.exact.double import squared_lengths
from hueprobe.search.exact.equal_vectors import EqualVectors, barred_places
from hueprobe.search.exact.native import (
    LOWEST,
    PANEL,
    are_coupled,
    coupled,
    keep_highest,
    round_to_codes,
)
from hueprobe.search.reranking import NORM_ERROR, plausible
from hueprobe.threads import threaded_map

FIXED_FORMATS = ("sparse", "int16")
CODE_UNIT = 1 / 32_767
_READ = 2_048  # vectors rounded at once, in each thread
_DENSE_BYTES = 2 << 20  # of dense rows at once: they stay in the cache while all queries are multiplied


@dataclass(frozen=True)
class FixedBlock:
    """A part of a memory's vectors, in fixed point.

    Attributes
    ----------
    ids : ndarray of int64, shape (n,)
        Vector ids, ascending.
    pointers : ndarray of int64, shape (n + 1,), or None
        Starts of sparse rows; see `coupled`. None for dense rows.
    rows : ndarray
        Couples of sparse rows, uint16 (n_couples, 4); or codes, int16 (n, d), where d is even.
    residual : float
        Largest residual of the vectors.
    """

    ids: np.ndarray
    pointers: np.ndarray | None
    rows: np.ndarray
    residual: float

    @classmethod
    def of(
        cls, read: Callable[[np.ndarray], np.ndarray], ids: np.ndarray, number_format: str
    ) -> "FixedBlock":
        """Round the vectors that `read` returns for ids, in batches and in threads."""

        def rounded(start: int) -> tuple[np.ndarray | None, np.ndarray, float]:
            codes, residuals = round_to_codes(read(ids[start : start + _READ]))
            largest = float(residuals.max(initial=0))
            return (*coupled(codes), largest) if number_format == "sparse" else (None, codes, largest)

        starts = range(0, max(1, len(ids)), _READ)
        with threaded_map(_workers(len(starts)), name="hueprobe-round") as each:
            parts = list(each(rounded, starts))
        rows = np.concatenate([rows for _, rows, _ in parts])
        residual = max(residual for _, _, residual in parts)
        if number_format != "sparse":
            return cls(ids, None, rows, residual)
        counts = np.concatenate([np.diff(pointers) for pointers, _, _ in parts])
        return cls(ids, np.append(0, np.cumsum(counts)), rows, residual)

    @property
    def nbytes(self) -> int:
        """Size of all arrays, in bytes."""
        return self.ids.nbytes + self.rows.nbytes + (0 if self.pointers is None else self.pointers.nbytes)

    def without(self, ids: np.ndarray) -> "FixedBlock":
        """Return the block without the vectors of the given ids."""
        kept = ~np.isin(self.ids, ids)
        if kept.all():
            return self
        if self.pointers is None:
            return replace(self, ids=self.ids[kept], rows=self.rows[kept])
        counts = np.diff(self.pointers)
        pointers = np.append(0, np.cumsum(counts[kept]))
        return replace(self, ids=self.ids[kept], pointers=pointers, rows=self.rows[np.repeat(kept, counts)])

    def write(self, file: IO[bytes]) -> None:
        """Write the number of couples (int64), the residual (float64), ids, pointers and rows."""
        n_couples = 0 if self.pointers is None else len(self.rows)
        for part in (np.array([n_couples]), np.array([self.residual]), self.ids, self.pointers, self.rows):
            if part is not None:
                file.write(np.ascontiguousarray(part).view(np.uint8).data)

    @classmethod
    def read(
        cls, fill: Callable[[np.ndarray], None], ids: np.ndarray, n_channels: int, number_format: str
    ) -> "FixedBlock":
        """Read a block that `write` wrote.

        Parameters
        ----------
        fill : callable
            Reads the next bytes into an array.
        ids : ndarray of int64
            Expected ids.
        n_channels : int
            Number of channels.
        number_format : str
            One of `FIXED_FORMATS`.

        Raises
        ------
        ValueError
            The data are not a valid block; the message gives the reason.
        """
        n, d = len(ids), n_channels + n_channels % 2
        n_couples, residual, written = np.empty(1, np.int64), np.empty(1), np.empty(n, np.int64)
        for part in (n_couples, residual, written):
            fill(part)
        if not np.array_equal(written, ids):
            raise ValueError("its vectors are not those of the memory")
        if not np.isfinite(residual).all() or not 0 <= n_couples[0] <= n * d // 2:
            raise ValueError("it holds impossible values")
        if number_format != "sparse":
            rows = np.empty((n, d), np.int16)
            fill(rows)
            return cls(ids, None, rows, float(residual[0]))
        pointers, couples = np.empty(n + 1, np.int64), np.empty((int(n_couples[0]), 4), np.uint16)
        fill(pointers)
        fill(couples)
        if not are_coupled(pointers, couples, d):
            raise ValueError("it holds columns out of range")
        return cls(ids, pointers, couples, float(residual[0]))


class FixedCandidates:
    """Collect the vectors with the highest products for each query, block by block.

    Parameters
    ----------
    queries : ndarray of float32, shape (n, d)
        Query vectors.
    width : int
        Number of candidates per query.
    excluded : ndarray of int64, shape (n, m)
        Images that each query may not match, without duplicates in a row; padded with -1.
    n_cells : int
        Number of cells of an image.
    equal : EqualVectors, optional
        Groups of equal vectors, of which the blocks hold one member each.

    Attributes
    ----------
    residual : ndarray of float64, shape (n,)
        Residual of each query.
    """

    def __init__(
        self,
        queries: np.ndarray,
        width: int,
        excluded: np.ndarray,
        n_cells: int,
        equal: EqualVectors | None = None,
    ) -> None:
        self._queries, self.residual = round_to_codes(queries)
        self._length = np.sqrt(squared_lengths(queries)) + self.residual
        self._excluded, self._n_cells, self._equal = excluded, n_cells, equal
        n, n_threads = len(queries), torch.get_num_threads()
        self._panels = [slice(start, min(start + PANEL, n)) for start in range(0, n, PANEL)]
        n_panels = len(self._panels)
        # With few panels, rows are split too, and each share has its own lists.
        n_shares = 1 if n_panels % n_threads == 0 or n_panels >= 4 * n_threads else n_threads
        self._scores = np.full((n_shares, n, width), LOWEST, np.int32)
        self._found = np.full((n_shares, n, width), -1, np.int32)
        self._left = np.full((n_shares, n), LOWEST, np.int32)
        self._ids: list[np.ndarray] = []
        self._n_rows, self._block_residual = 0, 0.0

    def take(self, block: FixedBlock) -> None:
        """Search one block for candidates, in images that a query may match."""
        n, n_rows = len(self._queries), len(block.ids)
        query, place = barred_places(block.ids, self._excluded, self._n_cells, self._equal)
        order = np.lexsort((place, query))
        barred_from = np.searchsorted(query[order], np.arange(n + 1)).astype(np.int64)
        barred = place[order].astype(np.int32)
        step = n_rows if block.pointers is not None else _DENSE_BYTES // (2 * block.rows.shape[1]) + 1

        def search(panel: slice, share: int, rows: slice) -> None:
            keep_highest(
                self._queries[panel],
                block.pointers,
                block.rows,
                (barred_from[panel.start : panel.stop + 1], barred),
                (self._scores[share, panel], self._found[share, panel], self._left[share, panel]),
                part=rows,
                first=self._n_rows,
            )

        n_shares = len(self._left)
        tasks = list(product(self._panels, range(n_shares)))
        with threaded_map(_workers(len(tasks)), name="hueprobe-products") as each:
            for start in range(0, n_rows, max(1, step)):
                ends = np.linspace(start, min(start + step, n_rows), n_shares + 1).astype(int).tolist()
                shares = [slice(ends[share], ends[share + 1]) for _, share in tasks]
                for _ in each(search, *zip(*tasks, strict=True), shares):
                    pass
        self._ids.append(block.ids)
        self._n_rows += n_rows
        self._block_residual = max(self._block_residual, block.residual)

    def lists(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return the highest scores (n, width), their rows in all blocks, and the highest left out (n,).

        Entries are unordered; `LOWEST` and -1 mark empty ones.
        """
        n_shares, n, width = self._scores.shape
        scores = self._scores.transpose(1, 0, 2).reshape(n, n_shares * width)
        found = self._found.transpose(1, 0, 2).reshape(n, n_shares * width)
        left = self._left.max(axis=0)
        if n_shares > 1:
            order = np.argsort(-scores.astype(np.int64), axis=1)
            left = np.maximum(left, np.take_along_axis(scores, order[:, width : width + 1], axis=1)[:, 0])
            scores, found = (np.take_along_axis(part, order[:, :width], axis=1) for part in (scores, found))
        return scores, found, left

    def result(self, k: int) -> tuple[np.ndarray, np.ndarray]:
        """Return candidates and the highest upper bound of all others.

        Parameters
        ----------
        k : int
            Number of neighbors; vectors that cannot be among the k nearest are dropped.

        Returns
        -------
        ids : ndarray of int64, shape (n, at most width)
            Candidates; -1 marks empty entries.
        left_out : ndarray of float64, shape (n,)
            Highest upper bound of the vectors left out; -inf if none was.
        """
        scores, found, left = self.lists()
        ids = np.append(np.concatenate([*self._ids, np.empty(0, np.int64)]), -1)[found]
        off = self._length * self._block_residual  # error of a product, without the term r_q ||x||
        bound = left * CODE_UNIT**2 + off
        if ids.shape[1] > k:
            margin = 2 * (off + self.residual) + 2 * NORM_ERROR
            ids, _ = plausible(ids, scores * CODE_UNIT**2, k, margin)
        return ids, np.where(left == LOWEST, -np.inf, bound)


def _workers(n_tasks: int) -> int:
    """Return how many threads to start: 0 if the calling thread suffices."""
    n = min(torch.get_num_threads(), n_tasks)
    return n if n > 1 else 0
