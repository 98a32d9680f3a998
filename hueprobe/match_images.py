"""The images on both sides of a match table: their names, classes and groups, and the grids."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import msgspec
import numpy as np

from hueprobe.errors import InputError
from hueprobe.grid import Grid

VERSION = 1


@dataclass(frozen=True)
class MatchImages:
    """Names, classes and groups of the images on both sides of a match table.

    Attributes
    ----------
    grid, query_grid : Grid
        Grid of the memory and grid of the query images.
    classes : tuple of str
        Class names by id: first those of the memory, then those that only query images have.
    query_paths : sequence of str
        Path (or name) of each query image, n_query_images long.
    query_image_class : ndarray of int64, shape (n_query_images,)
        Class id of each query image; -1 where it has none.
    query_image_group, image_group : sequence of (str or None)
        Group (subject, family, object) of each query image and of each memory image.
    image_paths : sequence of str
        Path of each memory image, n_images long.
    image_class : ndarray of int64, shape (n_images,)
        Class id of each memory image; -1 where it has none.
    """

    grid: Grid
    query_grid: Grid
    classes: tuple[str, ...]
    query_paths: Sequence[str]
    query_image_class: np.ndarray
    query_image_group: Sequence[str | None]
    image_paths: Sequence[str]
    image_class: np.ndarray
    image_group: Sequence[str | None]

    def __repr__(self) -> str:
        """Count the images on both sides and the classes."""
        return (
            f"{type(self).__name__}({len(self.query_paths)} query images on {self.query_grid.height}x"
            f"{self.query_grid.width} cells, {len(self.image_paths)} memory images on {self.grid.height}x"
            f"{self.grid.width} cells, {len(self.classes)} classes)"
        )


class _Side(msgspec.Struct):
    """The images of one side, by image number."""

    paths: tuple[str, ...]
    classes: tuple[int, ...]
    groups: tuple[str | None, ...]

    def check(self, n_classes: int) -> Self:
        if not len(self.paths) == len(self.classes) == len(self.groups):
            raise ValueError("path, class or group of an image is missing")
        if any(not -1 <= number < n_classes for number in self.classes):
            raise ValueError("a class has no name")
        return self


class _Images(msgspec.Struct):
    """`MatchImages` as JSON; in leave-one-out, `queries` is None: they are the memory's own images."""

    version: int
    grid: tuple[int, int]
    query_grid: tuple[int, int]
    classes: tuple[str, ...]
    memory: _Side
    queries: _Side | None


def _side(paths: Sequence[str], classes: np.ndarray, groups: Sequence[str | None]) -> _Side:
    return _Side(tuple(paths), tuple(classes.tolist()), tuple(groups))


def images_to_json(images: MatchImages) -> bytes:
    """Return the images as one JSON document, which `images_from_json` reads."""
    memory = _side(images.image_paths, images.image_class, images.image_group)
    queries = _side(images.query_paths, images.query_image_class, images.query_image_group)
    return msgspec.json.encode(
        _Images(
            version=VERSION,
            grid=images.grid.shape,
            query_grid=images.query_grid.shape,
            classes=images.classes,
            memory=memory,
            queries=None if queries == memory else queries,
        )
    )


def images_from_json(text: bytes, source: str) -> MatchImages:
    """Read a document that `images_to_json` wrote.

    Parameters
    ----------
    text : bytes
        The document.
    source : str
        Name of its source, for the message.

    Raises
    ------
    InputError
        The document is invalid or inconsistent, or was written by a later version.
    """
    try:
        read = msgspec.json.decode(text, type=_Images)
        if read.version != VERSION:
            raise InputError(
                f"{source} holds image tables of version {read.version}, this hueprobe reads {VERSION}; "
                "install a newer one"
            )
        memory = read.memory.check(len(read.classes))
        queries = memory if read.queries is None else read.queries.check(len(read.classes))
        grid, query_grid = Grid(*read.grid), Grid(*read.query_grid)
    except (msgspec.MsgspecError, RecursionError) as error:
        raise _damaged(source, error) from None
    except InputError:
        raise
    except ValueError as error:
        raise _damaged(source, error) from None
    return MatchImages(
        grid=grid,
        query_grid=query_grid,
        classes=read.classes,
        query_paths=queries.paths,
        query_image_class=np.array(queries.classes, np.int64),
        query_image_group=queries.groups,
        image_paths=memory.paths,
        image_class=np.array(memory.classes, np.int64),
        image_group=memory.groups,
    )


def _damaged(source: str, reason: Exception) -> InputError:
    return InputError(f"the image tables of {source} are damaged ({reason}); save the match table again")
