"""Exact search: quantized products select candidates, re-ranking orders them, a bound proves it.

The memory's vectors are quantized to a format whose products are fast (`hueprobe.search.exact.quantized`).
With q^ and x^ the quantized query and vector, r_q >= ||q - q^|| and r_x >= ||x - x^||,

    <q, x>  =  <q^, x^> + <q^, x - x^> + <q - q^, x>
           <=  up(s) + gamma ||q^|| ||x^|| + ||q^|| r_x + r_q ||x||,

where s is the computed product, up(s) the largest sum that rounds to s, and gamma the error of float32
sums (0 for 8-bit and 16-bit codes, whose sums are exact). Below, the *upper bound* of a vector is
up(s) + ||q^|| r_x. Terms that are equal for the whole memory are added at the end. Candidates are the vectors
with the highest upper bounds. The highest upper bound t that was left out bounds all other vectors:

    ||q - x||^2  >=  ||q||^2 + 1 - norm_error - 2 (t + gamma ||q^|| (1 + r) + r_q (1 + norm_error)).

If the square of the k-th exact distance is strictly below that, no other vector can be among the k nearest,
ties included: the query is *certified*. The other queries are searched again with more candidates. Once
re-ranking those would take longer than float64 products, the search uses these instead
(`hueprobe.search.exact.double`). So the result is always exact.

No bound separates equal vectors. When a query that is not certified has equal candidates, the equal vectors
of the whole memory are grouped, once. From then on, one vector of each group is searched
(`hueprobe.search.exact.equal_vectors`).
"""

from typing import TYPE_CHECKING

import numpy as np
import torch

from hueprobe.arguments import as_rows
from hueprobe.search.exact.blocks import QuantizedVectors
from hueprobe.search.exact.device import search_device
from hueprobe.search.exact.double import candidates_in_float64, squared_lengths
from hueprobe.search.exact.equal_vectors import EqualVectors
from hueprobe.search.exact.formats import fastest_format, new_candidates, require_format, sample_of
from hueprobe.search.exact.quantized import ARITHMETIC, full_products, sum_error
from hueprobe.search.neighbors import Neighbors, checked_queries, search_widening
from hueprobe.search.reranking import NORM_ERROR, rerank
from hueprobe.search.spec import EXACT, SearcherSpec
from hueprobe.threads import require_threads

if TYPE_CHECKING:
    from hueprobe.memory.store import Memory

# First candidates beyond k.
_EXTRA = {"sparse": 8, "int16": 8, "uint8": 16, "int8": 46, "half": 22, "float32": 6, "float32-numpy": 6}
_EXTRA_IN_FLOAT64 = 6
_WIDEN = 4  # factor of candidates for queries that are not certified
_RERANKED = (
    4  # candidates re-ranked in about the time that one vector takes from its shard to float64 products
)
_LOOKED_AT = 64  # queries whose candidates are checked for equal vectors
_MOST_RESIDUAL = 2.0**-7  # largest residual of formats whose sums have an error (gamma > 0)


class ExactSearcher:
    """Search for the exact k nearest stored vectors.

    Parameters
    ----------
    memory : Memory
        Memory to search.
    device : str, default="cpu"
        Device that computes the products; see `search_device`.
    images : array_like of int or of bool, optional
        Memory rows to search; all if None.
    vectors : array_like of int or of bool, optional
        Ids of the vectors to search; all if None.
    products : {"sparse", "int16", "uint8", "int8", "half", "float32", "float32-numpy"}, optional
        Number format of the first pass; `uint8` is for memories without negative values. If None, the fastest
        format for these vectors on this machine, measured once. Results do not depend on it.
    memory_budget : int, optional
        Bytes of quantized vectors that may stay in RAM or on the GPU; see `QuantizedVectors`.

    Attributes
    ----------
    format : str
        Number format of the first pass.
    quantized : QuantizedVectors
        The memory's vectors in that format.
    nonzero : float
        Share of nonzero values in a sample of the memory's vectors; it decides whether `sparse` pays.
    n_queries, n_certified : int
        Number of queries so far, without zero vectors, and how many of them the first pass certified.
    """

    spec: SearcherSpec = EXACT

    def __init__(
        self,
        memory: "Memory",
        *,
        device: str = "cpu",
        images: np.ndarray | None = None,
        vectors: np.ndarray | None = None,
        products: str | None = None,
        memory_budget: int | None = None,
    ) -> None:
        require_threads("torch", torch.get_num_threads())
        self.memory = memory
        self.device = search_device(memory, device)
        searched = memory.valid()
        if images is not None:
            chosen = np.zeros(memory.n_images, bool)
            chosen[as_rows("images", images, memory.n_images)] = True
            searched = searched & np.repeat(chosen, memory.grid.n_cells)
        if vectors is not None:
            among = np.zeros(memory.n_slots, bool)
            among[as_rows("vectors", vectors, memory.n_slots)] = True
            searched = searched & among
        self._ids = np.flatnonzero(searched)  # without zero vectors
        sample = sample_of(memory, self._ids)
        self.nonzero = float((sample != 0).mean()) if sample.size else 0.0
        nonnegative = memory.nonnegative
        self.format = products or fastest_format(self.device, sample, nonnegative=nonnegative)
        require_format(self.format, memory.n_channels, self.device, nonnegative=nonnegative)
        self._budget = memory_budget
        self._equal: EqualVectors | None = None
        self._grouped = False
        self.quantized = self._quantized(self.format)
        self.n_queries = self.n_certified = 0

    @property
    def certified(self) -> float:
        """Share of the queries so far that the first pass certified; NaN before the first query."""
        return self.n_certified / self.n_queries if self.n_queries else float("nan")

    def _quantized(self, number_format: str) -> QuantizedVectors:
        return QuantizedVectors(
            self.memory,
            self._ids,
            number_format,
            device=self.device,
            budget=self._budget,
            nonzero=self.nonzero,
        )

    def search(self, vectors: np.ndarray, k: int, *, exclude_images: np.ndarray | None = None) -> Neighbors:
        """Return the k nearest stored vectors of each query.

        Parameters
        ----------
        vectors, k, exclude_images
            See `Searcher.search`.
        """
        require_threads("torch", torch.get_num_threads())
        vectors, k, excluded = checked_queries(self.memory, vectors, k, exclude_images)
        excluded = _each_once(excluded)
        everything = len(self._ids)
        number_format, n_looks = self.format, 0

        def look(queries: np.ndarray, barred: np.ndarray, width: int) -> tuple[np.ndarray, Neighbors]:
            nonlocal number_format, n_looks
            if n_looks and number_format != "float64" and len(queries) * width > _RERANKED * everything:
                number_format, width = "float64", min(k + _EXTRA_IN_FLOAT64, everything)
            found, settled, candidates = self._pass(queries, k, width, barred, number_format)
            settled |= width == everything
            if not n_looks:
                self.n_queries += len(queries)
                self.n_certified += int(settled.sum())
            n_looks += 1
            left = np.flatnonzero(~settled)
            if not self._grouped and self._ties_among(queries[left], candidates[left]):
                self._group()
                again, settled[left], _ = self._pass(queries[left], k, width, barred[left], number_format)
                found.ids[left], found.distances[left] = again.ids, again.distances
            return settled, Neighbors(found.ids[settled], found.distances[settled])

        return search_widening(
            look, vectors, k, excluded, width=k + _EXTRA[self.format], widest=everything, times=_WIDEN
        )

    def _pass(
        self, queries: np.ndarray, k: int, width: int, excluded: np.ndarray, number_format: str
    ) -> tuple[Neighbors, np.ndarray, np.ndarray]:
        """Return the k nearest among `width` candidates, whether the bound proves it, and the candidates."""
        if number_format == "float64":
            ids, outside = candidates_in_float64(
                self.memory, self._ids, queries, width, excluded, device=self.device, equal=self._equal
            )
        else:
            ids, outside = self._quantized_candidates(queries, k, width, excluded, number_format)
        if self._equal is not None:
            ids = self._equal.led(ids, excluded)
        found = rerank(self.memory, queries, ids, k)
        if self._equal is not None:
            found = self._equal.followed(found, excluded)
        # If nothing was left out, no vector is outside.
        return found, (np.square(found.distances[:, -1]) < outside) | np.isposinf(outside), ids

    def _quantized_candidates(
        self, queries: np.ndarray, k: int, width: int, excluded: np.ndarray, number_format: str
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return candidates (n, at most width) and a lower bound of all other squared distances."""
        with full_products():
            candidates = new_candidates(
                number_format,
                queries,
                width,
                excluded,
                self.memory.grid.n_cells,
                device=self.device,
                equal=self._equal,
            )
            for block in self.quantized.blocks():
                candidates.take(block)
        ids, left_out = candidates.result(k)
        squared = squared_lengths(queries)
        length = np.sqrt(squared) + candidates.residual
        gamma = sum_error(number_format, self.memory.n_channels, self.device)
        slack = gamma * length * (1 + _MOST_RESIDUAL) + candidates.residual * (1 + NORM_ERROR) + ARITHMETIC
        return ids, squared + 1 - NORM_ERROR - 2 * (left_out + slack)

    def _ties_among(self, queries: np.ndarray, candidates: np.ndarray) -> bool:
        """Return whether some of the queries almost certainly have equal vectors as candidates."""
        looked_at = np.unique(np.linspace(0, len(queries), _LOOKED_AT, endpoint=False, dtype=int))
        if not len(queries):
            return False
        queries, candidates = queries[looked_at], candidates[looked_at]
        distances = rerank(self.memory, queries, candidates, candidates.shape[1]).distances
        return bool(((distances[:, 1:] == distances[:, :-1]) & np.isfinite(distances[:, 1:])).any())

    def _group(self) -> None:
        """Search only one vector of each group of equal vectors from now on."""
        self._grouped = True
        equal = EqualVectors.of(self.memory, self._ids)
        if not len(equal.representatives):
            return
        self._equal = equal
        self._ids = np.setdiff1d(self._ids, equal.followers, assume_unique=True)
        if self.quantized.file is None:
            self.quantized = self._quantized(self.format)
        else:
            self.quantized.leave_out(equal.followers)


def _each_once(excluded: np.ndarray) -> np.ndarray:
    """Sort excluded images (n, m) in each row and replace duplicates by -1."""
    excluded = np.sort(excluded, axis=1)
    again = excluded[:, 1:] == excluded[:, :-1]
    excluded[:, 1:][again] = -1
    return np.sort(excluded, axis=1)
