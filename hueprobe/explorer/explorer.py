"""`hp.explore`: matches of a memory as a page for the browser."""

import html
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from hueprobe.arguments import as_count
from hueprobe.classifier import KernelDensityClassifier
from hueprobe.errors import HueprobeWarning, InputError
from hueprobe.explorer.documents import FileDocument, file_document, match_bytes
from hueprobe.explorer.exploration import Exploration, Explored, verdicts_of
from hueprobe.explorer.page_file import page
from hueprobe.explorer.thumbnails import ThumbnailSettings
from hueprobe.files import written_whole
from hueprobe.images.resolve import resolve_images
from hueprobe.images.table import ImageTable
from hueprobe.memory.store import Memory, open_memory

_MB = 1e6
_NOTEBOOK_HEIGHT = 720  # pixels


@dataclass(frozen=True, repr=False)
class Explorer:
    """A page that shows the matches of images, complete in one file.

    Attributes
    ----------
    html : str
        Text of the page.
    title : str
        Names of the memories and of the query images.
    n_queries, n_added : int
        Number of query images in the page, and of memory images added to walk on to.
    n_thumbnails : int
        Number of thumbnails in the page.
    missing : tuple of str
        Paths of the images whose file could not be read; the page shows a gray tile in their place.
    skipped : tuple of (str, str)
        Path and reason of each query image that could not be read.

    See Also
    --------
    hueprobe.explore : Make it.

    Examples
    --------
    >>> found = hp.explore(memory, k=5)
    >>> found.n_queries, found.n_thumbnails, found.missing
    (12, 12, ())
    """

    html: str
    title: str
    n_queries: int
    n_added: int
    n_thumbnails: int
    missing: tuple[str, ...]
    skipped: tuple[tuple[str, str], ...]

    def __repr__(self) -> str:
        """Count the images and the bytes."""
        added = f" and {self.n_added} memory images" if self.n_added else ""
        return f"Explorer({self.title}: {self.n_queries} queries{added}, {self.nbytes / _MB:.1f} MB)"

    @cached_property
    def nbytes(self) -> int:
        """Size of the page in bytes."""
        return len(self.html.encode())

    def save(self, path: str | Path) -> None:
        """Write the page to a file, completely or not at all.

        Parameters
        ----------
        path : path
            File to write, such as `page.html`.

        Raises
        ------
        StorageError
            The file cannot be written.

        See Also
        --------
        hueprobe.explore : Make the page.

        Examples
        --------
        >>> found = hp.explore(memory, k=5)
        >>> found.save("page.html")
        >>> import os
        >>> os.path.getsize("page.html") == found.nbytes
        True
        """
        with written_whole(Path(path)) as file:
            file.write(self.html.encode())

    def _repr_html_(self) -> str:
        """Show the page in a notebook, apart from the notebook's own scripts and styles."""
        return (
            f'<iframe srcdoc="{html.escape(self.html)}" sandbox="allow-scripts allow-downloads" '
            f'title="{html.escape(self.title)}" width="100%" height="{_NOTEBOOK_HEIGHT}" '
            'style="border: 0"></iframe>'
        )


def explore(
    memory: Memory | str | Path,
    images: Any = None,
    *,
    memory_b: Memory | str | Path | None = None,
    k: int = 10,
    searcher: str = "exact",
    exclude: str | None = "image",
    max_images: int | None = None,
    max_mb: float = 100,
    thumbnail_size: int = 112,
    quality: int = 75,
    images_root: str | Path | None = None,
    results: str | Path | None = None,
    backbone: Any = None,
    transform: Any = None,
    weights: Any = None,
    device: str = "auto",
    workers: int | None = None,
    index_dir: Any = None,
    progress: bool = False,
) -> Explorer:
    """Show the matches of images in a page for the browser: choose a cell, see what it matches and where.

    In a notebook the result displays itself. `Explorer.save` writes one file that needs no network.

    Parameters
    ----------
    memory : Memory or path
        Memory that query pixels are matched to.
    images : path, ImageTable, torch Dataset or list of files, optional
        Query images. The memory images among their matches follow, each left out, to walk on to. By default
        the queries are the memory's own images, each left out.
    memory_b : Memory or path, optional
        Second memory, shown beside the first: of another network or layer. Without `images` it must hold the
        same images in the same rows. By default one memory is shown.
    k : int, default=10
        Number of neighbors of each query pixel.
    searcher : str, default="exact"
        A SPEC, as in `KernelDensityClassifier`.
    exclude : {"image", "group", None}, default="image"
        What a query may not match; None needs `images`.
    max_images : int, optional
        Largest number of images that can be opened in the page: a random sample of the query images, then
        the memory images that are matched most. By default all.
    max_mb : float, default=100
        Largest size of the page, in millions of bytes.
    thumbnail_size : int, default=112
        Shorter side of the thumbnails in pixels.
    quality : int, default=75
        Quality of the thumbnails (WebP), 1 to 100.
    images_root : path, optional
        Folder of the memory's images if they have moved; the recorded folder by default.
    results : path, optional
        Folder that `hueprobe observe` wrote, whose verdicts are shown. By default none are shown.
    backbone, transform, weights : optional
        Network, transform and weights file of `memory`, as in `KernelDensityClassifier`, if `images` are
        given and its record does not suffice.
    device : str, default="auto"
        Where the network and exact search run.
    workers : int, optional
        Number of threads that decode query images; see `KernelDensityClassifier`.
    index_dir : path, optional
        Where indexes are kept; see `open_searcher`.
    progress : bool, default=False
        Whether to show progress.

    Returns
    -------
    Explorer

    Raises
    ------
    InputError
        The page would be larger than `max_mb`; the memories hold different images; a setting is out of range.

    Warns
    -----
    HueprobeWarning
        Files of images are missing: the page shows gray tiles in their place.

    See Also
    --------
    hueprobe.KernelDensityClassifier : Finds the matches.
    hueprobe.plots.query : The matches of one image as a figure.

    Examples
    --------
    >>> hp.explore(memory, k=5).title
    'memory'
    >>> found = hp.explore(memory, "others", k=5, backbone=network, transform=transform)
    >>> found.n_queries, found.n_added
    (6, 12)
    """
    shared: dict[str, Any] = {
        "k": k, "searcher": searcher, "exclude": exclude, "device": device, "workers": workers,
        "index_dir": index_dir, "progress": progress,
    }  # fmt: skip
    own: dict[str, Any] = {"backbone": backbone, "transform": transform, "weights": weights}
    memories = [memory] if memory_b is None else [memory, memory_b]
    exploration = explored_with(
        [
            KernelDensityClassifier(_opened(one), **shared, **(own if i == 0 else {}))
            for i, one in enumerate(memories)
        ],
        paths=[str(one.path if isinstance(one, Memory) else one) for one in memories],
        queries=None if images is None else resolve_images(images),
        queries_name=str(images) if isinstance(images, str | Path) else None,
        thumbnails=ThumbnailSettings(thumbnail_size, quality),
        images_root=images_root,
        results=results,
    )  # fmt: skip
    return explorer_of(exploration, max_images=max_images, max_mb=max_mb)


def explored_with(
    classifiers: Sequence[KernelDensityClassifier],
    *,
    paths: Sequence[str],
    queries: ImageTable | None,
    queries_name: str | None,
    thumbnails: ThumbnailSettings,
    images_root: str | Path | None,
    results: str | Path | None,
) -> Exploration:
    """Return what is explored, with the memories' images where they are now and the verdicts read.

    Parameters
    ----------
    classifiers : sequence of KernelDensityClassifier
        One classifier per memory.
    paths : sequence of str
        Paths of the memories, as typed.
    queries, queries_name, thumbnails
        See `Exploration`.
    images_root, results
        See `explore`.
    """
    explored = []
    for classifier, path in zip(classifiers, paths, strict=True):
        table = classifier.memory.images
        explored.append(
            Explored(classifier, path, table if images_root is None else table.relocated(images_root))
        )
    verdicts = None if results is None else verdicts_of(Path(results))
    return Exploration(tuple(explored), queries, queries_name, thumbnails, verdicts)


def explorer_of(exploration: Exploration, *, max_images: int | None = None, max_mb: float = 100) -> Explorer:
    """Ask the query images and make the page.

    Parameters
    ----------
    exploration : Exploration
        What is explored.
    max_images, max_mb
        See `explore`.
    """
    if max_images is not None:
        as_count("max_images", max_images)
    if not max_mb > 0:
        raise InputError(f"max_mb is {max_mb}; it must be above 0")
    least = match_bytes(exploration, len(exploration.sample(max_images))) / _MB
    if least > max_mb:
        raise _too_large(f"at least {_megabytes(least)}", max_mb)
    found = file_document(exploration, max_images=max_images)
    explorer = Explorer(
        html=page(found.document),
        title=exploration.title,
        n_queries=found.n_asked,
        n_added=found.n_added,
        n_thumbnails=found.n_thumbnails,
        missing=tuple(sorted(found.missing)),
        skipped=found.skipped,
    )
    _warn_of_missing(found)
    if explorer.nbytes / _MB > max_mb:
        raise _too_large(_megabytes(explorer.nbytes / _MB), max_mb)
    return explorer


def _opened(memory: Memory | str | Path) -> Memory:
    return memory if isinstance(memory, Memory) else open_memory(memory)


def _megabytes(size: float) -> str:
    return f"{size:,.0f}" if size >= 100 else f"{size:.2g}"


def _too_large(megabytes: str, max_mb: float) -> InputError:
    return InputError(
        f"the page would take {megabytes} MB, and {max_mb:g} are allowed; take fewer images (max_images, "
        "--max-images) or smaller thumbnails (thumbnail_size, --thumbnail-size), allow more (max_mb, "
        "--max-mb), or use the server (`hueprobe explore MEMORY` without -o)"
    )


def _warn_of_missing(found: FileDocument) -> None:
    if found.missing:
        path, reason = next(iter(found.missing.items()))
        warnings.warn(
            f"{len(found.missing)} images could not be read and are gray in the page ({path}: {reason}); if "
            "the memory's images have moved, give their folder with images_root (--images-root)",
            HueprobeWarning,
            stacklevel=4,
        )
