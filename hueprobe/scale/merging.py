"""Parts of a search merged into one match table, as one search of the whole memory would have written it."""

import warnings
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from hueprobe.density import DEFAULT_EPS, kernel_weights
from hueprobe.errors import HueprobeWarning, InputError
from hueprobe.match_files import MatchWriter
from hueprobe.match_images import MatchImages
from hueprobe.matches import Matches
from hueprobe.progress import progress_bar
from hueprobe.scale.search_facts import VERSION, SearchFacts, facts_metadata
from hueprobe.scale.search_files import PartFile
from hueprobe.scale.search_records import BatchFacts
from hueprobe.search.neighbors import Neighbors, merge_neighbors

_NAMED = 10  # missing parts named in a message


def merge_matches(
    parts: Sequence[str | Path], path: str | Path, *, eps: float = DEFAULT_EPS, progress: bool = False
) -> SearchFacts:
    """Merge all parts of a search into one match table.

    The table is that of one search of the whole memory: the same matches in the same order, with the same
    weights. RAM holds one batch of queries of two parts, however large the files are.

    Parameters
    ----------
    parts : sequence of path
        Files of `search_part`, one for each part, in any order.
    path : path
        File to write; its extension is .parquet, .arrow or .csv. A .csv file holds only the matches.
    eps : float, default=1e-6
        Epsilon of Eq. (3), a squared distance.
    progress : bool, default=False
        Whether to show progress.

    Returns
    -------
    SearchFacts
        How the table was searched; .parquet and .arrow files hold it too.

    Raises
    ------
    InputError
        A part is missing, given twice, unfinished, damaged, or of another search; or `path` is one of the
        parts, or has another extension.

    Warns
    -----
    HueprobeWarning
        Parts were searched on machines whose distances differ in the last bits.

    See Also
    --------
    hueprobe.search_part : Search a part.
    hueprobe.scale.classify_matches : Classify the query images by the merged table.
    hueprobe.read_matches : Read the merged table.

    Examples
    --------
    >>> searched = hp.search_part("part.arrow", memory, part="1/1", k=5)
    >>> facts = hp.merge_matches(["part.arrow"], "matches.parquet")
    >>> len(hp.read_matches("matches.parquet")) == len(matches)
    True
    """
    if any(Path(part).absolute() == Path(path).absolute() for part in parts):
        raise InputError(f"{path} is one of the parts; write the merged table to another file")
    files = _in_order([PartFile(part) for part in parts])
    first = files[0]
    batches = _agreed_facts(files)
    images = _fitting_images(files, batches)
    facts = _whole(files, batches, images, eps)
    k, n_batches, n_cells = first.header.k, len(first), images.grid.n_cells
    with (
        MatchWriter(path, metadata=facts_metadata(facts)) as writer,
        progress_bar(n_batches, label="merge", unit="batches", enabled=progress) as advance,
    ):
        for number in range(n_batches):
            rows = np.array(batches[number][0].rows, np.int64)
            query_image = np.repeat(rows, n_cells)
            query_cell = np.tile(np.arange(n_cells), len(rows))
            found = merge_neighbors(_neighbors(files, number, query_image, query_cell, n_cells), k)
            writer.write(
                Matches.from_neighbors(
                    found, kernel_weights(found.distances, eps=eps),
                    query_image=query_image, query_cell=query_cell, images=images,
                )
            )  # fmt: skip
            advance(1)
    return facts


def _in_order(files: list[PartFile]) -> list[PartFile]:
    """Return files by the number of their part; require each part of one search exactly once."""
    if not files:
        raise InputError("no parts to merge; give the files of all parts")
    first = files[0]
    for file in files[1:]:
        if (difference := file.header.difference(first.header)) is not None:
            raise InputError(
                f"{file.path} and {first.path} are parts of different searches ({difference}); give the "
                "parts of one search"
            )
    by_number: dict[int, PartFile] = {}
    for file in files:
        number = file.header.part[0]
        if (other := by_number.setdefault(number, file)) is not file:
            raise InputError(
                f"{other.path} and {file.path} are both part {file.header.of}; give each part once"
            )
    n = first.header.part[1]
    if missing := [number for number in range(1, n + 1) if number not in by_number]:
        named = ", ".join(f"{number}/{n}" for number in missing[:_NAMED])
        more = f" and {len(missing) - _NAMED} more" if len(missing) > _NAMED else ""
        raise InputError(
            f"part{'s' if len(missing) > 1 else ''} {named}{more} {'are' if len(missing) > 1 else 'is'} "
            f"missing; search with `hueprobe search --part {missing[0]}/{n}` and give all {n} files"
        )
    return [by_number[number] for number in range(1, n + 1)]


def _agreed_facts(files: list[PartFile]) -> list[list[BatchFacts]]:
    """Return the facts about each batch in each part; require that all parts had the same queries."""
    first = files[0]
    for file in files:
        if len(file) != len(first) or not len(file):
            raise InputError(
                f"{file.path} has {len(file)} batches of queries and {first.path} has {len(first)}: other "
                "versions of hueprobe wrote them; search all parts with one version"
            )
    found = [[file.facts(number) for file in files] for number in range(len(first))]
    for facts in found:
        for file, one in zip(files, facts, strict=True):
            if _queries_of(one) != _queries_of(facts[0]):
                raise InputError(
                    f"{file.path} was searched with other vectors of the same query images than "
                    f"{first.path}: an image, the network or the kind of device differs; search both parts "
                    "again on machines of one kind"
                )
    if len({one.arithmetic for facts in found for one in facts}) > 1:
        warnings.warn(
            "the parts were searched on machines whose distances differ in the last bits, so that equal "
            "vectors in two parts may be in another order than on one machine; search all parts on machines "
            "of one kind to avoid this",
            HueprobeWarning,
            stacklevel=3,
        )
    return found


def _queries_of(facts: BatchFacts) -> tuple[object, ...]:
    return facts.rows, facts.stop, facts.vectors, facts.skipped, facts.duplicates


def _fitting_images(files: list[PartFile], batches: list[list[BatchFacts]]) -> MatchImages:
    """Return the images on both sides; require that all numbers of images and classes are among theirs."""
    first, images = files[0], files[0].images()
    rows = [row for facts in batches for row in facts[0].rows]
    if not (
        first.header.n_queries == len(images.query_paths)
        and max(rows, default=-1) < len(images.query_paths)
        and len(set(rows)) == len(rows)
        and max(file.header.stop for file in files) <= len(images.image_paths)
        and len(first.header.class_counts) <= len(images.classes)
        and images.query_grid == images.grid
    ):
        raise InputError(f"{first.path} is damaged: its image tables do not fit; search this part again")
    return images


def _whole(
    files: list[PartFile], batches: list[list[BatchFacts]], images: MatchImages, eps: float
) -> SearchFacts:
    """Return the facts about the whole search; counts add up over parts."""
    header = files[0].header
    every = [one for facts in batches for one in facts]
    barred: Counter[tuple[int, int]] = Counter()
    for one in every:
        for image, number, n in one.barred:
            barred[image, number] += n
    readable = {row for facts in batches for row in facts[0].rows}
    return SearchFacts(
        version=VERSION, memory=header.memory, parts=len(files), k=header.k, searcher=header.searcher,
        exclude=header.exclude, eps=eps, leave_one_out=header.leave_one_out,
        formats=sorted({one.format for one in every}),
        n_searched=sum(one.n_searched for one in every),
        n_certified=sum(one.n_certified for one in every),
        unreadable=[row for row in range(len(images.query_paths)) if row not in readable],
        skipped=[skip for facts in batches for skip in facts[0].skipped],
        duplicates=[name for facts in batches for name in facts[0].duplicates],
        class_counts=[sum(counts) for counts in zip(*(f.header.class_counts for f in files), strict=True)],
        barred=[(image, number, n) for (image, number), n in sorted(barred.items())],
    )  # fmt: skip


def _neighbors(
    files: list[PartFile], number: int, query_image: np.ndarray, query_cell: np.ndarray, n_cells: int
) -> Iterator[Neighbors]:
    """Yield the neighbors of a batch in each part; require that its rows are possible ones."""
    for file in files:
        batch, header = file.batch(number), file.header
        ids, distances = batch.neighbors.ids, batch.neighbors.distances
        missing = ids == -1
        inside = (ids >= header.start * n_cells) & (ids < header.stop * n_cells) & (distances >= 0)
        if not (
            np.array_equal(batch.query_image, query_image)
            and np.array_equal(batch.query_cell, query_cell)
            and np.array_equal(missing, np.isposinf(distances))
            and (missing | inside).all()
        ):
            raise InputError(
                f"{file.path} is damaged: batch {number} holds other queries than it says, or neighbors "
                "outside its part; search this part again"
            )
        yield batch.neighbors
