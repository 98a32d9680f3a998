"""What the file of a searched part says of itself."""

import math
from dataclasses import dataclass
from pathlib import Path

from hueprobe.scale.part import Part
from hueprobe.scale.search_files import PartFile


@dataclass(frozen=True)
class SearchedPart:
    """A finished part of a search.

    Attributes
    ----------
    path : Path
        The file.
    part : Part
        Which part of the memory was searched.
    images : range
        Its memory rows.
    k : int
        Number of neighbors of each query vector.
    n_query_images : int
        Number of query images, unreadable ones included.
    n_searched : int
        Number of nonzero query vectors.
    certified : float
        Share of them that the first pass of exact search certified; NaN if there are none. All neighbors are
        exact.
    skipped : tuple of (str, str)
        Path and reason of each unreadable query image.
    duplicates : tuple of str
        Query images whose file content is also in the memory (empty in leave-one-out).

    See Also
    --------
    hueprobe.search_part : Search a part.

    Examples
    --------
    >>> searched = hp.search_part("part.arrow", memory, part="1/1", k=5)
    >>> hp.scale.SearchedPart.load("part.arrow") == searched
    True
    """

    path: Path
    part: Part
    images: range
    k: int
    n_query_images: int
    n_searched: int
    certified: float
    skipped: tuple[tuple[str, str], ...]
    duplicates: tuple[str, ...]

    @classmethod
    def load(cls, path: str | Path) -> "SearchedPart":
        """Read what a file says of itself; its rows are not read.

        Parameters
        ----------
        path : path
            A file of `search_part`.

        Returns
        -------
        SearchedPart

        Raises
        ------
        InputError
            The file is missing, unfinished, damaged, or not a part.

        Examples
        --------
        >>> searched = hp.search_part("half.arrow", memory, part="1/1")
        >>> hp.scale.SearchedPart.load("half.arrow").n_searched  # 12 images x 49 cells
        588
        """
        file = PartFile(path)
        header, facts = file.header, [file.facts(number) for number in range(len(file))]
        n_searched = sum(one.n_searched for one in facts)
        return cls(
            path=Path(path),
            part=header.of,
            images=range(header.start, header.stop),
            k=header.k,
            n_query_images=header.n_queries,
            n_searched=n_searched,
            certified=sum(one.n_certified for one in facts) / n_searched if n_searched else math.nan,
            skipped=tuple((path, reason) for one in facts for path, reason in one.skipped),
            duplicates=tuple(name for one in facts for name in one.duplicates),
        )
