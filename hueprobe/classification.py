"""The result of classifying images."""

from collections.abc import Iterable, Sequence
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
_OPTIONAL = ("lone", "class_counts", "energy")  # one row per image, where known


class _Stored(msgspec.Struct):
    """A classification as JSON; predictions and ties are recomputed from the likelihoods."""

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
    class_counts: list[list[int]] | None = None


@dataclass(frozen=True, repr=False)
class Sources:
    """Where the query images and the memory images of a classification can be read again.

    Attributes
    ----------
    queries : ImageTable
        All query images; `Classification.rows` holds row numbers of this table.
    memory : Memory
        The memory that classified them.
    """

    queries: "ImageTable"
    memory: "Memory"


@dataclass(frozen=True, repr=False)
class Classification:
    """Predictions, likelihoods and matches of n images, Eq. (1)-(3).

    Attributes
    ----------
    classes : tuple of str
        Class names of the memory, indexed by class id.
    images : tuple of str
        Path or name of each image that could be read, n long.
    rows : ndarray of int64, shape (n,)
        Position of each image among all query images, unreadable ones included. `matches.query_image` uses
        the same numbers.
    true_class : tuple of (str or None)
        Class name given with each image.
    predicted : ndarray of int64, shape (n,)
        Class id; -1 where no neighbor had a class.
    tie : ndarray of bool, shape (n,)
        Whether another class reached the same likelihood; the lower class id is then predicted.
    likelihood, unnormalized : ndarray of float64, shape (n, n_classes)
        Eq. (2), divided by its sum over classes, and without that division.
    n_matches : ndarray of int64, shape (n,)
        Number of matches of each image.
    matches : Matches or None
        Every match; None with `keep_matches=False`, or once loaded from a file.
    skipped : tuple of (str, str)
        Path and reason of each unreadable image.
    duplicates : tuple of str
        Images whose file content is also in the memory (empty in leave-one-out).
    seconds : dict of str to float
        Time spent in `extract`, `search` and `density`.
    lone : ndarray of bool, shape (n,), or None
        Whether an image may match nothing of its own class, although the memory has that class. In
        leave-one-out this is the only image (or group) of its class. It cannot be classified correctly.
        None where this is not known.
    class_counts : ndarray of int64, shape (n, n_classes), or None
        n_C of Eq. (2): number of memory vectors of each class that each image may match; None where this is
        not known.
    energy : ndarray of float32, shape (n, H, W), or None
        Squared norm of each activation of the images, before normalization; None once loaded from a file.
    sources : Sources or None
        Where the images can be read again; None once loaded from a file.

    See Also
    --------
    hueprobe.KernelDensityClassifier : Makes classifications.
    hueprobe.Matches : The match table.

    Examples
    --------
    >>> len(result), result.classes, result.likelihood.shape
    (12, ('circle', 'square', 'triangle'), (12, 3))
    >>> right = [p == t for p, t in zip(result.predicted_class, result.true_class)]
    >>> len(right) == len(result.judged)
    True
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
    class_counts: np.ndarray | None = None
    energy: np.ndarray | None = field(default=None, compare=False)
    sources: Sources | None = field(default=None, compare=False)

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self.images)

    def __repr__(self) -> str:
        """Count the images, and those that were classified correctly."""
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
        """Positions of the images that count for accuracy: their class is in the memory, and not `lone`."""
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
        """Return an Arrow table with one row per image.

        Returns
        -------
        pyarrow.Table
            Columns `image`, `class`, `predicted`, `tie`, `n_matches`, and `likelihood: C` for each class C.

        See Also
        --------
        hueprobe.Classification.to_pandas : The same table as a data frame.

        Examples
        --------
        >>> table = result.to_arrow()
        >>> table.num_rows, table.column_names[-1]
        (12, 'likelihood: triangle')
        """
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
        """Return a data frame with one row per image.

        Returns
        -------
        pandas.DataFrame
            The columns of `to_arrow`.

        Raises
        ------
        MissingDependencyError
            pandas is not installed.

        See Also
        --------
        hueprobe.Classification.to_arrow : The same table, without pandas.

        Examples
        --------
        >>> frame = result.to_pandas()
        >>> frame.groupby("class")["n_matches"].sum().to_dict()
        {'circle': 980, 'square': 980, 'triangle': 980}
        """
        return to_frame(self.to_arrow())

    def save(self, path: str | Path) -> None:
        """Write everything but the match table to a JSON file; `Matches.save` writes that table.

        The file appears complete or not at all.

        Parameters
        ----------
        path : path
            File to write.

        See Also
        --------
        hueprobe.Classification.load : Read the file.
        hueprobe.Matches.save : Write the match table.

        Examples
        --------
        >>> result.save("result.json")
        >>> len(hp.Classification.load("result.json"))
        12
        """
        stored = _Stored(
            version=_VERSION, classes=self.classes, images=self.images, rows=self.rows.tolist(),
            true_class=self.true_class, unnormalized=self.unnormalized.tolist(),
            n_matches=self.n_matches.tolist(), skipped=self.skipped, duplicates=self.duplicates,
            seconds=self.seconds, lone=None if self.lone is None else self.lone.tolist(),
            class_counts=None if self.class_counts is None else self.class_counts.tolist(),
        )  # fmt: skip
        with written_whole(Path(path)) as file:
            file.write(msgspec.json.encode(stored) + b"\n")

    @classmethod
    def load(cls, path: str | Path) -> "Classification":
        """Read a file that `save` wrote; `matches` is None.

        Parameters
        ----------
        path : path
            File to read.

        Returns
        -------
        Classification

        Raises
        ------
        InputError
            There is no such file, or it holds no classification.

        See Also
        --------
        hueprobe.Classification.save : Write the file.

        Examples
        --------
        >>> result.save("result.json")
        >>> loaded = hp.Classification.load("result.json")
        >>> np.array_equal(loaded.predicted, result.predicted), loaded.matches
        (True, None)
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
            n if stored.class_counts is None else len(stored.class_counts),
        } == {n}
        by_class = (*stored.unnormalized, *(stored.class_counts or ()))
        if not fits or any(len(row) != len(stored.classes) for row in by_class):
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
            class_counts=None
            if stored.class_counts is None
            else np.array(stored.class_counts, np.int64).reshape(n, len(stored.classes)),
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
        """Predict the class of each query from its likelihoods.

        Parameters
        ----------
        queries : Queries
            The query images.
        memory : Memory
            Gives the class names.
        unnormalized : ndarray of float64, shape (n, n_classes)
            Likelihoods, Eq. (2).
        class_counts : ndarray of int64, shape (n, n_classes)
            n_C: number of vectors of each class that each image may match.
        n_matches : ndarray of int64, shape (n,)
            Number of matches of each image.
        matches : Matches or None
            The match table, if it is kept.
        seconds : dict of str to float
            Time spent in `search` and `density`.

        Returns
        -------
        Classification
        """
        decision = decide(unnormalized)
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
            lone=lone_images(queries.true_class, memory.classes, class_counts),
            class_counts=class_counts,
            energy=queries.energy,
            sources=Sources(queries.table, memory),
        )

    @classmethod
    def concatenate(cls, parts: Iterable["Classification"], *, keep_matches: bool = True) -> "Classification":
        """Join the parts of one run, in order.

        Parameters
        ----------
        parts : iterable of Classification
            Parts, such as those of `classify_batches`.
        keep_matches : bool, default=True
            Whether the result carries the match table. With False, the table of each part is dropped as soon
            as it arrives.

        Returns
        -------
        Classification

        Raises
        ------
        InputError
            There is no part.

        See Also
        --------
        hueprobe.KernelDensityClassifier.classify_batches : Yields such parts.

        Examples
        --------
        >>> classifier = hp.KernelDensityClassifier(memory, k=5)
        >>> parts = classifier.leave_one_out_batches()
        >>> len(hp.Classification.concatenate(parts, keep_matches=False))
        12
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
            elif part_field.name in _OPTIONAL and any(value is None for value in values):
                joined[part_field.name] = None
            elif isinstance(values[0], tuple):
                joined[part_field.name] = tuple(item for value in values for item in value)
            else:
                joined[part_field.name] = np.concatenate(values)
        return cls(**joined)


def lone_images(
    true_class: Sequence[str | None], classes: Sequence[str], class_counts: np.ndarray
) -> np.ndarray:
    """Return which images may match nothing of their own class, although the memory has that class.

    Parameters
    ----------
    true_class : sequence of (str or None)
        Class of each of n images.
    classes : sequence of str
        Classes of the memory.
    class_counts : ndarray of int64, shape (n, n_classes)
        n_C: number of vectors of each class that each image may match.

    Returns
    -------
    ndarray of bool, shape (n,)

    Examples
    --------
    >>> lone_images(["a", "b", None], ["a", "b"], np.array([[0, 4], [9, 4], [0, 0]]))
    array([ True, False, False])
    """
    ids = {name: number for number, name in enumerate(classes)}
    known = [(i, ids[name]) for i, name in enumerate(true_class) if name in ids]
    lone = np.zeros(len(class_counts), bool)
    lone[[i for i, _ in known]] = [class_counts[i, number] == 0 for i, number in known]
    return lone
