"""Does a test keep its level on *these* matches: the pseudo-class null.

Classes are dealt to the images at random, so that nothing about a class is true any more, while everything
about images, pairs of images and the network stays. A test that then rejects more often than its level is
not to be believed on such data. Pseudo-classes have the real classes' sizes, within strata where they are
given (the blocks of the blocked replicate test), and groups stay whole.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from hueprobe.arguments import as_array, as_count
from hueprobe.errors import InputError, ShapeError
from hueprobe.matches import Matches
from hueprobe.observations.conditional.conditional import measure as measure_conditional
from hueprobe.observations.locations.maps import measure as measure_locations
from hueprobe.observations.locations.replicate_test import blocked_replicate_test
from hueprobe.progress import progress_bar
from hueprobe.stats.intervals import proportion_interval, unit_codes

NOMINAL = 0.05
Test = Callable[[np.ndarray, int], Mapping[str, float]]


@dataclass(frozen=True)
class RejectionRate:
    """How often a test rejected.

    Attributes
    ----------
    test : str
        Its name.
    rejections, n : int
        Of n draws in which the test gave a p-value.
    n_undecided : int
        Draws in which it gave none.
    ci95 : (float, float)
        Exact (Clopper-Pearson) binomial interval of the rate.
    """

    test: str
    rejections: int
    n: int
    n_undecided: int
    ci95: tuple[float, float]

    @property
    def rate(self) -> float:
        """Share of draws that rejected; NaN without any."""
        return self.rejections / self.n if self.n else float("nan")


def rejection_rate(test: str, p_values: Sequence[float], *, level: float = NOMINAL) -> RejectionRate:
    """Return how often p-values are at most `level`; NaN counts as undecided.

    Examples
    --------
    >>> found = rejection_rate("coin", [0.01, 0.6, float("nan"), 0.3])
    >>> found.rejections, found.n, found.n_undecided
    (1, 3, 1)
    """
    values = np.asarray(p_values, float)
    known = values[~np.isnan(values)]
    rejections, n = int((known <= level).sum()), len(known)
    interval = proportion_interval(rejections, n, method="exact")
    return RejectionRate(test, rejections, n, len(values) - n, interval)


def pseudo_classes(
    image_class: np.ndarray,
    *,
    seed: int,
    strata: np.ndarray | None = None,
    groups: Sequence[str | None] | None = None,
) -> np.ndarray:
    """Deal the classes to the images at random.

    Parameters
    ----------
    image_class : ndarray of int64, shape (n_images,)
        Real class ids; images with -1 keep it.
    seed : int
        Of the deal.
    strata : ndarray of int64, shape (n_images,), optional
        Classes are dealt within each (blocks); a group lies in one.
    groups : sequence of (str or None), length n_images, optional
        Images of one group and class change class together, so classes of unequal groups change size.

    Returns
    -------
    ndarray of int64, shape (n_images,)
        Pseudo-class ids.
    """
    labels = np.asarray(image_class, np.int64)
    strata = np.zeros(len(labels), np.int64) if strata is None else np.asarray(strata)
    if len(strata) != len(labels):
        raise ShapeError(f"{len(strata)} strata for {len(labels)} images; give one for each")
    units = unit_codes(groups, len(labels)) * (int(labels.max(initial=0)) + 2) + labels + 1
    generator = np.random.default_rng(seed)
    dealt = labels.copy()
    for stratum in np.unique(strata):
        images = np.flatnonzero((strata == stratum) & (labels >= 0))
        _, first, unit = np.unique(units[images], return_index=True, return_inverse=True)
        dealt[images] = generator.permutation(labels[images][first])[unit]
    return dealt


def relabeled(matches: Matches, image_class: np.ndarray) -> Matches:
    """Return leave-one-out matches under other classes of the memory's images, shape (n_images,)."""
    if matches.query_paths != matches.image_paths:
        raise InputError(
            "the pseudo-class null needs matches of the memory's own images; classify leave-one-out"
        )
    if len(image_class) != len(matches.image_class):
        raise ShapeError(f"{len(image_class)} classes for {len(matches.image_class)} images; one for each")
    return replace(matches, image_class=image_class, query_image_class=image_class)


def match_tests(matches: Matches, *, weighting: str = "count") -> Test:
    """Return the tests of same class against other class on leave-one-out matches, observations 3 and 4."""

    def run(image_class: np.ndarray, seed: int) -> dict[str, float]:
        dealt = relabeled(matches, image_class)
        return contrast_p_values(dealt, seed=seed, weighting=weighting)

    return run


def contrast_p_values(matches: Matches, *, seed: int, weighting: str = "count") -> dict[str, float]:
    """Return the two-sided p-value of each difference between same-class and other-class matches."""
    where = measure_locations(matches, weighting=weighting)
    given = measure_conditional(matches, seed=seed, weighting=weighting, n_permutations=10)
    return {
        "3 rho, same less other": where.rho_difference.p(),
        "4 stay-put share, same less other": given.stay.raw.p(),
        "4 stay-put share, adjusted": given.stay.adjusted.p(),
        "4b spread, same less other": given.spread.raw.p(),
        "4b spread, adjusted": given.spread.adjusted.p(),
        "4 information, same less other": given.information.p(),
        "4c tangential excess, same less other": given.tangential[0].difference.p(),
    }


def blocked_tests(
    matches_of_blocks: Sequence[Matches], *, weighting: str = "count", n_permutations: int = 499
) -> Test:
    """Return the blocked replicate test of observation 3 on matches of blocks; deal classes within blocks."""

    def run(image_class: np.ndarray, seed: int) -> dict[str, float]:
        dealt = [relabeled(matches, image_class) for matches in matches_of_blocks]
        return blocked_p_values(dealt, seed=seed, weighting=weighting, n_permutations=n_permutations)

    return run


def blocked_p_values(
    matches_of_blocks: Sequence[Matches], *, seed: int, weighting: str = "count", n_permutations: int = 499
) -> dict[str, float]:
    """Return the p-values of the blocked replicate test: both components, each, and the smallest class's."""
    found = blocked_replicate_test(
        matches_of_blocks, seed=seed, weighting=weighting, n_permutations=n_permutations
    )
    return {
        "3b angle, both components": found.both.p,
        "3b angle, u": found.u.p,
        "3b angle, v": found.v.p,
        "3b any class, minP": float(np.min(found.class_p_adjusted, initial=1.0)),
    }


def self_test(
    image_class: np.ndarray,
    test: Test,
    *,
    n_draws: int,
    seed: int,
    strata: np.ndarray | None = None,
    groups: Sequence[str | None] | None = None,
    level: float = NOMINAL,
    progress: bool = False,
) -> tuple[RejectionRate, ...]:
    """Run tests on pseudo-classes and count how often each rejects.

    Parameters
    ----------
    image_class : ndarray of int64, shape (n_images,)
        Real class ids, -1 for none.
    test : callable
        Takes pseudo-class ids of the images, ndarray of int64 (n_images,), and a seed; returns p-values by
        name (`match_tests`, `blocked_tests`).
    n_draws : int
        Deals of pseudo-classes.
    seed : int
        Of the deals and of the tests.
    strata, groups
        As for `pseudo_classes`.
    level : float
        Nominal level.
    progress : bool
        Show a progress bar.

    Returns
    -------
    tuple of RejectionRate
        One a p-value, in the order of the test.
    """
    image_class, n_draws = as_array("image_class", image_class), as_count("n_draws", n_draws)
    p_values: dict[str, list[float]] = {}
    with progress_bar(n_draws, label="self-test", unit="draws", enabled=progress) as advance:
        for draw in range(n_draws):
            dealt = pseudo_classes(image_class, seed=seed + draw, strata=strata, groups=groups)
            for name, p in test(dealt, seed + draw).items():
                p_values.setdefault(name, []).append(p)
            advance(1)
    return tuple(rejection_rate(name, values, level=level) for name, values in p_values.items())
