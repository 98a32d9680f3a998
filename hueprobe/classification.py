"""The result of classifying images."""

from collections.abc import Iterable
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from hueprobe.density import decide
from hueprobe.errors import InputError
from hueprobe.matches import Matches

if TYPE_CHECKING:
    from hueprobe.queries import Queries


@dataclass(frozen=True)
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

    @property
    def predicted_class(self) -> tuple[str | None, ...]:
        """Class name of each prediction; None where there is none."""
        return tuple(self.classes[i] if i >= 0 else None for i in self.predicted)

    @classmethod
    def of_queries(
        cls,
        queries: "Queries",
        classes: tuple[str, ...],
        unnormalized: np.ndarray,
        *,
        n_matches: np.ndarray,
        matches: Matches | None,
        seconds: dict[str, float],
    ) -> "Classification":
        """Decide for each query by its likelihoods.

        Parameters
        ----------
        queries : Queries
        classes : tuple of str
        unnormalized : ndarray of float64, shape (n, n_classes)
        n_matches : ndarray of int64, shape (n,)
        matches : Matches or None
        seconds : dict of str to float
            Time spent in `search` and `density`.
        """
        decision = decide(unnormalized)
        return cls(
            classes=classes,
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
        for field in fields(cls):
            values = [getattr(part, field.name) for part in parts]
            if field.name == "classes":
                joined[field.name] = values[0]
            elif field.name == "matches":
                joined[field.name] = None if values[0] is None else Matches.concatenate(values)
            elif field.name == "seconds":
                joined[field.name] = {name: sum(value[name] for value in values) for name in values[0]}
            elif isinstance(values[0], tuple):
                joined[field.name] = tuple(item for value in values for item in value)
            else:
                joined[field.name] = np.concatenate(values)
        return cls(**joined)
