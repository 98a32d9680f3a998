"""Observations 3 to 5 of trained networks: numbers of each network, compared between losses."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import msgspec
import numpy as np

from hueprobe.stats.intervals import Interval
from hueprobe.stats.over_seeds import DIFFERENCES, SHARES, mean_over_seeds, paired_p

# Name and unit of each number observed of a trained network.
MEASURES = {
    "class positions": "cells; distance of classes from one another, blocked replicate test",
    "class positions, u": "cells; the same, left to right alone",
    "class positions, v": "cells; the same, up and down alone",
    "stay-put, same less other": "share, at equal match quality",
    "information, same less other": "bits; of match cell about query cell",
    "angle, pca plane": "accuracy from the angle alone, out of sample",
    "angle, pca plane above random": "accuracy above the mean of random planes",
    "angle, head's plane": "accuracy from the angle alone, in the plane that the hue head reads",
    "angle, head's plane above random": "accuracy above the mean of random planes",
    "full direction": "accuracy; from the whole direction across the axis: the ceiling",
    "far less near the axis": "share of same-class matches, farthest decile less nearest",
}
# Limits of numbers that are bounded.
_LIMITS = {
    "stay-put, same less other": DIFFERENCES,
    "angle, pca plane": SHARES,
    "angle, pca plane above random": DIFFERENCES,
    "angle, head's plane": SHARES,
    "angle, head's plane above random": DIFFERENCES,
    "full direction": SHARES,
    "far less near the axis": DIFFERENCES,
}


@dataclass(frozen=True, kw_only=True)
class Measured:
    """One number of one network.

    Attributes
    ----------
    estimate, low, high : float
        Estimate with its 95 % interval over images; NaN where there is none.
    p : float, default=nan
        p-value of the network's own test, if there is one: permuted labels for positions, random planes for
        angles. Otherwise NaN.
    """

    estimate: float
    low: float
    high: float
    p: float = float("nan")

    @classmethod
    def of(cls, interval: Interval) -> "Measured":
        """Return the numbers of an interval, with the p-value of its own test."""
        own = math.nan if interval.p_value is None else interval.p_value
        return cls(estimate=interval.estimate, low=interval.low, high=interval.high, p=own)


@dataclass(frozen=True, kw_only=True)
class TrainedObservation:
    """Observations 3 to 5 of one trained network.

    Attributes
    ----------
    part : str
        Which images were observed: `test` or `train`.
    n_images : int
        Number of images observed.
    grid : (int, int)
        H and W of the bottleneck.
    numbers : dict of str to Measured, default={}
        The numbers that could be measured, by the names of `MEASURES`.
    notes : tuple of str, default=()
        Reasons why others could not be measured.

    See Also
    --------
    hueprobe.studies.compare_observed : Summarize the observations over seeds.

    Examples
    --------
    >>> seen = hp.studies.TrainedObservation(part="test", n_images=40, grid=(7, 7))
    >>> seen.to_json()["grid"]
    (7, 7)
    """

    part: str
    n_images: int
    grid: tuple[int, int]
    numbers: Mapping[str, Measured] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return the content of a study's file: `part` is named "pictures" there, and NaN is null.

        Returns
        -------
        dict
            JSON values.

        Examples
        --------
        >>> hp.studies.TrainedObservation(part="test", n_images=40, grid=(7, 7)).to_json()["pictures"]
        'test'
        """
        values = asdict(self)
        values["pictures"] = values.pop("part")
        for number in values["numbers"].values():
            number |= {name: None for name, value in number.items() if math.isnan(value)}
        return values

    @classmethod
    def from_json(cls, document: Any) -> "TrainedObservation":
        """Return the observation recorded by `to_json`.

        Parameters
        ----------
        document : dict
            Document from `to_json`.

        Returns
        -------
        TrainedObservation
            The observation.

        Examples
        --------
        >>> seen = hp.studies.TrainedObservation(part="test", n_images=40, grid=(7, 7))
        >>> hp.studies.TrainedObservation.from_json(seen.to_json()) == seen
        True
        """
        values = dict(document)
        values["part"] = values.pop("pictures")
        values["numbers"] = {
            measure: {name: math.nan if value is None else value for name, value in number.items()}
            for measure, number in values["numbers"].items()
        }
        return msgspec.convert(values, cls)


@dataclass(frozen=True, kw_only=True)
class MeasureSummary:
    """One number of the networks of one loss, over seeds.

    Attributes
    ----------
    measure, loss : str
        Names of the number and of the loss.
    learning_rate : float
        Learning rate.
    n_seeds : int
        Number of seeds for which it could be measured, in all folds.
    mean : Interval
        Mean over these seeds; its interval stays within the limits of the number. Bounds are NaN for one seed
        and for equal seeds; everything is NaN if there are none.
    difference : Interval or None
        Mean minus that of one-hot with the same seeds; None for one-hot itself, or if one-hot has no such
        number.
    p : float
        Two-sided exact sign-flip test of that difference, not corrected for the number of measures. NaN for
        one seed, and if no seed differs.

    See Also
    --------
    hueprobe.studies.compare_observed : Make these summaries.
    """

    measure: str
    loss: str
    learning_rate: float
    n_seeds: int
    mean: Interval
    difference: Interval | None
    p: float


def summarize_measures(
    found: Mapping[tuple[str, float, int], Sequence[TrainedObservation]], *, baseline: str
) -> list[MeasureSummary]:
    """Summarize the observations of networks by learning rate, measure and loss.

    Parameters
    ----------
    found : mapping of (loss, learning rate, seed) to observations
        One observation per fold. Their mean counts once: folds are not replicates.
    baseline : str
        The loss that the others are paired with.
    """
    values: dict[tuple[float, str, str], dict[int, float]] = {}
    for (loss, rate, seed), observed in found.items():
        for measure in MEASURES:
            numbers = [one.numbers[measure] for one in observed if measure in one.numbers]
            if numbers:
                of_seeds = values.setdefault((rate, measure, loss), {})
                if len(numbers) == len(observed) and all(measurable(measure, one) for one in numbers):
                    of_seeds[seed] = float(np.mean([one.estimate for one in numbers]))
    summaries = []
    for rate in dict.fromkeys(key[1] for key in found):
        for measure in MEASURES:
            least, most = _LIMITS.get(measure, (-math.inf, math.inf))
            for loss in dict.fromkeys(key[0] for key in found):
                if (own := values.get((rate, measure, loss))) is None:
                    continue
                other = values.get((rate, measure, baseline), {}) if loss != baseline else {}
                gains = [own[seed] - other[seed] for seed in own if seed in other]
                apart = (least - most, most - least)
                summaries.append(
                    MeasureSummary(
                        measure=measure, loss=loss, learning_rate=rate, n_seeds=len(own),
                        mean=mean_over_seeds(list(own.values()), within=(least, most)),
                        difference=mean_over_seeds(gains, within=apart) if gains else None,
                        p=paired_p(gains),
                    )
                )  # fmt: skip
    return summaries


def measurable(measure: str, found: Measured) -> bool:
    """Return whether a number is informative: no contrast is exactly 0 without any spread between images.

    Parameters
    ----------
    measure : str
        A name of `MEASURES`.
    found : Measured
        The number.
    """
    nothing = found.estimate == found.low == found.high == 0 and _LIMITS.get(measure) == DIFFERENCES
    return math.isfinite(found.estimate) and not nothing
