"""The blocked replicate test of `hueprobe.observations.locations`, averaged over many deals of blocks.

A deal splits each class into B blocks that share no image, and T is the sum over pairs of blocks of
<z_cb, z_cb'>. Where effects are small, one deal is a lottery. T averaged over D deals has the same mean and
less noise: another deal of the same images repeats only a share rho of the first one's, so that

    Var(mean of T) / Var(T)  =  rho + (1 - rho) / D.

For effects of images that add up, n of them in a class, rho is (B - 1) / B * n / (n - 1). Of real images it
is far less, since an image's position also depends on which images it is dealt to match. So rho is estimated:
1 - rho is the variance over deals of each class's share of T, divided by the variance that the spread between
blocks predicts without class effects, both averaged over classes, less one standard error of that. Class
labels are permuted within the blocks of each deal, the permuted T of all deals are pooled, and the factor
narrows them. Intervals use the same factor. `benchmarks/interventions.py` measures the level.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy import stats

from hueprobe.observations.locations.blocks import MIN_ARRANGEMENTS, BlockPositions, arrangements
from hueprobe.observations.locations.replicate_test import class_precision, permuted_shares
from hueprobe.stats.intervals import Interval, normal_interval
from hueprobe.stats.permutation import permutation_p

UNKNOWN = Interval(np.nan, np.nan, np.nan, np.nan, 0)  # of what cannot be measured


@dataclass(frozen=True)
class Deals:
    """Class means in the blocks of every deal, of the classes with a mean in every block.

    Attributes
    ----------
    kept : ndarray of int64, shape (M,)
        Ids of these classes.
    mean : ndarray of shape (n_deals, n_blocks, M, d)
        Mean over the images of a class and block of d coordinates, in cells.
    n_images : ndarray of int64, shape (n_deals, n_blocks, M)
        Number of images of each mean.
    variance : ndarray of shape (n_deals, M, d)
        Variance of an image's coordinates within class and block.
    degrees : ndarray of int64, shape (n_deals, M)
        Degrees of freedom of these variances.
    n_units : ndarray of int64, shape (M,)
        Independent units (groups, otherwise images) of each class.
    """

    kept: np.ndarray
    mean: np.ndarray
    n_images: np.ndarray
    variance: np.ndarray
    degrees: np.ndarray
    n_units: np.ndarray

    @property
    def centered(self) -> np.ndarray:
        """Means less the mean over classes of their block, shape of `mean`."""
        centered: np.ndarray = self.mean - self.mean.sum(2, keepdims=True) / max(self.mean.shape[2], 1)
        return centered

    @property
    def typical_n(self) -> float:
        """Harmonic mean over classes of the number of units."""
        return float(1 / np.mean(1 / self.n_units)) if len(self.n_units) else float("nan")

    @property
    def most_repeated(self) -> float:
        """Share of a deal's noise that another one repeats, if all noise is the images' own."""
        n_blocks, n = self.mean.shape[1], self.typical_n
        return min((n_blocks - 1) / n_blocks * n / (n - 1), 1.0) if n > 1 else 1.0

    def narrowing(self, form: np.ndarray) -> float:
        """Return the variance of T averaged over the deals, divided by that of one deal.

        Parameters
        ----------
        form : ndarray of shape (d, d), symmetric
            See `squared_effects`.
        """
        n_deals = len(self.mean)
        if n_deals == 1 or self.mean.shape[2] < 2:
            return 1.0
        z = self.centered
        whole = z.sum(1)
        own = np.einsum("kmi,ij,kmj->km", whole, form, whole) - np.einsum("kbmi,ij,kbmj->km", z, form, z)
        n_blocks, n_classes = self.mean.shape[1:3]
        predicted = n_blocks * (n_blocks - 1) / 2 * _noise(self, form[None])[0][0, 0] / n_classes
        between = (own / 2).var(0, ddof=1).mean()
        changed = between / predicted if predicted > 0 else 0.0
        changed *= 1 - np.sqrt(2 / ((n_deals - 1) * max(n_classes - 1, 1)))
        rho = float(np.clip(1 - changed, 0.0, self.most_repeated))
        return rho + (1 - rho) / n_deals

    def mean_narrowing(self, form: np.ndarray) -> float:
        """Return the variance of a class's mean over all deals, divided by that of its mean in one deal.

        It is 1 if every deal has the same means, since then all noise is the images' own.

        Parameters
        ----------
        form : ndarray of shape (d, d), symmetric
            Which coordinates to average over; see `squared_effects`.
        """
        n_deals, n_blocks, n_classes = self.mean.shape[:3]
        if n_deals == 1 or n_classes < 2:
            return 1.0
        z, weight = self.centered, np.abs(np.diag(form))
        one = float((z.var(1, ddof=1).mean((0, 1)) / n_blocks) @ weight)
        between = float(z.mean(1).var(0, ddof=1).mean(0) @ weight)
        changed = between / one if one > 0 else 0.0
        changed *= 1 - np.sqrt(2 / ((n_deals - 1) * max(n_classes - 1, 1)))
        return float(1 - (1 - 1 / n_deals) * np.clip(changed, 0.0, 1.0))

    @property
    def class_degrees(self) -> float:
        """Degrees of freedom of the variance of a class mean, estimated between blocks in all deals."""
        n_deals, n_blocks = self.mean.shape[:2]
        one, all_images = 1 / (n_blocks - 1), 1 / max(self.typical_n - 1, 1)
        return float(1 / (all_images + max(one - all_images, 0.0) / n_deals))

    def undecided(self, n_classes: int) -> str | None:
        """Return the reason why these deals cannot be tested, if there is one.

        Parameters
        ----------
        n_classes : int
            Number of all classes.
        """
        n_blocks, n_kept = self.mean.shape[1:3]
        if n_kept < 2:
            return (
                f"{n_kept} of {n_classes} classes have same-class matches in all {n_blocks} blocks of each "
                f"deal, and at least 2 are needed; a class needs two images (groups) a block, {2 * n_blocks} "
                "in all"
            )
        possible = arrangements(n_kept, n_blocks)
        if possible < MIN_ARRANGEMENTS:
            return (
                f"{n_kept} classes in {n_blocks} blocks have {possible:.0f} arrangements of labels, and at "
                f"least {MIN_ARRANGEMENTS} are needed; make more blocks"
            )
        return None


def deals_of(
    positions: np.ndarray, block: np.ndarray, image_class: np.ndarray, unit: np.ndarray, n_classes: int
) -> Deals:
    """Average images within class and block.

    Parameters
    ----------
    positions : ndarray of shape (n_deals, n, d)
        d coordinates of each image in each deal, in cells; an image with a NaN is left out of that deal.
    block : ndarray of int64, shape (n_deals, n)
        Block of each image in each deal, -1 for none.
    image_class, unit : ndarray of int64, shape (n,)
        Class of each image, -1 for none, and its independent unit.
    n_classes : int
        Number of classes.
    """
    n_deals, _, d = positions.shape
    n_blocks = int(block.max(initial=-1)) + 1
    shape = (n_deals, n_blocks, n_classes)
    count, mean = np.zeros(shape, np.int64), np.full((*shape, d), np.nan)
    squares, degrees = np.zeros((n_deals, n_classes, d)), np.zeros((n_deals, n_classes), np.int64)
    for deal in range(n_deals):
        there = (block[deal] >= 0) & (image_class >= 0) & ~np.isnan(positions[deal]).any(1)
        own, label = positions[deal, there], image_class[there]
        cell = block[deal, there] * n_classes + label
        count[deal] = np.bincount(cell, minlength=n_blocks * n_classes).reshape(n_blocks, n_classes)
        for axis in range(d):
            total = np.bincount(cell, own[:, axis], n_blocks * n_classes)
            with np.errstate(invalid="ignore"):
                means = total / count[deal].ravel()
            mean[deal, :, :, axis] = means.reshape(n_blocks, n_classes)
            squares[deal, :, axis] = np.bincount(label, (own[:, axis] - means[cell]) ** 2, n_classes)
        degrees[deal] = np.maximum(count[deal] - 1, 0).sum(0)
    kept = np.flatnonzero((count > 0).all((0, 1)))
    n_units = np.array([len(np.unique(unit[image_class == c])) for c in kept], np.int64)
    with np.errstate(invalid="ignore"):
        variance = squares / degrees[..., None]
    return Deals(kept, mean[:, :, kept], count[:, :, kept], variance[:, kept], degrees[:, kept], n_units)


def squared_effects(deals: Deals, forms: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Return the squared effects z' A z of symmetric forms A, averaged over deals, and their covariance.

    An effect^2 is T / (B (B - 1) / 2) / (M - 1). Its covariance with another, over classes with covariance S
    of the block means, is estimated by unbiased moments of

        (m 4 / B mu' A S A' mu + n 2 / (B (B - 1)) tr(A S A' S)) / (M - 1)^2

    with m and n the `mean_narrowing` and `narrowing` of A; between two forms, the root of the product of
    theirs.

    Parameters
    ----------
    deals : Deals
        Class means.
    forms : sequence of ndarray of shape (d, d), symmetric
        For instance diag(1, 1, 0, ...), the square of the first two coordinates.

    Returns
    -------
    squares : ndarray of shape (n_forms,)
    covariance : ndarray of shape (n_forms, n_forms)
    """
    z = deals.centered
    _, n_blocks, n_classes, d = z.shape
    stacked = np.reshape(forms, (-1, d, d))
    whole = z.sum(1)
    products = np.einsum("kmi,kmj->ij", whole, whole) - np.einsum("kbmi,kbmj->ij", z, z)
    squares = np.einsum("aij,ij->a", stacked, products) / (
        len(z) * n_blocks * (n_blocks - 1) * (n_classes - 1)
    )
    noise, spread = _noise(deals, stacked)
    along = np.einsum("aij,kmj->akmi", stacked, z.mean(1))  # A mu
    drift = np.einsum("akmi,kmij,bkmj->abk", along, spread, along).mean(2)
    drift = 4 / n_blocks * drift - 4 / n_blocks**2 * noise
    own = np.arange(len(stacked))
    drift[own, own] = np.maximum(drift[own, own], 0)
    root = np.sqrt([deals.mean_narrowing(form) for form in stacked])
    drift *= np.outer(root, root)
    root = np.sqrt([deals.narrowing(form) for form in stacked])
    covariance = drift + np.outer(root, root) * 2 / (n_blocks * (n_blocks - 1)) * noise
    return squares, covariance / (n_classes - 1) ** 2


def _noise(deals: Deals, stacked: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the sum over classes of tr(A S B S) for each pair of forms, and S (n_deals, M, d, d)."""
    z = deals.centered
    f, kept = z.shape[1] - 1, (z.shape[2] - 1) / z.shape[2]
    deviation = z - z.mean(1, keepdims=True)
    spread = np.einsum("kbmi,kbmj->kmij", deviation, deviation) / f / kept
    times = np.einsum("aij,kmjl->akmil", stacked, spread)  # A S
    x = np.einsum("akmil,bkmli->abkm", times, times)  # tr(A S B S)
    trace = np.einsum("akmii->akm", times)
    y = trace[:, None] * trace[None]
    # E x = a (1 + 1/f) + b/f and E y = b + 2a/f, with a = tr(A Sigma B Sigma), b = tr(A Sigma) tr(B Sigma)
    noise = (x - y / f) / (1 + 1 / f - 2 / f**2) if f > 1 else y
    noise = kept * noise.mean(2).sum(2)
    own = np.arange(len(stacked))
    noise[own, own] = np.maximum(noise[own, own], 0)
    return noise, spread


def detectable_effect(deals: Deals, form: np.ndarray, *, level: float = 0.05, power: float = 0.8) -> float:
    """Return the effect that is found in a share `power` of cases, in cells, by the normal approximation.

    With s^2 the variance of effect^2 without classes, it solves

        e^2 - z(level) s  =  z(power) sqrt(s^2 + 4 e^2 tr(A S) / (B (M - 1) tr(A)))

    It falls with the square root of the images per class. The approximation is somewhat too hopeful: with 8
    classes of 20 simulated images, the effect for a power of 0.8 was found in about 0.7 of cases.

    Parameters
    ----------
    deals : Deals
        Class means.
    form : ndarray of shape (d, d), symmetric
        The effect; see `squared_effects`.
    level : float, default=0.05
        Level of the one-sided test.
    power : float, default=0.8
        Share of cases.
    """
    n_blocks, n_classes = deals.mean.shape[1:3]
    if n_classes < 2:
        return float("nan")
    noise, spread = _noise(deals, form[None])
    null = np.sqrt(deals.narrowing(form) * 2 / (n_blocks * (n_blocks - 1)) * noise[0, 0]) / (n_classes - 1)
    along = np.einsum("ij,kmji->km", form, spread).mean() / np.trace(form)
    by_effect = 4 * along / (n_blocks * (n_classes - 1))
    enough, more = stats.norm.ppf([1 - level, power])
    half = enough * null + more**2 * by_effect / 2
    return float(np.sqrt(half + np.sqrt(max(half**2 - (enough**2 - more**2) * null**2, 0))))


def image_spread(deals: Deals, form: np.ndarray) -> float:
    """Return the standard deviation of one image's coordinate, with the noise of what it matches, in cells.

    It is that of class means between blocks, times the square root of the images in a block.

    Parameters
    ----------
    deals : Deals
        Class means.
    form : ndarray of shape (d, d), symmetric
        Which coordinates to average over; see `squared_effects`.
    """
    if deals.mean.shape[2] < 2:
        return float("nan")
    _, spread = _noise(deals, form[None])
    variance = np.einsum("ij,kmji->km", form, spread).mean() / np.trace(form)
    return float(np.sqrt(variance * deals.typical_n / deals.mean.shape[1]))


def signed_root(value: float) -> float:
    """Return the square root with the sign of the value.

    >>> signed_root(-4.0)
    -2.0
    """
    return float(np.sign(value) * np.sqrt(abs(value)))


def effect_interval(deals: Deals, form: np.ndarray, p: float | None = None) -> Interval:
    """Return the signed root of an averaged squared effect with its interval, in cells.

    Parameters
    ----------
    deals : Deals
        Class means.
    form : ndarray of shape (d, d), symmetric
        See `squared_effects`.
    p : float, optional
        p-value to record with the interval.
    """
    n_classes = deals.mean.shape[2]
    if n_classes < 2:
        return replace(UNKNOWN, p_value=p)
    (square,), ((variance,),) = squared_effects(deals, [form])
    found = normal_interval(
        float(square), float(np.sqrt(variance)), degrees=deals.class_degrees * (n_classes - 1)
    )
    estimate, low, high = (signed_root(value) for value in (found.estimate, found.low, found.high))
    return Interval(estimate, low, high, standard_error=np.nan, degrees=found.degrees, p_value=p)


@dataclass(frozen=True)
class Nulls:
    """T of each coordinate, averaged over deals, and its values under permuted labels.

    Attributes
    ----------
    observed : ndarray of shape (d,)
        T of each coordinate, summed over classes; coordinates are in units of a class's standard error.
    permuted : ndarray of shape (n_permutations, d)
        The same with permuted labels, narrowed as the average over deals is.
    """

    observed: np.ndarray
    permuted: np.ndarray

    def p(self, axes: Sequence[int]) -> float:
        """Return the p-value of the sum over some coordinates."""
        axes = list(axes)
        return float(permutation_p(self.observed[axes].sum(), self.permuted[:, axes].sum(1)))


def permutation_nulls(
    deals: Deals, parts: Sequence[Sequence[int]], *, n_permutations: int, seed: int
) -> Nulls:
    """Permute class labels within the blocks of each deal.

    Parameters
    ----------
    deals : Deals
        Class means of d coordinates.
    parts : sequence of sequences of int
        Coordinates that belong together, such as u and v of the content: each part is divided by the
        standard error that each class has in it. Coordinates of no part are left out (NaN).
    n_permutations : int
        Number of permutations, over all deals.
    seed : int
        Seed of the permutations.
    """
    n_deals, _, n_classes, d = deals.mean.shape
    each = -(-n_permutations // n_deals)
    observed, permuted = np.zeros(d), []
    narrower = np.ones(d)
    for column in sorted({column for part in parts for column in part}):
        form = np.zeros((d, d))
        form[column, column] = 1
        narrower[column] = np.sqrt(deals.narrowing(form))
    for deal in range(n_deals):
        scaled = np.full(deals.mean.shape[1:], np.nan)
        for part in map(list, parts):
            precision = class_precision(_block_positions(deals, deal, part), np.ones(n_classes, bool))
            means = deals.mean[deal][..., part]
            means = means - (means * precision[:, None]).sum(1, keepdims=True) / precision.sum()
            scaled[..., part] = means * np.sqrt(precision)[:, None]
        own, null = permuted_shares(scaled, seed + 1_000_003 * deal, each)
        observed += own.sum(0) / n_deals
        permuted.append(null.sum(1))
    return Nulls(observed, np.concatenate(permuted) * narrower)


def _block_positions(deals: Deals, deal: int, part: list[int]) -> BlockPositions:
    """Return a part of one deal as `class_precision` takes it."""
    return BlockPositions(
        classes=tuple(map(str, deals.kept)),
        position=deals.mean[deal][..., part],
        n_images=deals.n_images[deal],
        variance=deals.variance[deal][:, part].mean(1),
        degrees=deals.degrees[deal] * len(part),
    )


def projected(deals: Deals, directions: np.ndarray) -> Deals:
    """Return the deals with further coordinates: the projections on directions, shape (d, more).

    Variances of projections are those of the coordinates, weighted by their squared share of the direction.
    """
    variance = deals.variance @ directions**2
    return replace(
        deals,
        mean=np.concatenate([deals.mean, deals.mean @ directions], axis=-1),
        variance=np.concatenate([deals.variance, variance], axis=-1),
    )
