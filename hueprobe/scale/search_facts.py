"""What a merged match table says of its search, so that Eq. (2) and the accuracy follow from the file."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import msgspec
import numpy as np
from msgspec import Meta

from hueprobe.errors import InputError
from hueprobe.match_files import read_match_metadata
from hueprobe.memory.records import Record, Sha256
from hueprobe.memory.store import Memory
from hueprobe.scale.search_records import Barred, Count, encoded

VERSION = 1
KEY = b"hueprobe.search"  # in the schema's metadata


class SearchFacts(Record, frozen=True):
    """A search whose parts were merged.

    Attributes
    ----------
    version : int
        Version of the format.
    memory : str
        The memory's state: hash of the last line of its ledger.
    parts : int
        Number of parts.
    k : int
        Number of neighbors of each query vector.
    searcher : str
        SPEC of the searcher.
    exclude : str
        What a query may not match: image, group or none.
    eps : float
        Epsilon of Eq. (3).
    leave_one_out : bool
        Whether the queries are the memory's own images.
    formats : sequence of str
        Number formats of the first pass of exact search in the parts.
    n_searched, n_certified : int
        Number of searches of a nonzero query vector in a part, and of those that the first pass certified.
    unreadable : sequence of int
        Positions of the query images that could not be read.
    skipped : sequence of (str, str)
        Path and reason of each of them.
    duplicates : sequence of str
        Query images whose file content is also in the memory (empty in leave-one-out).
    class_counts : sequence of int
        Number of memory vectors of each class.
    barred : sequence of (int, int, int)
        Query image, class, and number of vectors of that class that the image may not match.

    See Also
    --------
    hueprobe.merge_matches : Returns it, and writes it into the file.

    Examples
    --------
    >>> searched = hp.search_part("part.arrow", memory, part="1/1", k=5)
    >>> facts = hp.merge_matches(["part.arrow"], "matches.parquet")
    >>> facts.parts, facts.k, facts.certified > 0
    (1, 5, True)
    >>> hp.scale.SearchFacts.load("matches.parquet") == facts
    True
    """

    version: int
    memory: Sha256
    parts: Annotated[int, Meta(ge=1)]
    k: Annotated[int, Meta(ge=1)]
    searcher: str
    exclude: str
    eps: Annotated[float, Meta(ge=0)]
    leave_one_out: bool
    formats: Sequence[str]
    n_searched: Count
    n_certified: Count
    unreadable: Sequence[Count]
    skipped: Sequence[tuple[str, str]]
    duplicates: Sequence[str]
    class_counts: Sequence[Count]
    barred: Sequence[Barred]

    @property
    def certified(self) -> float:
        """Share of the searches of a query in a part that the first pass certified; NaN if there are none."""
        return self.n_certified / self.n_searched if self.n_searched else float("nan")

    def matchable(self, rows: np.ndarray) -> np.ndarray:
        """Return n_C of Eq. (2): the number of vectors of each class that query images may match.

        Parameters
        ----------
        rows : ndarray of int64, shape (n,)
            Positions of the query images, ascending.

        Returns
        -------
        ndarray of int64, shape (n, n_classes)

        Examples
        --------
        >>> searched = hp.search_part("part.arrow", memory, part="1/1", k=5)
        >>> facts = hp.merge_matches(["part.arrow"], "matches.parquet")
        >>> facts.matchable(np.array([0, 11]))  # of 4 images x 49 cells per class, not the image itself
        array([[147, 196, 196],
               [196, 196, 147]])
        """
        return Matchable.of(self).counts(rows)

    @classmethod
    def load(cls, path: str | Path) -> "SearchFacts":
        """Read the facts in a match table; its rows are not read.

        Parameters
        ----------
        path : path
            A .parquet or .arrow file of `merge_matches`.

        Returns
        -------
        SearchFacts

        Raises
        ------
        InputError
            The file is missing or damaged, or holds no facts of its search.

        Examples
        --------
        >>> searched = hp.search_part("part.arrow", memory, part="1/1", k=5)
        >>> facts = hp.merge_matches(["part.arrow"], "matches.arrow")
        >>> hp.scale.SearchFacts.load("matches.arrow").exclude
        'image'
        """
        return facts_of(read_match_metadata(path), str(path))

    def require_memory(self, memory: Memory, source: str) -> None:
        """Require that a memory is the one that was searched, in the same state.

        Parameters
        ----------
        memory : Memory
            The memory.
        source : str
            Name of the table, for the message.

        Raises
        ------
        InputError
            It is another one.
        """
        if memory.ledger.tip != self.memory:
            raise InputError(
                f"{source} was not searched in {memory.path} as it is now, but in another memory or another "
                "state of it; give that memory, or search this one again"
            )


@dataclass(frozen=True)
class Matchable:
    """What query images may match, ready to be counted for many of them.

    Attributes
    ----------
    class_counts : ndarray of int64, shape (n_classes,)
        Number of memory vectors of each class.
    barred : ndarray of int64, shape (n, 3)
        Rows of `SearchFacts.barred`, by ascending query image.
    """

    class_counts: np.ndarray
    barred: np.ndarray

    @classmethod
    def of(cls, facts: SearchFacts) -> "Matchable":
        """Return the counts of a search."""
        barred = np.array(facts.barred, np.int64).reshape(-1, 3)
        return cls(np.array(facts.class_counts, np.int64), barred[np.argsort(barred[:, 0], kind="stable")])

    def counts(self, rows: np.ndarray) -> np.ndarray:
        """Return n_C of Eq. (2) for query images in ascending order, shape (len(rows), n_classes)."""
        counts = np.tile(self.class_counts, (len(rows), 1))
        if len(rows):
            first, last = np.searchsorted(self.barred[:, 0], (rows[0], rows[-1] + 1))
            image, number, n = self.barred[first:last].T
            place = np.searchsorted(rows, image)
            here = rows[place] == image
            np.subtract.at(counts, (place[here], number[here]), n[here])
        return counts


class _Version(msgspec.Struct):
    version: int


def facts_of(metadata: Mapping[bytes, bytes], source: str) -> SearchFacts:
    """Return the facts in the metadata of a match table.

    Parameters
    ----------
    metadata : mapping of bytes to bytes
        Metadata of the table's schema.
    source : str
        Name of the table, for messages.

    Raises
    ------
    InputError
        There are none, or they are damaged or of a later version.
    """
    text = metadata.get(KEY)
    if text is None:
        raise InputError(
            f"{source} does not say how it was searched (n_C, unreadable images), as tables of `hueprobe "
            "merge` do; merge parts into a .parquet or .arrow file, or classify the images again"
        )
    try:
        if (version := msgspec.json.decode(text, type=_Version).version) > VERSION:
            raise InputError(
                f"{source} holds facts of its search of version {version}, this hueprobe reads {VERSION}; "
                "install a newer one"
            )
        return msgspec.json.decode(text, type=SearchFacts)
    except (msgspec.MsgspecError, RecursionError) as error:
        raise InputError(f"the facts of its search in {source} are damaged ({error}); merge again") from None


def facts_metadata(facts: SearchFacts) -> dict[bytes, bytes]:
    """Return the entry in the metadata of a match table's schema."""
    return {KEY: encoded(facts)}
