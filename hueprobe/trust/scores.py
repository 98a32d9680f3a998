"""Scores of how unlike the memory an image is."""

from dataclasses import dataclass

import numpy as np

from hueprobe.arguments import takes
from hueprobe.classification import Classification
from hueprobe.errors import ShapeError
from hueprobe.trust.distances import NearestPatches, nearest_patches
from hueprobe.trust.groups import groups_of
from hueprobe.trust.prediction_sets import ConformalPredictions

QUANTILE = 0.9


@dataclass(frozen=True, repr=False)
class ImageScores:
    """Scores of n images, all larger where an image is less like the memory.

    Attributes
    ----------
    images : tuple of str
        Path or name of each image.
    groups : tuple of (str or None)
        Group of each.
    scores : dict of str to ndarray of float64, shape (n,)
        By name: `mean distance`, `maximum distance` and `90 % quantile of distance` of the cells to their
        nearest memory vectors; `1 - likelihood margin`, where the margin is the largest normalized likelihood
        less the second; and `1 - credibility`, if there was a calibration.

    See Also
    --------
    hueprobe.trust.image_scores : Computes them.
    hueprobe.trust.detect_outside : Compares two sets of images.

    Examples
    --------
    >>> scores = hp.trust.image_scores(result)
    >>> sorted(scores.scores)
    ['1 - likelihood margin', '90 % quantile of distance', 'maximum distance', 'mean distance']
    """

    images: tuple[str, ...]
    groups: tuple[str | None, ...]
    scores: dict[str, np.ndarray]

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self.images)

    def __repr__(self) -> str:
        """Count images and name the scores."""
        return f"ImageScores({len(self)} images; {', '.join(self.scores)})"


@takes(Classification)
def image_scores(
    result: Classification,
    *,
    patches: NearestPatches | None = None,
    conformal: ConformalPredictions | None = None,
) -> ImageScores:
    """Return scores of how unlike the memory each image is.

    Parameters
    ----------
    result : Classification
        A classification of the images, which need no classes.
    patches : NearestPatches, optional
        Nearest patches of the same images; by default they are taken from the match table.
    conformal : ConformalPredictions, optional
        Conformal predictions of the same images, for their credibility.

    Returns
    -------
    ImageScores

    Raises
    ------
    InputError
        There are neither patches nor a match table.
    ShapeError
        The parts hold different images.

    See Also
    --------
    hueprobe.trust.detect_outside : How well the scores tell two sets apart.

    Examples
    --------
    >>> classifier = hp.KernelDensityClassifier(memory, k=5, backbone=network, transform=transform)
    >>> hp.trust.image_scores(classifier.classify("others")).scores["mean distance"].shape
    (6,)
    """
    found = nearest_patches(result) if patches is None else patches
    for name, images in (
        ("patches", found.images),
        ("conformal predictions", result.images if conformal is None else conformal.images),
    ):
        if images != result.images:
            raise ShapeError(
                f"the {name} are of other images than the classification; give those of the same"
            )
    cells = np.where(np.isnan(found.distance), -np.inf, found.distance).reshape(len(result), -1)
    scores = {
        "mean distance": _mean(cells),
        "maximum distance": _lone(cells.max(axis=1)),
        f"{QUANTILE:.0%} quantile of distance".replace("%", " %"): np.array(
            [_quantile(row) for row in cells]
        ),
        "1 - likelihood margin": 1 - margin(result.likelihood),
    }
    if conformal is not None:
        scores["1 - credibility"] = 1 - conformal.credibility
    return ImageScores(result.images, groups_of(result), scores)


def margin(likelihood: np.ndarray) -> np.ndarray:
    """Return the largest likelihood less the second largest, shape (n,); the largest of a single class.

    Parameters
    ----------
    likelihood : ndarray of shape (n, n_classes)
        Normalized likelihoods.

    Examples
    --------
    >>> margin(np.array([[0.5, 0.25, 0.25], [0.0, 0.0, 0.0]]))
    array([0.25, 0.  ])
    """
    padded = np.pad(likelihood, ((0, 0), (2, 0)))  # two classes of likelihood 0
    ordered = np.sort(padded, axis=1)
    difference: np.ndarray = ordered[:, -1] - ordered[:, -2]
    return difference


def _mean(cells: np.ndarray) -> np.ndarray:
    """Return the mean over cells that have a match; inf for an image without any."""
    there = np.isfinite(cells)
    sums, counts = np.where(there, cells, 0.0).sum(axis=1), there.sum(axis=1)
    means: np.ndarray = np.divide(sums, counts, out=np.full(len(cells), np.inf), where=counts > 0)
    return means


def _lone(largest: np.ndarray) -> np.ndarray:
    """Return inf, the strangest score, for an image without any match."""
    return np.where(np.isfinite(largest), largest, np.inf)


def _quantile(row: np.ndarray) -> float:
    there = row[np.isfinite(row)]
    return float(np.quantile(there, QUANTILE)) if len(there) else np.inf
