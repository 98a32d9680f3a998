"""The result of segmenting images: label shares of cells, label maps and scores."""

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hueprobe.dense.scores import Scores, scores_of_counts
from hueprobe.dense.upsampling import label_map, leading_labels
from hueprobe.errors import InputError
from hueprobe.files import written_whole
from hueprobe.grid import Grid
from hueprobe.html_tables import html_table
from hueprobe.images.label_names import LabelSet
from hueprobe.images.visible import Box
from hueprobe.json_documents import json_text

if TYPE_CHECKING:
    import pandas as pd

_FORMAT = "hueprobe segmentation 1"
_ARRAYS = ("shares", "nearest", "boxes", "sizes")
_COUNTS = ("confusion", "boundaries")


@dataclass(frozen=True)
class SegmentSettings:
    """How images were segmented.

    Attributes
    ----------
    kernel : str
        Kernel; see `hueprobe.dense.parse_kernel`.
    k : int
        Number of neighbors of each cell.
    protocol : str
        Protocol; see `hueprobe.dense.protocol_of`.
    searcher : str
        SPEC of the searcher.
    searcher_recall : float
        Measured recall@10 of the searcher; 1 for exact search.
    exclude : {"image", "group", "none"}
        What a query may not match.
    n_resamples, seed : int
        Bootstrap draws of the intervals, and their seed.
    by_group : bool
        Whether intervals are over groups, where images have one.
    cells_per_image : int or None
        Number of cells of each memory image that were searched; None for all.
    sampling : {"uniform", "rare"} or None
        How these were chosen; see `hueprobe.dense.sample_cells`.
    """

    kernel: str
    k: int
    protocol: str
    searcher: str
    searcher_recall: float
    exclude: str
    n_resamples: int
    seed: int
    by_group: bool
    cells_per_image: int | None = None
    sampling: str | None = None


@dataclass(frozen=True, eq=False, repr=False)
class Segmentation:
    """Result of `hueprobe.segment`, for n images.

    Attributes
    ----------
    images : tuple of str, length n
        Path of each image.
    groups : tuple of (str or None), length n
        Group of each image.
    rows : ndarray of int64, shape (n,)
        Position of each image in the list that was given; unreadable ones are missing.
    labels : LabelSet
        The labels of the memory.
    shares : ndarray of float32, shape (n, H, W, n_labels)
        Share of each label in each cell; all 0 where nothing voted.
    nearest : ndarray of int64, shape (n, H, W)
        Vector id of the nearest neighbor of each cell; -1 if it has none.
    memory_images : tuple of str
        Path of each memory image, of which image id // (H * W) is the row.
    boxes : ndarray of float64, shape (n, 4)
        Left, top, right and bottom of the part of each image that the network saw, in pixels.
    sizes : ndarray of int64, shape (n, 2)
        Height and width of each image in pixels.
    scores : Scores or None
        Comparison with true labels; None without masks.
    settings : SegmentSettings
        How images were segmented.
    skipped : tuple of (str, str)
        Path and reason of each unreadable image.
    seconds : dict of str to float
        Time by stage.

    See Also
    --------
    hueprobe.segment : Segment images.
    hueprobe.plots.segmentation_figure : Draw an image with its label map.

    Examples
    --------
    >>> labeled = hp.build_memory(
    ...     "labeled.memory", "images", masks="masks", backbone=network, layer="3", transform=transform
    ... )
    >>> found = hp.segment(labeled, "others", backbone=network, transform=transform)
    >>> found
    <Segmentation of 6 images with 2 labels, no masks to compare with>
    >>> found.label_map(0).shape
    (64, 64)
    """

    images: tuple[str, ...]
    groups: tuple[str | None, ...]
    rows: np.ndarray
    labels: LabelSet
    shares: np.ndarray
    nearest: np.ndarray
    memory_images: tuple[str, ...]
    boxes: np.ndarray
    sizes: np.ndarray
    scores: Scores | None
    settings: SegmentSettings
    skipped: tuple[tuple[str, str], ...] = ()
    seconds: dict[str, float] = field(default_factory=dict)

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self.images)

    def __repr__(self) -> str:
        """Return one line with the number of images and the mean IoU."""
        score = "no masks to compare with" if self.scores is None else repr(self.scores)[1:-1]
        return f"<Segmentation of {len(self)} images with {len(self.labels)} labels, {score}>"

    def _repr_html_(self) -> str:
        if self.scores is not None:
            return self.scores._repr_html_()
        rows = [(path, *size) for path, size in zip(self.images, self.sizes[:, ::-1].tolist(), strict=True)]
        return html_table(("image", "width", "height"), rows, caption=f"{len(self.labels)} labels, no masks")

    @property
    def grid(self) -> Grid:
        """Grid of the cells."""
        return Grid(*self.shares.shape[1:3])

    def label_map(self, i: int) -> np.ndarray:
        """Return the predicted label of each pixel of image `i`, at its own size.

        Parameters
        ----------
        i : int
            Number of the image.

        Returns
        -------
        ndarray of int32, shape (h, w)
            Ids of labels; -1 where the network did not see the image, and where nothing voted.

        See Also
        --------
        hueprobe.dense.Segmentation.margin : How much it leads.

        Examples
        --------
        >>> labeled = hp.build_memory(
        ...     "labeled.memory", "images", masks="masks", backbone=network, layer="3", transform=transform
        ... )
        >>> found = hp.segment(labeled, "others", backbone=network, transform=transform)
        >>> sorted(np.unique(found.label_map(0)).tolist())
        [0, 1]
        """
        return leading_labels(self.shares[i], *self._place(i))

    def margin(self, i: int) -> np.ndarray:
        """Return the largest label share minus the second largest, at each pixel of image `i`.

        Parameters
        ----------
        i : int
            Number of the image.

        Returns
        -------
        ndarray of float32, shape (h, w)
            0 to 1; 0 without a label.

        See Also
        --------
        hueprobe.dense.Segmentation.label_map : The labels.

        Examples
        --------
        >>> labeled = hp.build_memory(
        ...     "labeled.memory", "images", masks="masks", backbone=network, layer="3", transform=transform
        ... )
        >>> found = hp.segment(labeled, "others", backbone=network, transform=transform)
        >>> bool(found.margin(0).max() <= 1)
        True
        """
        return label_map(self.shares[i], *self._place(i))[1]

    def _place(self, i: int) -> tuple[tuple[int, int], Box]:
        """Return height and width of image `i`, and the part of it that the network saw."""
        height, width = self.sizes[i].tolist()
        left, top, right, bottom = self.boxes[i].tolist()
        return (height, width), (left, top, right, bottom)

    def to_pandas(self) -> "pd.DataFrame":
        """Return one row per label with its scores.

        Returns
        -------
        pandas.DataFrame

        Raises
        ------
        InputError
            There are no scores, as no masks were given.
        MissingDependencyError
            pandas is not installed.

        Examples
        --------
        >>> import warnings
        >>> labeled = hp.build_memory(
        ...     "labeled.memory", "images", masks="masks", backbone=network, layer="3", transform=transform
        ... )
        >>> with warnings.catch_warnings():
        ...     warnings.simplefilter("ignore")  # the images are the memory's own
        ...     found = hp.segment(labeled, "images", masks="masks", backbone=network, transform=transform)
        >>> list(found.to_pandas()["label"])
        ['0', '1']
        """
        if self.scores is None:
            raise InputError("the segmentation has no scores: no masks were given; segment with masks=")
        return self.scores.to_pandas()

    def save(self, path: str | Path) -> None:
        """Save the result to one .npz file.

        Parameters
        ----------
        path : path
            File to write.

        See Also
        --------
        hueprobe.dense.read_segmentation : Read it again.

        Examples
        --------
        >>> labeled = hp.build_memory(
        ...     "labeled.memory", "images", masks="masks", backbone=network, layer="3", transform=transform
        ... )
        >>> hp.segment(labeled, "others", backbone=network, transform=transform).save("found.npz")
        >>> len(hp.dense.read_segmentation("found.npz"))
        6
        """
        header = {
            "format": _FORMAT,
            "images": self.images,
            "groups": self.groups,
            "labels": asdict(self.labels),
            "memory_images": self.memory_images,
            "settings": asdict(self.settings),
            "skipped": self.skipped,
            "seconds": self.seconds,
            "assigned": None if self.scores is None else self.scores.assigned,
        }
        arrays = {name: getattr(self, name) for name in ("rows", *_ARRAYS)}
        if self.scores is not None:
            arrays |= {name: getattr(self.scores, name) for name in _COUNTS}
        with written_whole(Path(path)) as file:
            text = np.frombuffer(json_text(header).encode(), np.uint8)
            np.savez_compressed(file, header=text, **arrays)


def read_segmentation(path: str | Path) -> Segmentation:
    """Read a segmentation that was saved.

    Parameters
    ----------
    path : path
        File of `Segmentation.save`.

    Returns
    -------
    Segmentation

    Raises
    ------
    InputError
        The file is not such a file, or is damaged.

    See Also
    --------
    hueprobe.dense.Segmentation.save : Write one.

    Examples
    --------
    >>> labeled = hp.build_memory(
    ...     "labeled.memory", "images", masks="masks", backbone=network, layer="3", transform=transform
    ... )
    >>> hp.segment(labeled, "others", backbone=network, transform=transform).save("found.npz")
    >>> read_segmentation("found.npz")
    <Segmentation of 6 images with 2 labels, no masks to compare with>
    """
    from hueprobe.dense.protocols import protocol_of

    try:
        with np.load(path, allow_pickle=False) as stored:
            arrays: dict[str, Any] = {name: stored[name] for name in stored.files}
        header = json.loads(arrays.pop("header").tobytes())
        if header["format"] != _FORMAT:
            raise ValueError(f"its format is {header['format']!r}")
        labels = LabelSet(**{name: tuple(value) for name, value in header["labels"].items()})
        settings = SegmentSettings(**header["settings"])
        groups = tuple(header["groups"])
        counts = {name: arrays.pop(name) for name in _COUNTS if name in arrays}
        scores = None
        if counts:
            scores = scores_of_counts(
                **counts, label_names=labels.names, assigned=tuple(header["assigned"]),
                groups=groups if settings.by_group else None, n_resamples=settings.n_resamples,
                seed=settings.seed, absent_as_zero=protocol_of(settings.protocol).absent_as_zero,
            )  # fmt: skip
        return Segmentation(
            images=tuple(header["images"]), groups=groups, labels=labels, scores=scores, settings=settings,
            memory_images=tuple(header["memory_images"]), skipped=tuple(map(tuple, header["skipped"])),
            seconds=header["seconds"], **arrays,
        )  # fmt: skip
    except FileNotFoundError:
        raise InputError(f"{path} does not exist; give a file that Segmentation.save wrote") from None
    except Exception as error:
        text = " ".join(str(error).split()) or type(error).__name__
        raise InputError(
            f"{path} is no saved segmentation ({text}); give a file of Segmentation.save"
        ) from error
