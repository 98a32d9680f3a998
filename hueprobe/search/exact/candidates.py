"""Candidates of exact search: the vectors with the highest upper bounds for each query, block by block.

Sorting all products would take longer than computing them. So vectors form groups of 32 with nearly the same
scale. The highest product of a group bounds its members, and only the groups with the highest bounds are
searched.
"""

from typing import Any

import numpy as np
import torch

from hueprobe.search.exact.equal_vectors import EqualVectors, barred_places
from hueprobe.search.exact.grouped import Block
from hueprobe.search.exact.quantized import (
    NOTHING,
    constant_of_queries,
    highest,
    lowest,
    product_dtype,
    products,
    quantize,
)
from hueprobe.search.reranking import NORM_ERROR

_CHUNK = 1_024  # queries multiplied at once: 128 MiB of int32 products with a block of 32,768


class Candidates:
    """Collect the vectors with the highest upper bounds for each query, block by block.

    Parameters
    ----------
    vectors : ndarray of float32, shape (n, d)
        Query vectors.
    number_format : str
        One of `quantized.FORMATS`.
    width : int
        Number of candidates per query.
    excluded : ndarray of int64, shape (n, m)
        Images that each query may not match, without duplicates in a row; padded with -1.
    n_cells : int
        Number of cells of an image.
    equal : EqualVectors, optional
        Groups of equal vectors, of which the blocks hold one member each.
    device : torch.device
        Device that computes the products.

    Attributes
    ----------
    residual : ndarray of float64, shape (n,)
        Residual of each query.
    """

    def __init__(
        self,
        vectors: np.ndarray,
        number_format: str,
        width: int,
        excluded: np.ndarray,
        n_cells: int,
        equal: EqualVectors | None = None,
        *,
        device: torch.device,
    ) -> None:
        n, queries = len(vectors), quantize(torch.from_numpy(vectors).to(device), number_format)
        self._excluded, self._n_cells, self._equal = excluded, n_cells, equal
        self._queries, self._format, self._width = queries, number_format, width
        self.residual = queries.residual.cpu().double().numpy()
        self._upper = torch.full((n, width), -torch.inf, device=device)
        self._ids = torch.full((n, width), -1, dtype=torch.int64, device=device)
        self._left_out = torch.full((n,), -torch.inf, device=device)
        # ||q^|| <= ||q|| + r_q, and ||q|| is 1 up to rounding
        self._length = (1 + queries.residual + NORM_ERROR) / queries.scale
        self._signed = queries.signed
        self._constant = constant_of_queries(queries)
        self._buffer = torch.empty(0, device=device)

    def take(self, block: Block) -> None:
        """Search one block for candidates, in images that a query may match."""
        n_rows, n_groups = len(block.ids), block.n_groups
        n_members = n_rows // n_groups
        size = min(_CHUNK, len(self._upper)) * n_rows
        dtype = product_dtype(block.codes.values)
        if self._buffer.numel() < size or self._buffer.dtype != dtype:
            self._buffer = torch.empty(size, dtype=dtype, device=self._upper.device)
        pads = block.pads
        for start in range(0, len(self._upper), _CHUNK):
            chunk = slice(start, start + _CHUNK)
            queries = self._queries.part(chunk)
            n = len(queries.values)
            out = self._buffer[: n * n_rows].view(n, n_rows)
            raw = products(queries.values, block.codes.values, out, self._format)
            if queries.offset and block.sums is not None:
                raw.add_(block.sums, alpha=queries.offset)
            if len(pads):
                raw[:, pads] = lowest(raw.dtype)
            self._mask_excluded(raw, chunk, block)
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

    def _mask_excluded(self, raw: torch.Tensor, chunk: slice, block: Block) -> None:
        """Set the products with vectors that a query may not match to the lowest value."""
        rows, columns = barred_places(block.sorted_ids, self._excluded[chunk], self._n_cells, self._equal)
        if len(rows):
            places = torch.from_numpy(block.positions[columns]).to(raw.device)
            raw[torch.from_numpy(rows).to(raw.device), places] = lowest(raw.dtype)

    def _bound(self, raw: torch.Tensor, block: Block, group: Any, chunk: slice) -> torch.Tensor:
        """Return the upper bounds of raw products (n, ...) of members of `group`, from that group's scale.

        Bounds are in units of the query's scale, which changes no order and is applied at the end.
        """
        rest = (-1,) + (1,) * (raw.ndim - 1)
        if block.codes.offset:  # the mark of vectors that may not be matched stays as it is
            whole = raw + self._constant[chunk].view(rest)
            raw = torch.where(raw == lowest(raw.dtype), raw, whole)
        values = highest(raw)
        if block.scale is not None and block.least_scale is not None:
            scale = block.scale[group]
            if self._signed or block.signed:
                scale = torch.where(values < 0, block.least_scale[group], scale)
            values *= scale
        if block.residual is not None:
            values += self._length[chunk].view(rest) * block.residual[group]
        return values

    def _merge(self, chunk: slice, upper: torch.Tensor, chosen: torch.Tensor, block: Block) -> None:
        """Merge the best members (n, n_members * n_chosen) of groups (n, n_chosen) into the candidates."""
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

    def result(self, k: int) -> tuple[np.ndarray, np.ndarray]:
        """Return candidates (n, width), padded with -1, and the highest upper bound left out (n,).

        All candidates are returned, for any k.
        """
        # Excluded vectors and padding have the lowest products, far below all others.
        ids = torch.where(self._upper < NOTHING, -1, self._ids)
        left_out = torch.where(self._left_out < NOTHING, -torch.inf, self._left_out * self._queries.scale)
        return ids.cpu().numpy(), left_out.cpu().double().numpy()
