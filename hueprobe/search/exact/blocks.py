"""Quantized vectors of a memory for exact search, in blocks that stay in RAM or are read ahead."""

import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import numpy as np
import torch

from hueprobe.errors import SearcherError
from hueprobe.files import written_whole
from hueprobe.progress import progress_bar
from hueprobe.search.exact.fixed_point import FIXED_FORMATS, FixedBlock
from hueprobe.search.exact.native import normalized
from hueprobe.search.exact.quantized import Codes, quantize
from hueprobe.threads import threaded_map

if TYPE_CHECKING:
    from hueprobe.memory.store import Memory

GROUP = 32  # vectors per group; the highest product of a group is examined first
BLOCK = 32_768  # vectors multiplied at once
DEFAULT_BUDGET = 1 << 30  # bytes, on a CPU
_GPU_SHARE = 0.7  # share of the free memory of a GPU


@dataclass(frozen=True)
class Block:
    """Quantized vectors of a part of a memory; member m of group j is at position m * n_groups + j.

    Attributes
    ----------
    codes : Codes
        Codes of n vectors, where n is a multiple of `GROUP`; padding consists of zero vectors.
    ids : Tensor of int64, shape (n,)
        Vector id at each position; -1 for padding.
    sorted_ids, positions : ndarray of int64, shape (n_vectors,)
        The ids, ascending, and the position of each.
    n_groups : int
        Number of groups.
    scale, least_scale, residual : Tensor of float32, shape (n_groups,), or None
        Largest scale, smallest scale and largest residual of each group. Scales are None if all are 1; the
        residual is None if the vectors are not quantized.
    signed : bool
        Whether some codes are negative.
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
        """Quantize float32 vectors (n, d) with ascending ids (n,)."""
        codes = quantize(vectors, number_format)
        n = len(ids)
        n_groups = -(-n // GROUP)
        order = np.arange(n_groups * GROUP)  # padding, if any, comes last
        if number_format == "int8":
            # Vectors of similar scale share a group, so that scales within a group are nearly equal.
            order[:n] = torch.argsort(codes.scale).cpu().numpy()
            order = order.reshape(n_groups, GROUP).T.reshape(-1)
        place = torch.from_numpy(order).to(vectors.device)
        real = place < n
        if number_format != "int8" and bool(real.all()):
            values, scale, residual = codes.values, codes.scale, codes.residual
        else:
            last = int(order[order < n][-1])
            source = torch.where(real, place, last)  # padding gets a scale that already occurs
            values = codes.values[source]
            values[~real] = 0
            scale, residual = codes.scale[source], codes.residual[source].masked_fill(~real, 0)
        padded = np.append(ids, -1)[np.minimum(order, n)]
        return cls.arranged(Codes(values, scale, residual), padded, number_format)

    @classmethod
    def arranged(cls, codes: Codes, ids: np.ndarray, number_format: str) -> "Block":
        """Create a block from codes in their final order, with the id at each position (-1 for padding)."""
        n_groups = len(ids) // GROUP
        places = np.argsort(ids, kind="stable")[int((ids < 0).sum()) :]
        by_group = codes.scale.view(GROUP, n_groups)
        scaled, quantized = number_format == "int8", number_format != "float32"
        return cls(
            codes=codes,
            ids=torch.from_numpy(ids).to(codes.values.device),
            sorted_ids=ids[places],
            positions=places,
            n_groups=n_groups,
            scale=by_group.amax(0) if scaled else None,
            least_scale=by_group.amin(0) if scaled else None,
            residual=codes.residual.view(GROUP, n_groups).amax(0) if quantized else None,
            signed=bool(codes.values.min() < 0),
        )


class QuantizedVectors:
    """A memory's vectors quantized to one format.

    Vectors that fit into the budget stay in RAM after the first search. A larger memory is read again by each
    search, one block ahead of the products. It is read from a file of codes if there is one. Otherwise it is
    read from the shards, which takes about as long as the products.

    Parameters
    ----------
    memory : Memory
        Memory to search.
    ids : ndarray of int64, shape (n,)
        Ids of the vectors to search, ascending.
    number_format : str
        One of `formats.FORMATS`.
    device : torch.device
        Device that computes the products.
    budget : int, optional
        Bytes that may stay in RAM; if None, 1 GiB on a CPU and 70 % of the free memory on a GPU.
    nonzero : float, default=1.0
        Share of nonzero values, from which the size of sparse vectors is estimated.

    Attributes
    ----------
    nonzero : float
        That share.
    fits : bool
        Whether the quantized vectors fit into the budget.
    """

    def __init__(
        self,
        memory: "Memory",
        ids: np.ndarray,
        number_format: str,
        *,
        device: torch.device,
        budget: int | None = None,
        nonzero: float = 1.0,
    ) -> None:
        self._memory, self._format, self._device = memory, number_format, device
        self.nonzero = nonzero
        self._parts = [ids[start : start + BLOCK] for start in range(0, len(ids), BLOCK)]
        needed = len(ids) * _bytes_of_vector(number_format, memory.n_channels, device, nonzero)
        self.fits = needed <= (_budget(device) if budget is None else budget)
        self.file: Path | None = None
        self._sha256: str | None = None  # expected hash of the file, until one pass has verified it
        self._kept: list[Block | FixedBlock] = []
        self._left_out = np.empty(0, np.int64)

    @property
    def wants_file(self) -> bool:
        """Whether a file of codes would save time: quantized vectors on a CPU that exceed the budget."""
        return not self.fits and self._device.type == "cpu" and self._format != "float32"

    def read_from(self, file: Path, sha256: str) -> None:
        """Read blocks from a file of codes from now on; the first pass verifies its hash.

        The check needs no extra read, and it finds damage before that pass returns results.
        """
        self.file, self._sha256 = file, sha256

    def leave_out(self, ids: np.ndarray) -> None:
        """Treat the vectors of these ids as padding from now on; their codes stay in the file.

        Parameters
        ----------
        ids : ndarray of int64
            Ids to leave out, ascending.
        """
        self._left_out = ids

    @property
    def layout(self) -> str:
        """The settings that determine the layout of a file of codes."""
        grouped = "" if self._format in FIXED_FORMATS else f",group={GROUP}"
        return f"{self._format},block={BLOCK}{grouped}"

    def blocks(self) -> Iterator[Block | FixedBlock]:
        """Yield every block, in order."""
        if self._kept:
            yield from self._kept
            return
        made = []
        with self._reader() as read:
            for block in _ahead(read, len(self._parts)):
                if self.fits:
                    made.append(block)
                yield block
        self._kept = made

    def write(self, path: Path, *, progress: bool = False) -> None:
        """Write the blocks in order: values, scales (float32), residuals (float32), ids (int64).

        The layout of a `FixedBlock` is documented at `FixedBlock.write`.
        """
        with (
            written_whole(path) as file,
            progress_bar(len(self._parts), label="quantize", unit="blocks", enabled=progress) as advance,
        ):
            for number in range(len(self._parts)):
                block = self._make(number)
                if isinstance(block, FixedBlock):
                    block.write(file)
                else:
                    for part in (*vars(block.codes).values(), block.ids):
                        file.write(part.contiguous().view(torch.uint8).numpy())
                advance(1)

    @contextmanager
    def _reader(self) -> Iterator[Callable[[int], Block | FixedBlock]]:
        """Yield a function that returns a block by its number; a file is read in order."""
        if self.file is None or self.fits:
            yield self._make
            return
        digest = hashlib.sha256() if self._sha256 else None
        with self.file.open("rb") as file:
            yield lambda number: self._load(file, number, digest)
            if digest is not None and (file.read(1) or digest.hexdigest() != self._sha256):
                raise self._damaged("its contents changed after it was written")
        self._sha256 = None

    def _make(self, number: int) -> Block | FixedBlock:
        ids = self._parts[number]
        if self._format in FIXED_FORMATS:
            return FixedBlock.of(lambda part: normalized(self._memory.raw(part)), ids, self._format)
        vectors = torch.from_numpy(normalized(self._memory.raw(ids))).to(self._device)
        return Block.of(vectors, ids, self._format)

    def _damaged(self, reason: str) -> SearcherError:
        return SearcherError(f"{self.file} is damaged: {reason}; delete its folder and search again")

    def _load(self, file: BinaryIO, number: int, digest: "hashlib._Hash | None") -> Block | FixedBlock:
        def fill(array: np.ndarray) -> None:
            target = array.reshape(-1).view(np.uint8)
            if file.readinto(target.data) != target.nbytes:  # type: ignore[attr-defined]
                raise self._damaged("it ends too early")
            if digest is not None:
                digest.update(target.data)

        if self._format not in FIXED_FORMATS:
            return self._load_grouped(fill, number)
        try:
            block = FixedBlock.read(fill, self._parts[number], self._memory.n_channels, self._format)
        except ValueError as error:
            raise self._damaged(str(error)) from error
        return block.without(self._left_out)

    def _load_grouped(self, fill: Callable[[np.ndarray], None], number: int) -> Block:
        n = _padded(len(self._parts[number]))
        kind = _value_type(self._format, self._device)
        parts = [torch.empty(n, self._memory.n_channels, dtype=kind), torch.empty(n), torch.empty(n)]
        ids = torch.empty(n, dtype=torch.int64)
        for part in (*parts, ids):
            fill(part.view(-1).view(torch.uint8).numpy())
        expected = np.concatenate([np.full(n - len(self._parts[number]), -1), self._parts[number]])
        if not np.array_equal(np.sort(ids.numpy()), expected):
            raise self._damaged("its vectors are not those of the memory")
        if not all(bool(part.isfinite().all()) for part in parts if part.is_floating_point()):
            raise self._damaged("it holds NaN or infinite values")
        given = np.where(np.isin(ids.numpy(), self._left_out), -1, ids.numpy())
        return Block.arranged(Codes(*parts), given, self._format)


def _ahead(read: Callable[[int], Block | FixedBlock], n_blocks: int) -> Iterator[Block | FixedBlock]:
    """Yield blocks in order; each is read while the previous one is in use.

    The thread may use all threads of torch: limited to one, it was slower by 10 to 25 %.
    """
    with threaded_map(1, name="hueprobe-read-ahead") as each:
        numbers = range(n_blocks)
        coming = each(read, numbers[:1])
        for following in range(1, n_blocks + 1):
            block = next(coming)
            coming = each(read, numbers[following : following + 1])
            yield block


def _padded(n: int) -> int:
    return -(-n // GROUP) * GROUP


def _bytes_of_vector(number_format: str, n_channels: int, device: torch.device, nonzero: float) -> float:
    if number_format == "sparse":
        return 4 * n_channels * nonzero + 16
    if number_format == "int16":
        return 2 * n_channels
    return n_channels * _value_type(number_format, device).itemsize


def _value_type(number_format: str, device: torch.device) -> torch.dtype:
    return quantize(torch.zeros(1, 1, device=device), number_format).values.dtype


def _budget(device: torch.device) -> int:
    if device.type != "cuda":
        return DEFAULT_BUDGET
    free, _ = torch.cuda.mem_get_info(device)
    return int(free * _GPU_SHARE)
