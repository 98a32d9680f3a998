"""One search of a memory that is deep enough for the nearest neighbors within the blocks of every deal."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from hueprobe.exclusion import Exclusion
from hueprobe.memory.store import Memory
from hueprobe.observations.interventions.own_block import nearest_in_block
from hueprobe.progress import progress_bar
from hueprobe.search.index import open_searcher

# Depth of the first search, times the neighbors wanted in all blocks: enough for nine of ten queries in each
# of 20 deals. Then the factor of depth for the others.
_DEPTH, _DEEPER = 4, 2
_VECTORS = 8_192  # of a batch
_VALUES = 8_000_000  # vector ids of one search


@dataclass(frozen=True, eq=False)
class Sides:
    """A memory that is searched, the images that query it, and the blocks of both in every deal.

    Attributes
    ----------
    memory, queries : Memory
        The memory, and the memory of the query images; the same one in leave-one-out.
    block_of_image : ndarray of int64, shape (n_deals, n_images)
        Block of each image of `memory`, -1 for none.
    block_of_query : ndarray of int64, shape (n_deals, n_queries)
        The same of `queries`.
    """

    memory: Memory
    queries: Memory
    block_of_image: np.ndarray
    block_of_query: np.ndarray

    @property
    def leave_one_out(self) -> bool:
        """Whether the memory's own images are the queries."""
        return self.memory is self.queries


@dataclass(frozen=True, eq=False)
class NearBatch:
    """Neighbors of the vectors of some query images.

    Attributes
    ----------
    rows : ndarray of int64, shape (n,)
        Rows of the query images.
    in_block : ndarray of int32 or int64, shape (n_deals, n * n_cells, k)
        Ids of the k nearest vectors within the image's block in each deal, image by image and cell by cell,
        nearest first; -1 where there are no more.
    lists : tuple of (ndarray of int64, shape (m,), and ndarray of int32 or int64, shape (m, depth))
        Numbers of query vectors within the batch, and their nearest vectors among all images. Every vector is
        in one of the lists; some are deeper than others.
    """

    rows: np.ndarray
    in_block: np.ndarray
    lists: tuple[tuple[np.ndarray, np.ndarray], ...]


def near_batches(sides: Sides, *, k: int, exclude: str, device: str, progress: bool) -> Iterator[NearBatch]:
    """Search batch by batch, each list deep enough for k neighbors within the block of every deal.

    Parameters
    ----------
    sides : Sides
        What is searched.
    k : int
        Number of neighbors within a block.
    exclude : {"image", "group"}
        What an image may not match.
    device : str
        Where the search runs.
    progress : bool
        Whether to show progress.
    """
    memory, queries = sides.memory, sides.queries
    n_cells, n_blocks = memory.grid.n_cells, int(sides.block_of_image.max(initial=-1)) + 1
    kind = np.int32 if memory.n_slots <= np.iinfo(np.int32).max else np.int64
    searcher = open_searcher(memory, device=device)
    exclusion = Exclusion(memory, exclude)
    rows = np.flatnonzero((sides.block_of_query >= 0).all(0) & queries.readable)
    step = max(1, _VECTORS // n_cells)
    with progress_bar(len(rows), label="search", enabled=progress) as advance:
        for start in range(0, len(rows), step):
            part = rows[start : start + step]
            barred = _barred(sides, exclusion, part)
            vectors = queries.image_vectors(part).reshape(len(part) * n_cells, -1)
            blocks = np.repeat(sides.block_of_query[:, part], n_cells, axis=1)
            in_block = np.full((len(blocks), len(vectors), k), -1, kind)
            lists = []
            left, depth = np.arange(len(vectors)), min(_DEPTH * k * n_blocks, memory.n_slots)
            while len(left):
                shallow = []
                few = max(1, _VALUES // depth)
                for among in np.split(left, range(few, len(left), few)):
                    ids = searcher.search(vectors[among], depth, exclude_images=barred[among // n_cells]).ids
                    ids = ids.astype(kind)
                    deep = np.full(len(among), depth == memory.n_slots)
                    deep |= _fill(in_block, among, ids, sides.block_of_image, blocks, n_cells)
                    lists.append((among[deep], ids[deep]))
                    shallow.append(among[~deep])
                left, depth = np.concatenate(shallow), min(depth * _DEEPER, memory.n_slots)
            yield NearBatch(part, in_block, tuple(lists))
            advance(len(part))


def _fill(
    in_block: np.ndarray,
    among: np.ndarray,
    ids: np.ndarray,
    block_of_image: np.ndarray,
    blocks: np.ndarray,
    n_cells: int,
) -> np.ndarray:
    """Enter the neighbors of some vectors within their blocks; return which lists were deep enough."""
    deep, images = np.ones(len(among), bool), ids // n_cells
    for deal, of_image in enumerate(block_of_image):
        in_block[deal, among], enough = nearest_in_block(
            ids, images, of_image, blocks[deal, among], in_block.shape[2]
        )
        deep &= enough
    return deep


def _barred(sides: Sides, exclusion: Exclusion, rows: np.ndarray) -> np.ndarray:
    """Return the memory rows that each query image may not match, padded with -1."""
    queries = sides.queries
    if sides.leave_one_out:
        lists = [exclusion.of_row(int(row)) for row in rows]
    else:
        lists = [exclusion.of(queries.sha256[row] or None, queries.images.groups[row]) for row in rows]
    barred = np.full((len(rows), max((len(one) for one in lists), default=0)), -1, np.int64)
    for i, one in enumerate(lists):
        barred[i, : len(one)] = one
    return barred
