"""What is explored: one memory or two, the query images, and how they are shown."""

from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hueprobe.classifier import KernelDensityClassifier
from hueprobe.errors import InputError
from hueprobe.explorer.thumbnails import ThumbnailSettings
from hueprobe.images.table import ImageTable
from hueprobe.memory.recorded import recorded_transform
from hueprobe.memory.store import Memory
from hueprobe.observations.verdicts import verdicts_from_json

if TYPE_CHECKING:
    from hueprobe.images.transform import Transform

_SAMPLE_SEED = 0


@dataclass(frozen=True)
class Explored:
    """One of the memories of an exploration.

    Attributes
    ----------
    classifier : KernelDensityClassifier
        Finds the matches.
    path : str
        Path of the memory, as typed.
    images : ImageTable
        The memory's images, where their files are now.
    """

    classifier: KernelDensityClassifier
    path: str
    images: ImageTable

    @property
    def memory(self) -> Memory:
        """The memory."""
        return self.classifier.memory

    @cached_property
    def transform(self) -> "Transform | None":
        """The recorded transform; None for a custom one, of which only a description is recorded."""
        transform: Transform | None = recorded_transform(self.memory.settings)
        return transform


@dataclass(frozen=True)
class Exploration:
    """One memory, or two side by side, with the query images.

    Attributes
    ----------
    explored : tuple of Explored
        One memory or two.
    queries : ImageTable or None
        Query images; None for the memory's own images, each left out.
    queries_name : str or None
        Folder or table of the query images, as typed; None if there is no name to type.
    thumbnails : ThumbnailSettings, default=ThumbnailSettings()
        Size and quality of thumbnails.
    verdicts : list of dict, optional
        Verdicts as records; by default none are shown.

    Raises
    ------
    InputError
        Two memories hold different images and no query images are given, or there is nothing to query.
    """

    explored: tuple[Explored, ...]
    queries: ImageTable | None
    queries_name: str | None
    thumbnails: ThumbnailSettings = field(default_factory=ThumbnailSettings)
    verdicts: list[dict[str, Any]] | None = None

    def __post_init__(self) -> None:
        """Reject what cannot be compared."""
        first = self.explored[0].memory
        if self.queries is None and any(one.classifier.exclude == "none" for one in self.explored):
            raise InputError(
                "a memory's own images would match themselves without exclusion; use exclude 'image' or "
                "'group', or give query images"
            )
        if self.queries is None and not self.same_images:
            raise InputError(
                f"{self.explored[1].path} does not hold the images of {first.path} in the same rows; give "
                "query images, which both memories are then asked for"
            )
        if not len(self.askable):
            raise InputError(f"there is no readable image to query in {self.queries_name or first.path}")

    @property
    def same_images(self) -> bool:
        """Whether all memories hold the same images in the same rows."""
        paths = [one.memory.images.paths for one in self.explored]
        return all(one == paths[0] for one in paths)

    @cached_property
    def askable(self) -> np.ndarray:
        """Rows of the images to query: of `queries`, or in leave-one-out the memory's readable images."""
        if self.queries is not None:
            return np.arange(len(self.queries))
        readable = np.logical_and.reduce([one.memory.readable for one in self.explored])
        return np.flatnonzero(readable)

    def sample(self, n: int | None) -> np.ndarray:
        """Return the rows to query: all, or `n` of them drawn at random.

        Parameters
        ----------
        n : int or None
            Largest number of rows.

        Returns
        -------
        ndarray of int64
            Rows, ascending; the same draw for the same images.
        """
        rows = self.askable
        if n is None or len(rows) <= n:
            return rows
        drawn: np.ndarray = np.sort(np.random.default_rng(_SAMPLE_SEED).permutation(rows)[:n])
        return drawn

    @property
    def title(self) -> str:
        """Names of the memories and of the query images."""
        names = " and ".join(Path(one.path).name or one.path for one in self.explored)
        if self.queries is None:
            return names
        return f"{Path(self.queries_name).name if self.queries_name else 'images'} in {names}"


def sample_record(exploration: Exploration, rows: np.ndarray) -> dict[str, int] | None:
    """Return what the page says about a sample of the query images; None if there are all."""
    of = len(exploration.askable)
    return None if len(rows) == of else {"n": len(rows), "of": of, "seed": _SAMPLE_SEED}


def verdicts_of(folder: Path) -> list[dict[str, Any]]:
    """Return the verdicts in a folder of results as records for the page.

    Parameters
    ----------
    folder : path
        Folder that `hueprobe observe` wrote.

    Raises
    ------
    InputError
        The folder holds no verdicts.json, or an invalid one.
    """
    path = folder / "verdicts.json"
    try:
        text = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8 text"
        raise InputError(
            f"cannot read the verdicts in {path}: {reason}; give a folder that `hueprobe observe` wrote"
        ) from None
    records = []
    for verdict in verdicts_from_json(text):
        record = verdict.to_json()
        record["effect_name"] = record.pop("definitions")["effect"]
        records.append(record)
    return records
