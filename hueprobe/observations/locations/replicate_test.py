"""Blocked replicate test of whether classes have their own positions (angles) in the image plane.

z_cb is the position of class c in block b (`.blocks`). The mean over classes is subtracted within each block,
which removes the mean shift of the whole set. What is specific to a class replicates in each block::

    T = sum over pairs of blocks b < b' and classes c of  <z_cb, z_cb'>

E[T] = 0 where classes do not differ, whatever images of one block share. Null: class labels are permuted
within each block, independently. This requires classes of similar spread, so p-values use z_cb in units of
its class's standard error. In plain cells, classes with fewer or more diffuse images make the test reject a
true null 7 to 13 % of the time at 5 %. The effect size is in plain cells, over B blocks and M classes::

    effect^2 = T / (B (B - 1) / 2) / (M - 1)
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from hueprobe.arguments import takes
from hueprobe.errors import InputError
from hueprobe.matches import Matches
from hueprobe.observations.locations.blocks import (
    MIN_ARRANGEMENTS,
    BlockPositions,
    arrangements,
    block_positions,
    default_blocks,
)
from hueprobe.observations.verdicts.claims import CLAIMS
from hueprobe.observations.verdicts.evidence import Definitions
from hueprobe.observations.verdicts.findings import Finding, finding
from hueprobe.observations.verdicts.rules import Verdict
from hueprobe.stats.intervals import Interval, normal_interval
from hueprobe.stats.permutation import permutation_p

COMPONENTS = ("both", "u", "v")
# Weight of the pooled variance, in degrees of freedom, in the estimate of a class's own variance.
PRIOR_DEGREES = 4


@dataclass(frozen=True)
class ComponentTest:
    """Test of one component (`u`, `v`) or of both together.

    Attributes
    ----------
    effect : Interval
        Signed square root of effect^2, in cells: the distance between classes; 0 is no effect. In simulations
        the lower bound missed at most at its nominal 2.5 %, the upper one at up to 11 % (M = 2).
    p : float
        One-sided p-value: share of arrangements, the observed one included, with a T at least as large.
    """

    effect: Interval
    p: float


@dataclass(frozen=True)
class BlockedTest:
    """Result of `blocked_replicate_test`.

    Attributes
    ----------
    classes : tuple of str
        The M classes tested: those with a position in every block.
    left_out : tuple of str
        Classes without one.
    n_blocks, n_images, n_permutations : int
        Number of blocks, of query images that the positions average, and of random permutations.
    arrangements : float
        Number of distinct arrangements of labels, M!^(B - 1).
    position : ndarray of shape (M, 2)
        Mean over blocks of each class's (u, v), minus the mean over classes, in cells.
    both, u, v : ComponentTest
        Test in the plane, and of each component.
    class_p, class_p_adjusted : ndarray of shape (M,)
        p-value of each class, and the same corrected for testing M classes (minP).
    undecided : str or None
        Reason why the test cannot decide; p is then NaN.
    """

    classes: tuple[str, ...]
    left_out: tuple[str, ...]
    n_blocks: int
    n_images: int
    n_permutations: int
    arrangements: float
    position: np.ndarray
    both: ComponentTest
    u: ComponentTest
    v: ComponentTest
    class_p: np.ndarray
    class_p_adjusted: np.ndarray
    undecided: str | None

    def claim(self, *, memory: str, definitions: Definitions) -> Verdict:
        """Return the verdict on claim 3b: the class positions must differ in the plane.

        Whether they follow the content, and along two axes, is for `hueprobe intervene` to decide. The two
        components are recorded in the definitions.

        Parameters
        ----------
        memory : str
            Name of the memory.
        definitions : mapping of str to Any
            How the result was measured, to be recorded with the verdict.
        """

        def of(part: ComponentTest, name: str) -> Finding:
            return finding(
                "3b angle", part.effect, part.p, self.n_images, name=name, undecided=self.undecided
            )

        components = {name: of(part, name).to_json() for name, part in (("u", self.u), ("v", self.v))}
        definitions = {
            **definitions, "blocks": self.n_blocks, "classes": len(self.classes), "components": components,
        }  # fmt: skip
        both = of(self.both, CLAIMS["3b angle"].effect)
        return Verdict(id="3b angle", memory=memory, findings=(both,), definitions=definitions)


@takes(Matches, several=True)
def blocked_replicate_test(
    matches_of_blocks: Sequence[Matches],
    *,
    seed: int,
    weighting: str = "count",
    n_permutations: int = 9999,
) -> BlockedTest:
    """Test whether classes differ in the positions of their same-class matches.

    Class labels are permuted within blocks that share no image. Positions that belong to a class replicate in
    every block.

    Parameters
    ----------
    matches_of_blocks : sequence of Matches
        Matches of each block, searched within itself (`search_blocks`).
    seed : int
        Seed of the permutations.
    weighting : {"count", "kernel"}, default="count"
        Whether an image's matches have equal weight or their kernel weights, Eq. (3).
    n_permutations : int, default=9999
        Number of random permutations; p is at least 1 / (n_permutations + 1).

    Returns
    -------
    BlockedTest
        `undecided` is set, and p is NaN, in two cases: fewer than two classes have same-class matches in all
        blocks, or there are fewer than 1,000 arrangements of labels (two classes need 11 blocks).

    Raises
    ------
    InputError
        There are fewer than two blocks, or their classes differ.

    See Also
    --------
    hueprobe.observations.locations.search_blocks : Search each block within itself.
    hueprobe.observations.locations.naive_rayleigh : A test that ignores dependence.

    Examples
    --------
    Twelve images are too few to decide:

    >>> def search(rows):
    ...     return hp.KernelDensityClassifier(memory, k=3, images=rows).leave_one_out().matches
    >>> blocks = hp.observations.locations.search_blocks(np.arange(12) % 2, search)
    >>> found = hp.observations.locations.blocked_replicate_test(blocks, seed=0)
    >>> found.n_blocks, found.undecided.split(";")[0]
    (2, '3 classes in 2 blocks have 6 arrangements of labels, and at least 1000 are needed')
    """
    return replicate_test(
        block_positions(matches_of_blocks, weighting=weighting), seed=seed, n_permutations=n_permutations
    )


def replicate_test(positions: BlockPositions, *, seed: int, n_permutations: int = 9999) -> BlockedTest:
    """Test positions returned by `block_positions`; see `blocked_replicate_test`."""
    n_blocks = len(positions.position)
    if n_blocks < 2:
        raise InputError(f"got {n_blocks} block; at least 2 blocks are needed")
    kept = np.all(positions.n_images > 0, axis=0)
    n_classes = int(kept.sum())
    names = np.array(positions.classes, object)
    possible = arrangements(n_classes, n_blocks)
    undecided = None
    if n_classes < 2:
        undecided = (
            f"{n_classes} of {len(kept)} classes have same-class matches in all {n_blocks} blocks, and at "
            f"least 2 are needed; a class needs two images (groups) a block, {2 * n_blocks} in all"
        )
    elif possible < MIN_ARRANGEMENTS:
        undecided = (
            f"{n_classes} classes in {n_blocks} blocks have {possible:.0f} arrangements of labels, and at "
            f"least {MIN_ARRANGEMENTS} are needed; make {default_blocks(n_classes)} blocks"
        )
    plain = positions.position[:, kept]
    if n_classes:
        plain = plain - plain.mean(1, keepdims=True)
    if undecided is None:
        precision = class_precision(positions, kept)
        scaled = positions.position[:, kept]
        scaled = scaled - (scaled * precision[:, None]).sum(1, keepdims=True) / precision.sum()
        observed, null = permuted_shares(scaled * np.sqrt(precision)[:, None], seed, n_permutations)
    else:
        observed, null = np.full((n_classes, 2), np.nan), np.full((0, n_classes, 2), np.nan)

    def component(axes: list[int]) -> ComponentTest:
        p = float(permutation_p(observed[:, axes].sum(), null[:, :, axes].sum((1, 2))))
        return ComponentTest(replace(_effect(plain[..., axes]), p_value=p), p)

    own, others = observed.sum(1), null.sum(2)
    return BlockedTest(
        classes=tuple(names[kept]),
        left_out=tuple(names[~kept]),
        n_blocks=n_blocks,
        n_images=int(positions.n_images[:, kept].sum()),
        n_permutations=len(null),
        arrangements=possible,
        position=plain.mean(0),
        both=component([0, 1]),
        u=component([0]),
        v=component([1]),
        # after scaling every class has the same null, so minP is the largest of all classes' values
        class_p=permutation_p(own, others.ravel()),
        class_p_adjusted=permutation_p(own, others.max(1, initial=-np.inf)),
        undecided=undecided,
    )


def class_precision(positions: BlockPositions, kept: np.ndarray) -> np.ndarray:
    """Return 1 / variance of each kept class's z_cb, variances shrunk towards the pooled one; shape (M,)."""
    degrees = positions.degrees[kept]
    squares = np.where(degrees > 0, positions.variance[kept] * degrees, 0.0)
    if kept.sum() == 2 or squares.sum() == 0:  # after centering, two classes mirror each other
        return np.ones(len(degrees))
    pooled = squares.sum() / degrees.sum()
    variance = (squares + PRIOR_DEGREES * pooled) / (degrees + PRIOR_DEGREES)
    precision: np.ndarray = 1 / (variance * (1 / positions.n_images[:, kept]).mean(0))
    return precision


def replication(z: np.ndarray) -> np.ndarray:
    """Return the sum over b < b' of z_cb * z_cb', from (..., n_blocks, M, d) to (..., M, d)."""
    products: np.ndarray = (z.sum(-3) ** 2 - (z**2).sum(-3)) / 2
    return products


def permuted_shares(z: np.ndarray, seed: int, n_permutations: int) -> tuple[np.ndarray, np.ndarray]:
    """Return each class's share of T, (M, d), and the same under permuted labels, (n_permutations, M, d)."""
    generator = np.random.default_rng(seed)
    n_classes = z.shape[1]
    null = np.empty((n_permutations, *z.shape[1:]))
    step = max(1, 2_000_000 // z.size)
    for start in range(0, n_permutations, step):
        n = min(step, n_permutations - start)
        order = generator.random((n, len(z), n_classes)).argsort(2)
        null[start : start + n] = replication(np.take_along_axis(z[None], order[..., None], axis=2))
    return replication(z), null


def _effect(z: np.ndarray) -> Interval:
    """Return the signed root of effect^2 with its interval, from centered (n_blocks, M, d) in cells.

    Var(effect^2) (M - 1)^2 = sum over classes of 4/B mu' S mu + 2/(B (B-1)) tr(S^2), with S the covariance of
    the class's z_cb. Both terms are estimated by unbiased moments.
    """
    n_blocks, n_classes, _ = z.shape
    if n_classes < 2:
        return Interval(np.nan, np.nan, np.nan, np.nan, 0)
    f, kept = n_blocks - 1, (n_classes - 1) / n_classes
    squared = float(replication(z).sum() / (n_blocks * f / 2) / (n_classes - 1))
    mean = z.mean(0)
    deviation = z - mean
    covariance = np.einsum("bmi,bmj->mij", deviation, deviation) / f / kept
    square_of_trace = np.trace(covariance, axis1=1, axis2=2) ** 2
    # E tr(S^2) = a (1 + 1/f) + b/f and E (tr S)^2 = b + 2a/f, with a = tr(Sigma^2), b = (tr Sigma)^2
    noise = (covariance**2).sum((1, 2)) - square_of_trace / f
    noise = kept * (noise / (1 + 1 / f - 2 / f**2)).sum() if f > 1 else kept * square_of_trace.sum()
    drift = 4 / n_blocks * np.einsum("mi,mij,mj->", mean, covariance, mean) - 4 / n_blocks**2 * noise
    variance = max(drift, 0.0) + 2 / (n_blocks * f) * max(noise, 0.0)
    interval = normal_interval(squared, np.sqrt(variance) / (n_classes - 1), degrees=f * (n_classes - 1))

    estimate, low, high = (
        float(np.sign(value) * np.sqrt(abs(value))) for value in (squared, interval.low, interval.high)
    )
    return Interval(estimate, low, high, standard_error=np.nan, degrees=interval.degrees)
