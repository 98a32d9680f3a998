"""Exact search of one part of a memory, so that several processes or machines share a search."""

import hashlib
import warnings
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hueprobe.arguments import as_count
from hueprobe.errors import HueprobeWarning, InputError
from hueprobe.images.resolve import resolve_images
from hueprobe.images.table import ImageTable
from hueprobe.match_images import images_to_json
from hueprobe.memory.store import Memory
from hueprobe.progress import named_pass
from hueprobe.queries import Queries, match_images
from hueprobe.query_source import QuerySource
from hueprobe.scale.part import Part
from hueprobe.scale.search_files import ENDING, PartBatch
from hueprobe.scale.search_records import CONTENTS, VERSION, BatchFacts, PartHeader
from hueprobe.scale.search_writing import one_writer_of, require_same, written_part
from hueprobe.scale.searched_part import SearchedPart
from hueprobe.search.reranking import arithmetic
from hueprobe.search.spec import EXACT

if TYPE_CHECKING:
    from hueprobe.search.exact.searcher import ExactSearcher


def search_part(
    path: str | Path,
    memory: Memory,
    images: Any = None,
    *,
    part: Part | str,
    k: int = 10,
    exclude: str | None = "image",
    backbone: Any = None,
    transform: Any = None,
    weights: Any = None,
    device: str = "auto",
    workers: int | None = None,
    memory_budget: int | None = None,
    overwrite: bool = False,
    progress: bool = False,
) -> SearchedPart:
    """Find the nearest vectors of every query in one part of a memory, and write them to a file.

    The parts of a memory are runs of whole shards, as even as possible. Each part is searched for all
    queries, by any process or machine that sees the memory. `merge_matches` makes one match table of all
    parts. A search that is killed goes on when the same call is made again.

    Parameters
    ----------
    path : path
        File to write; its extension is .arrow.
    memory : Memory
        Complete memory.
    images : path, ImageTable, torch Dataset or list of files, optional
        Query images, in any form that `build_memory` takes. By default the memory's own images are queries,
        in leave-one-out.
    part : Part or str
        The part, such as `"3/16"`; the first is `"1/16"`.
    k : int, default=10
        Number of neighbors of each query pixel.
    exclude : {"image", "group", None}, default="image"
        What a query may not match; see `KernelDensityClassifier`.
    backbone, transform, weights : optional
        See `KernelDensityClassifier`.
    device : str, default="auto"
        Where the network and exact search run.
    workers : int, optional
        Number of threads that decode images.
    memory_budget : int, optional
        Bytes of vectors that exact search may keep in RAM; by default 1 GiB. If the part is larger, it is
        read again for each batch of queries, with a warning.
    overwrite : bool, default=False
        Whether to replace the file of another search.
    progress : bool, default=False
        Whether to show progress.

    Returns
    -------
    SearchedPart

    Raises
    ------
    InputError
        An argument is invalid, the memory is not complete or has fewer shards than there are parts, or the
        file holds another search.
    MemoryFormatError
        Another process writes this file.

    Warns
    -----
    HueprobeWarning
        The part exceeds the memory budget.

    See Also
    --------
    hueprobe.merge_matches : Merge all parts into one match table.
    hueprobe.search.merge_neighbors : Merge results in RAM.

    Examples
    --------
    >>> activations = np.random.default_rng(0).random((64, 4, 2, 2))
    >>> two_shards = hp.memory_from_arrays("two.memory", activations, ["a", "b"] * 32, shard_images=32)
    >>> files = ["part-1.arrow", "part-2.arrow"]
    >>> for number, file in enumerate(files, start=1):
    ...     searched = hp.search_part(file, two_shards, part=f"{number}/2", k=4)
    >>> searched.images, searched.n_searched  # all queries are searched in the second half
    (range(32, 64), 256)
    >>> facts = hp.merge_matches(files, "matches.parquet")
    >>> table = hp.read_matches("matches.parquet")
    >>> whole = hp.KernelDensityClassifier(two_shards, k=4).leave_one_out().matches
    >>> np.array_equal(table.image, whole.image), np.array_equal(table.weight, whole.weight)
    (True, True)
    """
    path, part, k = Path(path), part if isinstance(part, Part) else Part.parse(part), as_count("k", k)
    if path.suffix.lower() != ENDING:
        raise InputError(f"cannot save a part of a search as {path.name!r}; use the extension {ENDING}")
    if not path.parent.is_dir():
        raise InputError(f"folder {path.parent} does not exist; create it first")
    rows = part_images(memory, part)
    source = QuerySource(
        memory, exclude=exclude, images=None, backbone=backbone, transform=transform, weights=weights,
        device=device, workers=workers, progress=progress,
    )  # fmt: skip
    if images is None and source.exclude == "none":
        raise InputError(
            "leave-one-out without exclusion would match each image to itself; use 'image' or 'group'"
        )
    table = None if images is None else resolve_images(images)
    sides = images_to_json(match_images(memory, memory.images if table is None else table))
    header = part_header(memory, table, sides, part=part, k=k, exclude=source.exclude)
    with one_writer_of(path), named_pass(f"part {part}"):
        if path.exists() and not overwrite:
            require_same(path, header)
            return SearchedPart.load(path)
        with written_part(path, header, sides, overwrite=overwrite) as writer:
            searcher = _searcher(memory, rows, part, device=device, memory_budget=memory_budget)
            stop = writer.n_done
            for queries in _queries(source, table, stop):
                stop = _stop(queries, stop, own=images is None)
                writer.write(*_searched(queries, stop, searcher, source, header))
        return SearchedPart.load(path)


def part_header(
    memory: Memory, table: ImageTable | None, sides: bytes, *, part: Part, k: int, exclude: str
) -> PartHeader:
    """Return what the file of a part says of its search.

    Parameters
    ----------
    memory : Memory
        Complete memory.
    table : ImageTable or None
        Query images; None means the memory's own.
    sides : bytes
        The images on both sides, from `images_to_json`.
    part : Part
        The part.
    k : int
        Number of neighbors.
    exclude : str
        What a query may not match: image, group or none.

    Raises
    ------
    InputError
        See `part_images`.
    """
    rows = part_images(memory, part)
    queries = memory.images if table is None else table
    return PartHeader(
        version=VERSION, contents=CONTENTS, part=(part.number, part.n), memory=memory.ledger.tip,
        start=rows.start, stop=rows.stop, k=k, searcher=EXACT.text, exclude=exclude,
        leave_one_out=table is None, n_queries=len(queries),
        queries=hashlib.sha256(sides + repr(tuple(queries.sizes)).encode()).hexdigest(),
        class_counts=memory.class_counts(np.array(rows)).tolist(),
    )  # fmt: skip


def part_images(memory: Memory, part: Part) -> range:
    """Return the rows of a memory that belong to a part: whole shards.

    Parameters
    ----------
    memory : Memory
        Complete memory.
    part : Part
        The part.

    Raises
    ------
    InputError
        The memory is not complete, or has fewer shards than there are parts.
    """
    if not memory.complete:
        raise InputError(
            f"{memory.path} is not complete, so its parts may still change; finish its `hueprobe index` first"
        )
    n = len(memory.shards)
    if part.n > n:
        raise InputError(
            f"{memory.path} has {n} shard{'s' if n > 1 else ''}, too few for {part.n} parts of whole shards; "
            f"choose at most {n} parts"
        )
    shards = part.share(n)
    return range(memory.shards[shards.start].start, memory.shards[shards.stop - 1].stop)


def _searcher(
    memory: Memory, rows: range, part: Part, *, device: str, memory_budget: int | None
) -> "ExactSearcher":
    from hueprobe.search.exact.searcher import ExactSearcher

    searcher = ExactSearcher(memory, device=device, images=np.array(rows), memory_budget=memory_budget)
    if not searcher.quantized.fits:
        warnings.warn(
            f"the vectors of part {part} exceed the memory budget, so they are read from the shards again "
            "for each batch of queries; search more and smaller parts, or give a larger --memory-budget "
            "(memory_budget=)",
            HueprobeWarning,
            stacklevel=3,
        )
    return searcher


def _queries(source: QuerySource, table: ImageTable | None, start: int) -> Iterator[Queries]:
    """Yield the queries from image `start` on, in the batches of an undisturbed run."""
    if table is not None:
        yield from source.of_images(table, start=start)
    elif start < source.memory.n_images:
        for queries in source.of_memory(rows=range(start, source.memory.n_images)):
            # The first batch of a run names all unreadable images; an earlier run has done that.
            yield replace(queries, skipped=()) if start else queries


def _stop(queries: Queries, start: int, *, own: bool) -> int:
    """Return the number of query images that are done after a batch, unreadable ones included."""
    return int(queries.row[-1]) + 1 if own else start + len(queries.row) + len(queries.skipped)


def _searched(
    queries: Queries, stop: int, searcher: "ExactSearcher", source: QuerySource, header: PartHeader
) -> tuple[PartBatch, BatchFacts]:
    """Search one batch of query images in the part."""
    n, n_cells, channels = queries.vectors.shape
    vectors = np.ascontiguousarray(queries.vectors)
    inside = [rows[(rows >= header.start) & (rows < header.stop)] for rows in queries.barred]
    n_searched, n_certified = searcher.n_queries, searcher.n_certified
    neighbors = searcher.search(
        vectors.reshape(n * n_cells, channels), header.k,
        exclude_images=replace(queries, barred=inside).excluded(),
    )  # fmt: skip
    batch = PartBatch(
        query_image=np.repeat(queries.row.astype(np.int64), n_cells),
        query_cell=np.tile(np.arange(n_cells, dtype=np.int32), n),
        neighbors=neighbors,
    )
    counts = source.exclusion.barred_counts(inside)
    image, number = np.nonzero(counts)
    facts = BatchFacts(
        rows=queries.row.tolist(),
        stop=stop,
        skipped=queries.skipped,
        duplicates=queries.duplicates,
        barred=tuple(
            zip(queries.row[image].tolist(), number.tolist(), counts[image, number].tolist(), strict=True)
        ),
        n_searched=searcher.n_queries - n_searched,
        n_certified=searcher.n_certified - n_certified,
        format=searcher.format,
        vectors=hashlib.sha256(vectors.data).hexdigest(),
        arithmetic=arithmetic(),
        sha256=batch.sha256(),
    )
    return batch, facts
