"""The result of classifying images."""

from collections.abc import Iterable
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from hueprobe.density import decide
from hueprobe.errors import InputError
from hueprobe.files import written_whole
from hueprobe.frames import to_frame
from hueprobe.html_tables import html_table
from hueprobe.matches import Matches

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

    from hueprobe.images.table import ImageTable
    from hueprobe.memory.store import Memory
    from hueprobe.queries import Queries

_VERSION = 1
_SHOWN, _LIKELIEST = 10, 3  # images and classes of each, in a notebook


class _Stored(msgspec.Struct):
    """A classification as JSON; what follows from the likelihoods is made anew."""

    version: int
    classes: tuple[str, ...]
    images: tuple[str, ...]
    rows: list[int]
    true_class: tuple[str | None, ...]
    unnormalized: list[list[float]]
    n_matches: list[int]
    skipped: tuple[tuple[str, str], ...]
    duplicates: tuple[str, ...]
    seconds: dict[str, float]
    lone: list[bool] | None = None


@dataclass(frozen=True, repr=False)
class Sources:
    """Where the images on both sides of a classification can be seen again.

    Attributes
    ----------
    queries : ImageTable
        All query images; `Classification.rows` are rows of it.
    memory : Memory
    """

    queries: "ImageTable"
    memory: "Memory"


@dataclass(frozen=True, repr=False)
class Classification:
    """What Eq. (1)-(3) make of some images.

    Attributes
    ----------
    classes : tuple of str
        The memory's, by id.
    images : tuple of str
        Path or name of each image that could be read, n long.
    rows : ndarray of int64, shape (n,)
        Position of each among all query images, unreadable ones included: `matches.query_image`.
    true_class : tuple of (str or None)
        Class name given with each image.
    predicted : ndarray of int64, shape (n,)
        Class id; -1 where no neighbor had a class.
    tie : ndarray of bool, shape (n,)
    likelihood, unnormalized : ndarray of float64, shape (n, n_classes)
        Eq. (2), divided by its sum over classes, and as it is.
    n_matches : ndarray of int64, shape (n,)
    matches : Matches or None
        Every match. None if not asked for.
    skipped : tuple of (str, str)
        Path and reason of each unreadable image.
    duplicates : tuple of str
        Images whose very file is also in the memory (not in leave-one-out).
    seconds : dict of str to float
        Time spent in `extract`, `search` and `density`.
    lone : ndarray of bool, shape (n,), or None
        Whether an image may match nothing of its own class, though the memory has that: in leave-one-out the
        only image (group) of its class. It cannot be classified right. None: not known.
    sources : Sources or None
        Where the images can be seen again; None once loaded from a file.
    """

    classes: tuple[str, ...]
    images: tuple[str, ...]
    rows: np.ndarray
    true_class: tuple[str | None, ...]
    predicted: np.ndarray
    tie: np.ndarray
    likelihood: np.ndarray
    unnormalized: np.ndarray
    n_matches: np.ndarray
    matches: Matches | None
    skipped: tuple[tuple[str, str], ...]
    duplicates: tuple[str, ...]
    seconds: dict[str, float]
    lone: np.ndarray | None = None
    sources: Sources | None = field(default=None, compare=False)

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self.images)

    def __repr__(self) -> str:
        """Say how many images there are and how many were classified as they are labeled."""
        matches = "no match table" if self.matches is None else f"{len(self.matches)} matches"
        return f"Classification({self._summary()}, {matches})"

    def _summary(self) -> str:
        pairs = list(zip(self.true_class, self.predicted_class, strict=True))
        known = [pairs[i][0] == pairs[i][1] for i in self.judged]
        n_lone = 0 if self.lone is None else int(self.lone.sum())
        alone = f" ({n_lone} more are alone in their class)" if n_lone else ""
        return (
            f"{len(self)} images, {len(self.classes)} classes, {sum(known)} of {len(known)} labeled images "
            f"right{alone}, {int(self.tie.sum())} ties, {len(self.skipped)} skipped"
        )

    @property
    def judged(self) -> tuple[int, ...]:
        """Positions of the images that an accuracy is over: of a class of the memory, and not `lone`."""
        known = set(self.classes)
        lone = np.zeros(len(self), bool) if self.lone is None else self.lone
        return tuple(i for i, name in enumerate(self.true_class) if name in known and not lone[i])

    def _repr_html_(self) -> str:
        """Show the first images with their likeliest classes, for notebooks."""
        n = min(len(self), _SHOWN)
        best = np.argsort(-self.likelihood[:n], axis=1, kind="stable")[:, :_LIKELIEST]
        rows = [
            [
                self.images[i], self.true_class[i], self.predicted_class[i],
                ", ".join(f"{self.classes[c]} {self.likelihood[i, c]:.3f}" for c in best[i]),
                "yes" if self.tie[i] else "",
            ]
            for i in range(n)
        ]  # fmt: skip
        more = f" ({len(self) - n} more)" if len(self) > n else ""
        head = ["image", "class", "predicted", "likelihood", "tie"]
        return html_table(head, rows, caption=self._summary() + more)

    def to_arrow(self) -> "pa.Table":
        """Return a row an image: image, class, predicted, tie, n_matches, `likelihood: C` of each class C."""
        import pyarrow as pa

        columns: dict[str, Any] = {
            "image": pa.array(self.images, pa.string()),
            "class": pa.array(self.true_class, pa.string()),
            "predicted": pa.array(self.predicted_class, pa.string()),
            "tie": self.tie,
            "n_matches": self.n_matches,
        }
        for number, name in enumerate(self.classes):
            columns[f"likelihood: {name}"] = np.ascontiguousarray(self.likelihood[:, number])
        return pa.table(columns)

    def to_pandas(self) -> "pd.DataFrame":
        """Return the table of `to_arrow` as a data frame.

        Raises
        ------
        MissingDependencyError
            pandas is not installed.
        """
        return to_frame(self.to_arrow())

    def save(self, path: str | Path) -> None:
        """Write everything but the match table to a JSON file, whole or not at all; that has its own `save`.

        Parameters
        ----------
        path : path
        """
        stored = _Stored(
            version=_VERSION, classes=self.classes, images=self.images, rows=self.rows.tolist(),
            true_class=self.true_class, unnormalized=self.unnormalized.tolist(),
            n_matches=self.n_matches.tolist(), skipped=self.skipped, duplicates=self.duplicates,
            seconds=self.seconds, lone=None if self.lone is None else self.lone.tolist(),
        )  # fmt: skip
        with written_whole(Path(path)) as file:
            file.write(msgspec.json.encode(stored) + b"\n")

    @classmethod
    def load(cls, path: str | Path) -> "Classification":
        """Read what `save` wrote; `matches` is None.

        Parameters
        ----------
        path : path

        Raises
        ------
        InputError
            There is no such file, or it holds no classification.
        """
        try:
            stored = msgspec.json.decode(Path(path).read_bytes(), type=_Stored)
        except OSError as error:
            raise InputError(f"cannot read a classification from {path}: {error.strerror}") from None
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            raise InputError(f"{path} holds no classification ({error}); save it again") from None
        n = len(stored.images)
        fits = {
            len(stored.rows),
            len(stored.true_class),
            len(stored.n_matches),
            len(stored.unnormalized),
            n if stored.lone is None else len(stored.lone),
        } == {n}
        if not fits or any(len(row) != len(stored.classes) for row in stored.unnormalized):
            raise InputError(f"{path} holds no classification: its parts differ in length; save it again")
        if stored.version != _VERSION:
            raise InputError(
                f"{path} holds a classification of version {stored.version}, this hueprobe reads {_VERSION}; "
                "install a newer one"
            )
        unnormalized = np.array(stored.unnormalized, float).reshape(n, len(stored.classes))
        decision = decide(unnormalized)
        return cls(
            classes=stored.classes, images=stored.images, rows=np.array(stored.rows, np.int64),
            true_class=stored.true_class, predicted=decision.predicted, tie=decision.tie,
            likelihood=decision.normalized, unnormalized=unnormalized,
            n_matches=np.array(stored.n_matches, np.int64), matches=None, skipped=stored.skipped,
            duplicates=stored.duplicates, seconds=stored.seconds,
            lone=None if stored.lone is None else np.array(stored.lone, bool),
        )  # fmt: skip

    @property
    def predicted_class(self) -> tuple[str | None, ...]:
        """Class name of each prediction; None where there is none."""
        return tuple(self.classes[i] if i >= 0 else None for i in self.predicted)

    @classmethod
    def of_queries(
        cls,
        queries: "Queries",
        memory: "Memory",
        unnormalized: np.ndarray,
        *,
        class_counts: np.ndarray,
        n_matches: np.ndarray,
        matches: Matches | None,
        seconds: dict[str, float],
    ) -> "Classification":
        """Decide for each query by its likelihoods.

        Parameters
        ----------
        queries : Queries
        memory : Memory
        unnormalized : ndarray of float64, shape (n, n_classes)
        class_counts : ndarray of int64, shape (n, n_classes)
            n_C: the vectors of each class that each image may match.
        n_matches : ndarray of int64, shape (n,)
        matches : Matches or None
        seconds : dict of str to float
            Time spent in `search` and `density`.
        """
        decision = decide(unnormalized)
        ids = {name: number for number, name in enumerate(memory.classes)}
        known = [(i, ids[name]) for i, name in enumerate(queries.true_class) if name in ids]
        lone = np.zeros(len(queries.row), bool)
        lone[[i for i, _ in known]] = [class_counts[i, number] == 0 for i, number in known]
        return cls(
            classes=memory.classes,
            images=tuple(queries.images.query_paths[row] for row in queries.row),
            rows=queries.row,
            true_class=queries.true_class,
            predicted=decision.predicted,
            tie=decision.tie,
            likelihood=decision.normalized,
            unnormalized=unnormalized,
            n_matches=n_matches,
            matches=matches,
            skipped=queries.skipped,
            duplicates=queries.duplicates,
            seconds={"extract": queries.seconds, **seconds},
            lone=lone,
            sources=Sources(queries.table, memory),
        )

    @classmethod
    def concatenate(cls, parts: Iterable["Classification"], *, keep_matches: bool = True) -> "Classification":
        """Join parts of one run, in order.

        Parameters
        ----------
        parts : iterable of Classification
        keep_matches : bool
            Whether the result carries the match table; without, that of a part is dropped as it comes.

        Raises
        ------
        InputError
            There is no part.
        """
        parts = [part if keep_matches else replace(part, matches=None) for part in parts]
        if not parts:
            raise InputError("no classifications to join; give at least one image")
        joined: dict[str, Any] = {}
        for part_field in fields(cls):
            values = [getattr(part, part_field.name) for part in parts]
            if part_field.name in ("classes", "sources"):
                joined[part_field.name] = values[0]
            elif part_field.name == "matches":
                joined[part_field.name] = None if values[0] is None else Matches.concatenate(values)
            elif part_field.name == "seconds":
                joined[part_field.name] = {name: sum(value[name] for value in values) for name in values[0]}
            elif part_field.name == "lone" and any(value is None for value in values):
                joined[part_field.name] = None
            elif isinstance(values[0], tuple):
                joined[part_field.name] = tuple(item for value in values for item in value)
            else:
                joined[part_field.name] = np.concatenate(values)
        return cls(**joined)
