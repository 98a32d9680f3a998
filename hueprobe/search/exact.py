"""Exact search: blocked float32 products pick candidates, exact distances rank them, a bound proves it.

With q, x float32 vectors of d channels, a computed product differs from <q, x> by at most
gamma_d ||q|| ||x||, gamma_d = d u / (1 - d u), u = 2^-24, whatever the order of summation. A stored
vector's squared length is 1 up to `_NORM_ERROR`. So a vector outside the candidates, whose computed
product is at most t (the lowest one kept), lies at

    ||q - x||^2  >=  ||q||^2 + 1 - norm_error - 2 (t + gamma_d (1 + norm_error)).

Where the k-th exact distance is strictly below that, no vector outside can belong to the k nearest,
ties included. The few queries that the bound does not settle are searched again with more candidates.
"""

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
import torch

from hueprobe.search.neighbors import Neighbors, checked_queries, rank

if TYPE_CHECKING:
    from hueprobe.memory.store import Memory

_BLOCK = 16_384  # memory vectors multiplied at a time
_CHUNK = 1_024  # queries multiplied at a time: with _BLOCK, 64 MiB of scores
_EXTRA = 16  # candidates beyond k at first
_WIDEN = 4  # times as many for the queries that are not settled
_RESIDENT_BYTES = 1 << 30  # a memory that is no larger in float32 is kept after the first search
_UNIT = 2.0**-24
# renormalize() divides by a norm whose pairwise float32 sum is off by some units: generous.
_NORM_ERROR = 64 * _UNIT


class ExactSearcher:
    """The k nearest stored vectors, exactly; streams over the memory's shards.

    Parameters
    ----------
    memory : Memory
    device : str
        Where products are computed.
    images : array_like of int, optional
        Search these memory rows alone; all by default.
    """

    spec = "exact"

    def __init__(self, memory: "Memory", *, device: str = "cpu", images: np.ndarray | None = None) -> None:
        self.memory = memory
        self.device = torch.device(device)
        searched = memory.valid()
        if images is not None:
            chosen = np.zeros(memory.n_images, bool)
            chosen[np.asarray(images, np.int64)] = True
            searched = searched & np.repeat(chosen, memory.grid.n_cells)
        self._ids = np.flatnonzero(searched)  # zero vectors are left out
        self._kept: list[tuple[np.ndarray, torch.Tensor]] = []
        d = memory.n_channels
        self._gamma = d * _UNIT / (1 - d * _UNIT)

    def search(self, vectors: np.ndarray, k: int, *, exclude_images: np.ndarray | None = None) -> Neighbors:
        """Return the k nearest stored vectors of each query; see `Searcher.search`."""
        vectors, excluded = checked_queries(self.memory, vectors, k, exclude_images)
        ids = np.full((len(vectors), k), -1, np.int64)
        distances = np.full((len(vectors), k), np.inf)
        open_queries = np.flatnonzero(vectors.any(axis=1))
        everything = len(self._ids)
        width = min(k + _EXTRA, everything)
        while len(open_queries) and everything:
            queries = vectors[open_queries]
            candidates, scores = self._candidates(queries, width, excluded[open_queries])
            found = rank(self.memory, queries, self._plausible(candidates, scores, k), k)
            settled = self._settled(queries, found, scores[:, -1]) | (width == everything)
            ids[open_queries[settled]] = found.ids[settled]
            distances[open_queries[settled]] = found.distances[settled]
            open_queries = open_queries[~settled]
            width = min(width * _WIDEN, everything)
        return Neighbors(ids, distances)

    def _settled(self, queries: np.ndarray, found: Neighbors, threshold: np.ndarray) -> np.ndarray:
        """Whether the bound of the module's docstring holds, shape (n_queries,) bool."""
        squared = np.square(queries.astype(np.float64)).sum(axis=1)
        slack = self._gamma * np.sqrt(squared) * (1 + _NORM_ERROR)
        outside = squared + 1 - _NORM_ERROR - 2 * (threshold + slack)
        # Fewer candidates than asked for: nothing is outside.
        return (np.square(found.distances[:, -1]) < outside) | np.isneginf(threshold)

    def _plausible(self, candidates: np.ndarray, scores: np.ndarray, k: int) -> np.ndarray:
        """Drop candidates whose product is too low for the k nearest by more than rounding can explain."""
        if k >= candidates.shape[1]:
            return candidates
        margin = 2 * self._gamma * (1 + _NORM_ERROR) + 2 * _NORM_ERROR
        plausible = scores >= scores[:, k - 1, None] - margin
        width = int(plausible.sum(axis=1).max(initial=k))  # scores fall from left to right
        return np.where(plausible, candidates, -1)[:, :width]

    def _blocks(self) -> Iterator[tuple[np.ndarray, torch.Tensor]]:
        """Yield (vector ids, stored vectors) on the device; small memories are kept there."""
        if self._kept:
            yield from self._kept
            return
        keep = len(self._ids) * self.memory.n_channels * 4 <= _RESIDENT_BYTES
        blocks = []
        for start in range(0, len(self._ids), _BLOCK):
            ids = self._ids[start : start + _BLOCK]
            rows = torch.from_numpy(self.memory.vectors(ids)).to(self.device)
            if keep:
                blocks.append((ids, rows))
            yield ids, rows
        self._kept = blocks

    def _candidates(
        self, queries: np.ndarray, width: int, excluded: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return ids of the largest products (n_queries, width; -1 pads), and these products, falling."""
        best = torch.full((len(queries), width), -torch.inf, device=self.device)
        best_ids = torch.full((len(queries), width), -1, dtype=torch.int64, device=self.device)
        on_device = torch.from_numpy(queries).to(self.device)
        with full_float32_products():
            for ids, rows in self._blocks():
                ids_on_device = torch.from_numpy(ids).to(self.device)
                for start in range(0, len(queries), _CHUNK):
                    chunk = slice(start, start + _CHUNK)
                    scores = on_device[chunk] @ rows.T
                    self._mask_excluded(scores, excluded[chunk], ids)
                    top, at = scores.topk(min(width, len(rows)), dim=1)
                    merged = torch.cat([best[chunk], top], dim=1)
                    merged_ids = torch.cat([best_ids[chunk], ids_on_device[at]], dim=1)
                    best[chunk], order = merged.topk(width, dim=1)
                    best_ids[chunk] = merged_ids.gather(1, order)
        best_ids[best == -torch.inf] = -1
        return best_ids.cpu().numpy(), best.double().cpu().numpy()

    def _mask_excluded(self, scores: torch.Tensor, excluded: np.ndarray, ids: np.ndarray) -> None:
        """Set the products with pictures that a query may not match to -inf; ids ascend."""
        n_cells = self.memory.grid.n_cells
        begin = np.searchsorted(ids, excluded * n_cells)
        length = np.where(excluded >= 0, np.searchsorted(ids, (excluded + 1) * n_cells) - begin, 0)
        query, column = np.nonzero(length)
        begin, length = begin[query, column], length[query, column]
        rows = np.repeat(query, length)
        columns = np.arange(length.sum()) + np.repeat(begin - np.cumsum(length) + length, length)
        scores[torch.from_numpy(rows), torch.from_numpy(columns)] = -torch.inf


@contextlib.contextmanager
def full_float32_products() -> Iterator[None]:
    """Keep torch from rounding float32 factors (TF32, bf16) while the bound relies on it."""
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("highest")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)
