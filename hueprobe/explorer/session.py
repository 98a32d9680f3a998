"""What the explorer's server knows and asks: queries, uploads, and a pass over all query images behind it."""

import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from hueprobe.classification import Classification
from hueprobe.errors import HueprobeError, ImageError
from hueprobe.explorer.exploration import Exploration, Explored
from hueprobe.explorer.overview import Overview
from hueprobe.explorer.page_data import QueryArrays
from hueprobe.explorer.search_thread import SearchThread
from hueprobe.explorer.thumbnail_cache import ThumbnailCache, default_folder
from hueprobe.explorer.uploads import Upload, Uploads
from hueprobe.images.table import ImageTable

_STEP_SECONDS = 0.1  # of the background pass: how long a reader may have to wait for it
_MOST_IN_STEP = 256  # images


class ServerSession:
    """An exploration that is asked live, from one thread, with a pass over all query images behind it.

    Use it as a context manager: the thread runs inside the block.

    Parameters
    ----------
    exploration : Exploration
        What is explored.
    cache_folder : path, optional
        Folder of the thumbnails. By default one in the user's cache folder.

    Attributes
    ----------
    exploration : Exploration
        What is explored.
    overviews : tuple of Overview
        What the background pass has found, by memory.
    thread : SearchThread
        Does every search.
    uploads : Uploads
        Images that the reader gave.
    thumbnails : ThumbnailCache
        Thumbnails of image files.
    failure : str or None
        Why the background pass stopped early.
    """

    def __init__(self, exploration: Exploration, *, cache_folder: Path | None = None) -> None:
        self.exploration = exploration
        n_queries = len(exploration.askable)
        self.overviews = tuple(
            Overview(n_queries, one.memory.grid.n_cells, one.classifier.k, one.memory.n_slots)
            for one in exploration.explored
        )
        self.thumbnails = ThumbnailCache(cache_folder or default_folder(), exploration.thumbnails)
        self.uploads = Uploads()
        self.failure: str | None = None
        self.thread = SearchThread(self._background(), self._failed)

    def __enter__(self) -> "ServerSession":
        """Start the thread."""
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Cancel what has not begun, and wait for the search that has."""
        self.thread.stop()

    def query(self, number: int, row: int) -> QueryArrays:
        """Ask one of the query images. To be called in the thread, like the two methods below.

        Parameters
        ----------
        number : int
            Number of the memory.
        row : int
            Position of the image among the query images.

        Raises
        ------
        ImageError
            The image cannot be read.
        """
        one, asked = self.exploration.explored[number], self.exploration.askable[[row]]
        if self.exploration.queries is None:
            return self.memory_image(number, int(asked[0]))
        return _arrays(one, _asked(one, self.exploration.queries.select(asked)), own=False)

    def memory_image(self, number: int, row: int) -> QueryArrays:
        """Ask an image of a memory, which may match all others.

        Parameters
        ----------
        number : int
            Number of the memory.
        row : int
            Row of the image in the memory.
        """
        one = self.exploration.explored[number]
        if not one.memory.readable[row]:
            raise ImageError(f"image {one.memory.images.paths[row]!r} could not be read for the memory")
        return _arrays(one, one.classifier.leave_one_out(rows=[row]), own=True)

    def upload(self, number: int, upload: Upload) -> QueryArrays:
        """Ask an image that the reader gave.

        Parameters
        ----------
        number : int
            Number of the memory.
        upload : Upload
            The image.

        Raises
        ------
        ImageError
            The image cannot be read.
        """
        one = self.exploration.explored[number]
        return replace(_arrays(one, _asked(one, upload.table()), own=False), paths=(upload.name,))

    def _background(self) -> Iterator[None]:
        for one, overview in zip(self.exploration.explored, self.overviews, strict=True):
            rows, start, size = self.exploration.askable, 0, 1
            while start < len(rows):
                asked = rows[start : start + size]
                began = time.perf_counter()
                positions, found = self._readable(one, asked)
                overview.add(len(asked), positions, found)
                took = time.perf_counter() - began
                start += len(asked)
                # Larger steps read the memory fewer times; at most twice as large, as times vary.
                size = int(np.clip(size * _STEP_SECONDS / took, 1, min(2 * size, _MOST_IN_STEP)))
                yield

    def _readable(self, one: Explored, rows: np.ndarray) -> tuple[np.ndarray, QueryArrays]:
        """Ask several query images, and return which of them could be read, and their results."""
        queries = self.exploration.queries
        if queries is None:
            result = one.classifier.leave_one_out(rows=rows)
            return np.searchsorted(rows, result.rows), _arrays(one, result, own=True)
        parts = one.classifier.classify_batches(queries.select(rows))
        result = Classification.concatenate(parts)
        return result.rows, _arrays(one, result, own=False)

    def _failed(self, error: Exception) -> None:
        self.failure = str(error)
        if not isinstance(error, HueprobeError):
            self.failure = "the pass over all images failed; the terminal that the server runs in says why"
            sys.excepthook(type(error), error, error.__traceback__)


def _asked(one: Explored, table: ImageTable) -> Classification:
    """Classify a table of one image; without the warning that it is in the memory, which no reader sees."""
    result = Classification.concatenate(one.classifier.classify_batches(table))
    if result.skipped:
        raise ImageError(f"the image cannot be read: {result.skipped[0][1]}")
    return result


def _arrays(one: Explored, result: Classification, *, own: bool) -> QueryArrays:
    return QueryArrays.of(result, k=one.classifier.k, own=own)
