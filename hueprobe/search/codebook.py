"""The rounded copy of a memory that exact search multiplies with, in blocks, kept in RAM or read ahead."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from hueprobe.search.rounded import Codes, encode

if TYPE_CHECKING:
    from hueprobe.memory.store import Memory

GROUP = 32  # vectors whose highest product is looked at first
BLOCK = 16_384  # vectors multiplied at a time
DEFAULT_BUDGET = 1 << 30  # bytes, on a CPU
_GPU_SHARE = 0.7  # of the memory that is free on a GPU


@dataclass(frozen=True)
class Block:
    """Some of a memory's vectors, rounded; the member m of group j stands at m * n_groups + j.

    Attributes
    ----------
    codes : Codes
        Of n vectors, n a multiple of `GROUP`; pads are zero vectors.
    ids : Tensor of int64, shape (n,)
        Vector id at each position; -1 for a pad.
    sorted_ids, positions : ndarray of int64, shape (n_vectors,)
        The ids, ascending, and where each stands.
    n_groups : int
    scale, least_scale, residual : Tensor of float32, shape (n_groups,), or None
        Largest and smallest scale and largest residual of each group; None where all scales are 1, and where
        nothing was rounded.
    signed : bool
        Some codes are negative.
    """

    codes: Codes
    ids: torch.Tensor
    sorted_ids: np.ndarray
    positions: np.ndarray
    n_groups: int
    scale: torch.Tensor | None
    least_scale: torch.Tensor | None
    residual: torch.Tensor | None
    signed: bool

    @property
    def pads(self) -> torch.Tensor:
        """Positions that hold no vector."""
        return torch.nonzero(self.ids < 0)[:, 0]

    @classmethod
    def of(cls, vectors: torch.Tensor, ids: np.ndarray, number_format: str) -> "Block":
        """Round float32 vectors (n, d) with ascending ids (n,)."""
        codes = encode(vectors, number_format)
        n = len(ids)
        n_groups = -(-n // GROUP)
        order = np.arange(n_groups * GROUP)  # pads, if any, come last
        if number_format == "int8":
            # Neighbours in scale share a group, which then has one scale for all, nearly.
            order[:n] = torch.argsort(codes.scale).cpu().numpy()
            order = order.reshape(n_groups, GROUP).T.reshape(-1)
        place = torch.from_numpy(order).to(vectors.device)
        real = place < n
        if number_format != "int8" and bool(real.all()):
            values, scale, residual = codes.values, codes.scale, codes.residual
        else:
            source = torch.where(
                real, place, int(order[real.cpu().numpy()][-1])
            )  # pads: the last one's scale
            values = codes.values[source]
            values[~real] = 0
            scale, residual = codes.scale[source], codes.residual[source].masked_fill(~real, 0)
        positions = np.empty(n, np.int64)
        here = np.flatnonzero(order < n)
        positions[order[here]] = here
        padded = torch.from_numpy(np.append(ids, -1)[np.minimum(order, n)]).to(vectors.device)
        by_group = scale.view(GROUP, n_groups)
        scaled, rounded = number_format == "int8", number_format != "float32"
        return cls(
            codes=Codes(values, scale, residual),
            ids=padded,
            sorted_ids=ids,
            positions=positions,
            n_groups=n_groups,
            scale=by_group.amax(0) if scaled else None,
            least_scale=by_group.amin(0) if scaled else None,
            residual=residual.view(GROUP, n_groups).amax(0) if rounded else None,
            signed=bool((values < 0).any()),
        )


class Codebook:
    """A memory's vectors rounded to one format.

    Where they fit into the budget they are kept after the first search; a larger memory is read and rounded
    anew by each search, one block ahead of the products.

    Parameters
    ----------
    memory : Memory
    ids : ndarray of int64, shape (n,)
        The vectors to be searched, ascending.
    number_format : str
        One of `rounded.FORMATS`.
    device : torch.device
    budget : int, optional
        Bytes that may be kept; 1 GiB on a CPU, 70 % of what is free on a GPU.
    """

    def __init__(
        self,
        memory: "Memory",
        ids: np.ndarray,
        number_format: str,
        *,
        device: torch.device,
        budget: int | None = None,
    ) -> None:
        self._memory, self._ids, self._format, self._device = memory, ids, number_format, device
        size = {"int8": 1, "half": 2, "float32": 4}[number_format]
        self._keep = len(ids) * memory.n_channels * size <= (_budget(device) if budget is None else budget)
        self._kept: list[Block] = []

    def blocks(self) -> Iterator[Block]:
        """Yield every block, in order."""
        if self._kept:
            yield from self._kept
            return
        made = []
        for block in self._read():
            if self._keep:
                made.append(block)
            yield block
        self._kept = made

    def _read(self) -> Iterator[Block]:
        """Read and round blocks, each while the one before it is in use."""
        parts = [self._ids[start : start + BLOCK] for start in range(0, len(self._ids), BLOCK)]
        with ThreadPoolExecutor(1, "hueprobe-read-ahead") as thread:
            coming = thread.submit(self._make, parts[0]) if parts else None
            for following in [*parts[1:], None]:
                assert coming is not None
                block = coming.result()
                coming = thread.submit(self._make, following) if following is not None else None
                yield block

    def _make(self, ids: np.ndarray) -> Block:
        vectors = torch.from_numpy(self._memory.vectors(ids)).to(self._device)
        return Block.of(vectors, ids, self._format)


def _budget(device: torch.device) -> int:
    if device.type != "cuda":
        return DEFAULT_BUDGET
    free, _ = torch.cuda.mem_get_info(device)
    return int(free * _GPU_SHARE)
