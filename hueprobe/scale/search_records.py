"""What the file of a searched part says of the search and of each batch of queries, as typed records."""

from collections.abc import Sequence
from typing import Annotated, TypeVar

import msgspec
from msgspec import Meta

from hueprobe.errors import InputError
from hueprobe.memory.records import Record, Sha256
from hueprobe.scale.part import Part

VERSION = 1
CONTENTS = (
    "ids and distances of the nearest vectors in one part of a memory; weights and alpha follow from all "
    "parts only: hueprobe merge"
)
BATCH_KEY = b"hueprobe.search_batch"  # in the metadata of a batch of rows

Count = Annotated[int, Meta(ge=0, le=2**48)]  # so that sums fit into 64 bits
# Row of a query image, class id, number of vectors of that class that the image may not match.
Barred = tuple[Count, Count, Count]
R = TypeVar("R", bound=Record)


class PartHeader(Record, frozen=True):
    """The search of a part, written first.

    Attributes
    ----------
    version : int
        Version of the format.
    contents : str
        What the file holds and what it does not, in words.
    part : (int, int)
        Number of the part, and number of all parts.
    memory : str
        The memory's state: hash of the last line of its ledger.
    start, stop : int
        Memory images of the part: [start, stop).
    k : int
        Number of neighbors of each query vector.
    searcher : str
        SPEC of the searcher.
    exclude : str
        What a query may not match: image, group or none.
    leave_one_out : bool
        Whether the queries are the memory's own images.
    n_queries : int
        Number of query images, unreadable ones included.
    queries : str
        Hash of the lists of query images and memory images.
    class_counts : sequence of int
        Number of the part's vectors of each class of the memory.
    """

    version: int
    contents: str
    part: tuple[Count, Count]
    memory: Sha256
    start: Count
    stop: Count
    k: Annotated[int, Meta(ge=1, lt=2**31)]
    searcher: str
    exclude: str
    leave_one_out: bool
    n_queries: Count
    queries: Sha256
    class_counts: Sequence[Count]

    @property
    def of(self) -> Part:
        """The part."""
        return Part(*self.part)

    def difference(self, other: "PartHeader") -> str | None:
        """Return in words how this search differs from that of another part.

        Parameters
        ----------
        other : PartHeader
            The other part.

        Returns
        -------
        str or None
            None if they are parts of one search.
        """
        if (self.memory, len(self.class_counts)) != (other.memory, len(other.class_counts)):
            return "another memory, or another state of it"
        if self.leave_one_out != other.leave_one_out:
            queries = ("the memory's own images", "other images")
            return f"queries are {queries[not self.leave_one_out]}, not {queries[self.leave_one_out]}"
        if self.queries != other.queries:
            return "another list of query images, or of their classes, groups and sizes"
        for name in ("k", "exclude", "searcher"):
            own, others = getattr(self, name), getattr(other, name)
            if own != others:
                return f"{name} {own}, not {others}"
        return None if self.part[1] == other.part[1] else f"{self.part[1]} parts, not {other.part[1]}"


class BatchFacts(Record, frozen=True):
    """A batch of query images in one part.

    Attributes
    ----------
    rows : sequence of int
        Positions of the batch's images that could be read.
    stop : int
        Query images [0, stop) are searched, this batch included.
    skipped : sequence of (str, str)
        Path and reason of each unreadable image.
    duplicates : sequence of str
        Paths of images whose file content is also in the memory.
    barred : sequence of (int, int, int)
        Query image, class, and number of the part's vectors of that class that the image may not match.
    n_searched, n_certified : int
        Number of nonzero query vectors, and of those that the first pass of exact search certified.
    format : str
        Number format of that pass.
    vectors : str
        Hash of the query vectors.
    arithmetic : str
        Hash of fixed distances on the machine that searched; see `hueprobe.search.reranking.arithmetic`.
    sha256 : str
        Hash of the batch's columns.
    """

    rows: Sequence[Count]
    stop: Count
    skipped: Sequence[tuple[str, str]]
    duplicates: Sequence[str]
    barred: Sequence[Barred]
    n_searched: Count
    n_certified: Count
    format: str
    vectors: Sha256
    arithmetic: str
    sha256: Sha256


def encoded(record: Record) -> bytes:
    """Return a record as JSON."""
    return msgspec.json.encode(record)


def decoded(text: bytes | None, kind: type[R], source: str) -> R:
    """Read a record that `encoded` wrote.

    Parameters
    ----------
    text : bytes or None
        The JSON; None if it is missing.
    kind : type
        Class of the record.
    source : str
        Name of the file, for the message.

    Raises
    ------
    InputError
        It is missing, or not such a record.
    """
    try:
        if text is None:
            raise ValueError(f"it has no {kind.__name__}")
        return msgspec.json.decode(text, type=kind)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise InputError(f"{source} is damaged ({error}); search this part again") from None
