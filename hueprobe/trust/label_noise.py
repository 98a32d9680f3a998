"""Label-noise candidates: images whose own class is unlikely, judged by all other images."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from hueprobe.arguments import takes
from hueprobe.classification import Classification
from hueprobe.frames import to_frame
from hueprobe.html_tables import html_table

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

_SHOWN = 10  # images, in a notebook


@dataclass(frozen=True, repr=False)
class LabelCandidates:
    """Labeled images, the least likely label first; ties by the smaller margin.

    Attributes
    ----------
    images : tuple of str
        Path or name of each image, n long.
    rows : ndarray of int64, shape (n,)
        Position of each image among all query images.
    given, predicted : tuple of str
        Class of each image, and the likeliest class.
    likelihood : ndarray of float64, shape (n,)
        Normalized likelihood of the given class, Eq. (2).
    rank : ndarray of int64, shape (n,)
        1 more than the number of classes that are likelier than the given one.
    margin : ndarray of float64, shape (n,)
        Likelihood of the given class less the greatest of the others; negative for candidates.

    See Also
    --------
    hueprobe.trust.label_candidates : Ranks the images of a classification.
    hueprobe.trust.audit : Also finds duplicates.

    Examples
    --------
    >>> found = hp.trust.label_candidates(result)
    >>> len(found), bool((np.diff(found.likelihood) >= 0).all())
    (12, True)
    """

    images: tuple[str, ...]
    rows: np.ndarray
    given: tuple[str, ...]
    predicted: tuple[str, ...]
    likelihood: np.ndarray
    rank: np.ndarray
    margin: np.ndarray

    def __len__(self) -> int:
        """Return the number of labeled images."""
        return len(self.images)

    @classmethod
    def concatenate(cls, parts: Sequence["LabelCandidates"]) -> "LabelCandidates":
        """Rank the images of several lists as one.

        Parameters
        ----------
        parts : sequence of LabelCandidates
            Lists of different images; none gives an empty list.

        Returns
        -------
        LabelCandidates

        Examples
        --------
        >>> found = hp.trust.label_candidates(result)
        >>> len(hp.trust.LabelCandidates.concatenate([found, found]))
        24
        """
        kinds = {"rows": np.int64, "likelihood": np.float64, "rank": np.int64, "margin": np.float64}
        numbers = {
            name: np.concatenate([np.empty(0, kind), *(getattr(part, name) for part in parts)])
            for name, kind in kinds.items()
        }
        names = {
            name: [value for part in parts for value in getattr(part, name)]
            for name in ("images", "given", "predicted")
        }
        order = np.lexsort((numbers["rows"], numbers["margin"], numbers["likelihood"]))
        ordered: dict[str, Any] = {name: values[order] for name, values in numbers.items()}
        ordered |= {name: tuple(values[i] for i in order) for name, values in names.items()}
        return cls(**ordered)

    @property
    def candidates(self) -> np.ndarray:
        """Positions of the images with a class that is likelier than their own, shape (n_candidates,)."""
        positions: np.ndarray = np.flatnonzero(self.rank > 1)
        return positions

    @property
    def n_candidates(self) -> int:
        """Number of images with a class that is likelier than their own."""
        return len(self.candidates)

    def __repr__(self) -> str:
        """Count candidates and images."""
        return f"LabelCandidates({self.n_candidates} candidates of {len(self)} labeled images)"

    def _repr_html_(self) -> str:
        """Show the least likely labels, for notebooks."""
        n = min(len(self), _SHOWN)
        rows = [
            [
                self.images[i], self.given[i], f"{self.likelihood[i]:.3f}", self.rank[i],
                f"{self.margin[i]:+.3f}", self.predicted[i],
            ]
            for i in range(n)
        ]  # fmt: skip
        head = ["image", "class", "likelihood", "rank", "margin", "likeliest class"]
        caption = f"the first {n}; {self.n_candidates} candidates of {len(self)} labeled images"
        return html_table(head, rows, caption=caption)

    def to_arrow(self) -> "pa.Table":
        """Return an Arrow table with one row per image.

        Returns
        -------
        pyarrow.Table
            Columns `image`, `row`, `class`, `likelihood`, `rank`, `margin` and `predicted`.
        """
        import pyarrow as pa

        return pa.table(
            {
                "image": pa.array(self.images, pa.string()), "row": self.rows,
                "class": pa.array(self.given, pa.string()), "likelihood": self.likelihood, "rank": self.rank,
                "margin": self.margin, "predicted": pa.array(self.predicted, pa.string()),
            }
        )  # fmt: skip

    def to_pandas(self) -> "pd.DataFrame":
        """Return the table of `to_arrow` as a data frame.

        Returns
        -------
        pandas.DataFrame

        Raises
        ------
        MissingDependencyError
            pandas is not installed.
        """
        return to_frame(self.to_arrow())


@takes(Classification)
def label_candidates(result: Classification) -> LabelCandidates:
    """Rank the labeled images of a classification by the likelihood of their own class.

    Images of classes that the memory does not have, images that are alone in their class, and images without
    any vote are left out: nothing could speak for their label.

    Parameters
    ----------
    result : Classification
        Usually of `KernelDensityClassifier.leave_one_out`.

    Returns
    -------
    LabelCandidates

    See Also
    --------
    hueprobe.trust.audit : The same for a memory, with duplicates.

    Examples
    --------
    >>> hp.trust.label_candidates(result)
    LabelCandidates(8 candidates of 12 labeled images)
    """
    ids = {name: number for number, name in enumerate(result.classes)}
    judged = np.array([i for i in result.judged if result.predicted[i] >= 0], np.int64)
    names = [result.true_class[i] or "" for i in judged]
    own_class = np.array([ids[name] for name in names], np.int64)
    likelihood = result.likelihood[judged]
    at = np.arange(len(judged)), own_class
    own, others = likelihood[at], likelihood.copy()
    others[at] = -np.inf
    margin = own - (others.max(axis=1) if len(result.classes) > 1 else 0.0)
    rank = 1 + (others > own[:, None]).sum(axis=1)
    order = np.lexsort((judged, margin, own))
    predicted = result.predicted_class
    return LabelCandidates(
        images=tuple(result.images[i] for i in judged[order]), rows=result.rows[judged[order]],
        given=tuple(names[i] for i in order), predicted=tuple(predicted[i] or "" for i in judged[order]),
        likelihood=own[order], rank=rank[order], margin=margin[order],
    )  # fmt: skip
