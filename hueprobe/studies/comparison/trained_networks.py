"""Observations 3 to 5 with trained networks: each one's numbers, and losses compared by them."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import msgspec
import numpy as np

from hueprobe.stats.intervals import Interval
from hueprobe.stats.over_seeds import DIFFERENCES, SHARES, mean_over_seeds, paired_p

# Name and unit of each number that a trained network is observed by.
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
# What a number can be, where that has limits.
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
        With its 95 % interval over images; NaN where there is none.
    p : float
        Of the network's own test, where the number has one: permuted labels for positions, random planes for
        angles; NaN else.
    """

    estimate: float
    low: float
    high: float
    p: float = float("nan")

    @classmethod
    def of(cls, interval: Interval) -> "Measured":
        """Take an interval, with the p-value of its own test."""
        own = math.nan if interval.p_value is None else interval.p_value
        return cls(estimate=interval.estimate, low=interval.low, high=interval.high, p=own)


@dataclass(frozen=True, kw_only=True)
class TrainedObservation:
    """Observations 3 to 5 with one trained network.

    Attributes
    ----------
    part : str
        Which images: `test` or `train`.
    n_images : int
        Images observed.
    grid : (int, int)
        H and W of the bottleneck.
    numbers : dict of str to Measured
        By the names of `MEASURES`, those that could be measured.
    notes : tuple of str
        Why others could not.
    """

    part: str
    n_images: int
    grid: tuple[int, int]
    numbers: Mapping[str, Measured] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return what a study's file holds: `part` is called "pictures" there, and NaN is null."""
        values = asdict(self)
        values["pictures"] = values.pop("part")
        for number in values["numbers"].values():
            number |= {name: None for name, value in number.items() if math.isnan(value)}
        return values

    @classmethod
    def from_json(cls, document: Any) -> "TrainedObservation":
        """Return the observation that `to_json` gave."""
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
    learning_rate : float
    n_seeds : int
        Those where it could be measured, in all folds.
    mean : Interval
        Over these seeds, as `mean_over_seeds` gives it: within what the number can be; NaN bounds for one
        seed and for equal seeds, NaN altogether for none.
    difference : Interval or None
        Less that of one-hot with the same seeds; None for one-hot itself, or where it has no such number.
    p : float
        Two-sided exact sign-flip test of that difference, not corrected for the number of measures; NaN for
        one seed, and where no seed differs.
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
    """Summarize what networks were observed to have, by learning rate, measure and loss.

    Parameters
    ----------
    found : mapping of (loss, learning rate, seed) to observations
        One for each fold, whose mean counts once: folds are not replicates.
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
    """Say whether a number tells anything: no contrast is exactly 0 without any spread between images.

    Parameters
    ----------
    measure : str
        A name of `MEASURES`.
    found : Measured
    """
    nothing = found.estimate == found.low == found.high == 0 and _LIMITS.get(measure) == DIFFERENCES
    return math.isfinite(found.estimate) and not nothing
