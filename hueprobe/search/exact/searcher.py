"""Exact search: products of quantized vectors pick candidates, re-ranking orders them, a bound proves it.

The memory's vectors are quantized to a format whose products are fast (`hueprobe.search.exact.quantized`).
With q^ and x^ the quantized query and vector, r_q >= ||q - q^|| and r_x >= ||x - x^||,

    <q, x>  =  <q^, x^> + <q^, x - x^> + <q - q^, x>
           <=  up(s) + gamma ||q^|| ||x^|| + ||q^|| r_x + r_q ||x||,

s being the computed product, up(s) the largest sum that is rounded to s, and gamma the error of
float32 sums (0 for int8). The *upper bound* of a vector, below, is up(s) + ||q^|| r_x: the terms that are the
same for the whole memory are added at the end. Candidates are the vectors of the highest upper bound; the
highest one t that was left out bounds all others:

    ||q - x||^2  >=  ||q||^2 + 1 - norm_error - 2 (t + gamma ||q^|| (1 + r) + r_q (1 + norm_error)).

Where the k-th exact distance is strictly below that, no vector outside can belong to the k nearest, ties
included: the query is *certified*. The others are searched again with more candidates, and with float32
products once re-ranking all those would take longer; so the result is always exact.

Sorting all products would take longer than computing them. So vectors stand in groups of 32 of nearly the
same scale; each group's highest product bounds its members, and only the groups of the highest bounds
are looked into.
"""

from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from hueprobe.search.exact.blocks import Block, QuantizedVectors
from hueprobe.search.exact.device import search_device
from hueprobe.search.exact.quantized import (
    ARITHMETIC,
    MOST_INT8_CHANNELS,
    NOTHING,
    Codes,
    fastest_format,
    full_products,
    highest,
    lowest,
    product_dtype,
    products,
    quantize,
    require_format,
    sum_error,
)
from hueprobe.search.neighbors import Neighbors, checked_queries, search_widening
from hueprobe.search.reranking import NORM_ERROR, rerank
from hueprobe.search.spec import EXACT, SearcherSpec
from hueprobe.threads import require_threads

if TYPE_CHECKING:
    from hueprobe.memory.store import Memory

_CHUNK = 1_024  # queries multiplied at a time: with a block of 32,768, 128 MiB of int32 products
_EXTRA = {"int8": 46, "half": 22, "float32": 6}  # candidates beyond k at first
_WIDEN = 4  # times as many for the queries that are not certified
_RERANKED = (
    4  # candidates are re-ranked in about the time of one vector's way from its shard to float32 products
)
_MOST_RESIDUAL = 2.0**-7  # of a quantized vector whose products have a sum error (gamma > 0)


class ExactSearcher:
    """The k nearest stored vectors, exactly.

    Parameters
    ----------
    memory : Memory
    device : str
        Where products are computed; see `search_device`.
    images : array_like of int, optional
        Search these memory rows alone; all by default.
    products : {"int8", "half", "float32"}, optional
        Format of the first pass; by default the one that is fastest here, measured once. The result does
        not depend on it.
    memory_budget : int, optional
        Bytes of quantized vectors that may stay in RAM (or on the GPU); see `QuantizedVectors`.

    Attributes
    ----------
    format : str
        Of the first pass.
    quantized : QuantizedVectors
        The memory's vectors in that format.
    n_queries, n_certified : int
        Queries so far, zero vectors left out, and how many of them the first pass settled.
    """

    spec: SearcherSpec = EXACT

    def __init__(
        self,
        memory: "Memory",
        *,
        device: str = "cpu",
        images: np.ndarray | None = None,
        products: str | None = None,
        memory_budget: int | None = None,
    ) -> None:
        require_threads("torch", torch.get_num_threads())
        self.memory = memory
        self.device = search_device(memory, device)
        fastest = fastest_format(self.device) if memory.n_channels <= MOST_INT8_CHANNELS else "float32"
        self.format = products or fastest
        require_format(self.format, memory.n_channels)
        searched = memory.valid()
        if images is not None:
            chosen = np.zeros(memory.n_images, bool)
            chosen[np.asarray(images, np.int64)] = True
            searched = searched & np.repeat(chosen, memory.grid.n_cells)
        self._ids = np.flatnonzero(searched)  # zero vectors are left out
        self._budget = memory_budget
        self.quantized = self._quantized(self.format)
        self.n_queries = self.n_certified = 0

    @property
    def certified(self) -> float:
        """Share of the queries so far that the first pass settled; NaN before there were any."""
        return self.n_certified / self.n_queries if self.n_queries else float("nan")

    def _quantized(self, number_format: str) -> QuantizedVectors:
        return QuantizedVectors(
            self.memory, self._ids, number_format, device=self.device, budget=self._budget
        )

    def search(self, vectors: np.ndarray, k: int, *, exclude_images: np.ndarray | None = None) -> Neighbors:
        """Return the k nearest stored vectors of each query.

        Parameters
        ----------
        vectors, k, exclude_images
            As in `Searcher.search`.
        """
        require_threads("torch", torch.get_num_threads())
        vectors, excluded = checked_queries(self.memory, vectors, k, exclude_images)
        everything = len(self._ids)
        number_format, n_looks = self.format, 0

        def look(queries: np.ndarray, barred: np.ndarray, width: int) -> tuple[np.ndarray, Neighbors]:
            nonlocal number_format, n_looks
            if n_looks and len(queries) * width > _RERANKED * everything:
                number_format = "float32"
            found, settled = self._pass(queries, k, width, barred, number_format)
            settled |= width == everything
            if not n_looks:
                self.n_queries += len(queries)
                self.n_certified += int(settled.sum())
            n_looks += 1
            return settled, Neighbors(found.ids[settled], found.distances[settled])

        return search_widening(
            look, vectors, k, excluded, width=k + _EXTRA[self.format], widest=everything, times=_WIDEN
        )

    def _pass(
        self, queries: np.ndarray, k: int, width: int, excluded: np.ndarray, number_format: str
    ) -> tuple[Neighbors, np.ndarray]:
        """Return the k nearest among `width` candidates, and whether the bound proves them, bool (n,)."""
        # The few queries that come to float32 read the shards themselves: a second copy is not kept for them.
        rows = self.quantized if number_format == self.format else self._quantized(number_format)
        with full_products():
            quantized = quantize(torch.from_numpy(queries).to(self.device), number_format)
            candidates = _Candidates(quantized, width)
            for block in rows.blocks():
                candidates.take(block, excluded, self.memory.grid.n_cells)
        ids, left_out = candidates.result()
        found = rerank(self.memory, queries, ids, k)
        squared = np.square(queries.astype(np.float64)).sum(axis=1)
        residual = quantized.residual.cpu().double().numpy()
        length = np.sqrt(squared) + residual
        gamma = sum_error(number_format, self.memory.n_channels, self.device)
        slack = gamma * length * (1 + _MOST_RESIDUAL) + residual * (1 + NORM_ERROR) + ARITHMETIC
        outside = squared + 1 - NORM_ERROR - 2 * (left_out + slack)
        # Where nothing was left out, nothing is outside.
        return found, (np.square(found.distances[:, -1]) < outside) | np.isneginf(left_out)


class _Candidates:
    """The vectors of the highest upper bound of each query, block by block.

    Parameters
    ----------
    queries : Codes
    width : int
        How many to keep.
    """

    def __init__(self, queries: Codes, width: int) -> None:
        n, device = len(queries.values), queries.values.device
        self._queries, self._width = queries, width
        self._upper = torch.full((n, width), -torch.inf, device=device)
        self._ids = torch.full((n, width), -1, dtype=torch.int64, device=device)
        self._left_out = torch.full((n,), -torch.inf, device=device)
        # ||q^|| <= ||q|| + r_q, and ||q|| is 1 but for its own rounding
        self._length = (1 + queries.residual + NORM_ERROR) / queries.scale
        self._signed = bool((queries.values < 0).any())
        self._buffer = torch.empty(0, device=device)

    def take(self, block: Block, excluded: np.ndarray, n_cells: int) -> None:
        """Look for candidates in one block, in images that a query may match."""
        n_rows, n_groups = len(block.ids), block.n_groups
        n_members = n_rows // n_groups
        size = min(_CHUNK, len(self._upper)) * n_rows
        dtype = product_dtype(block.codes.values)
        if self._buffer.numel() < size or self._buffer.dtype != dtype:
            self._buffer = torch.empty(size, dtype=dtype, device=self._upper.device)
        pads = block.pads
        for start in range(0, len(self._upper), _CHUNK):
            chunk = slice(start, start + _CHUNK)
            queries = Codes(*(part[chunk] for part in vars(self._queries).values()))
            n = len(queries.values)
            raw = products(queries, block.codes.values, self._buffer[: n * n_rows].view(n, n_rows))
            if len(pads):
                raw[:, pads] = lowest(raw.dtype)
            _mask_excluded(raw, excluded[chunk], block, n_cells)
            grouped = raw.view(n, n_members, n_groups)
            bound = self._bound(grouped.amax(1), block, slice(None), chunk)
            n_chosen = min(self._width, n_groups)
            groups = bound.topk(min(self._width + 1, n_groups), dim=1)
            if n_groups > n_chosen:
                self._leave_out(chunk, groups.values[:, -1])
            chosen = groups.indices[:, :n_chosen]
            members = grouped.gather(2, chosen[:, None, :].expand(n, n_members, n_chosen))
            upper = self._bound(members, block, chosen[:, None, :], chunk)
            self._merge(chunk, upper.reshape(n, -1), chosen, block)

    def _bound(self, raw: torch.Tensor, block: Block, group: Any, chunk: slice) -> torch.Tensor:
        """Return the upper bounds behind raw products (n, ...) of members of `group`, by that group's scale.

        In units of the query's scale, which is put back at the end: it changes no order.
        """
        values = highest(raw)
        if block.scale is not None and block.least_scale is not None:
            scale = block.scale[group]
            if self._signed or block.signed:
                scale = torch.where(values < 0, block.least_scale[group], scale)
            values *= scale
        if block.residual is not None:
            values += self._length[chunk].view((-1,) + (1,) * (raw.ndim - 1)) * block.residual[group]
        return values

    def _merge(self, chunk: slice, upper: torch.Tensor, chosen: torch.Tensor, block: Block) -> None:
        """Take in the members (n, n_members * n_chosen) of groups (n, n_chosen) as far as they lead."""
        upper = torch.cat([self._upper[chunk], upper], dim=1)
        best = upper.topk(min(self._width + 1, upper.shape[1]), dim=1)
        if upper.shape[1] > self._width:
            self._leave_out(chunk, best.values[:, -1])
        kept = best.indices[:, : self._width]
        before = kept < self._width  # columns of earlier blocks come first
        earlier = self._ids[chunk].gather(1, torch.where(before, kept, 0))
        new = torch.where(before, 0, kept - self._width)
        group = chosen.gather(1, new % chosen.shape[1])
        here = block.ids[new // chosen.shape[1] * block.n_groups + group]
        self._upper[chunk] = best.values[:, : self._width]
        self._ids[chunk] = torch.where(before, earlier, here)

    def _leave_out(self, chunk: slice, upper: torch.Tensor) -> None:
        self._left_out[chunk] = torch.maximum(self._left_out[chunk], upper)

    def result(self) -> tuple[np.ndarray, np.ndarray]:
        """Return candidates (n, width), -1 where none is left, and the highest upper bound left out (n,)."""
        # Excluded vectors and pads have the lowest products, far below every other.
        ids = torch.where(self._upper < NOTHING, -1, self._ids)
        left_out = torch.where(self._left_out < NOTHING, -torch.inf, self._left_out * self._queries.scale)
        return ids.cpu().numpy(), left_out.cpu().double().numpy()


def _mask_excluded(raw: torch.Tensor, excluded: np.ndarray, block: Block, n_cells: int) -> None:
    """Set the products with images that a query may not match to the lowest."""
    ids = block.sorted_ids
    begin = np.searchsorted(ids, excluded * n_cells)
    length = np.where(excluded >= 0, np.searchsorted(ids, (excluded + 1) * n_cells) - begin, 0)
    query, column = np.nonzero(length)
    if not len(query):
        return
    begin, length = begin[query, column], length[query, column]
    rows = np.repeat(query, length)
    columns = np.arange(length.sum()) + np.repeat(begin - np.cumsum(length) + length, length)
    positions = block.positions[columns]
    raw[torch.from_numpy(rows).to(raw.device), torch.from_numpy(positions).to(raw.device)] = lowest(raw.dtype)
