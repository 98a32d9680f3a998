"""Distances from many points to the convex hulls of a few corners each."""

import numpy as np
from scipy.optimize import nnls

from hueprobe.errors import ShapeError

_STEPS = 500
_GAP = 1e-12  # duality gap to stop at, as a share of the squared distance


def hull_distances(points: np.ndarray, corners: np.ndarray, there: np.ndarray | None = None) -> np.ndarray:
    """Return the Euclidean distance of each point to the convex hull of its own corners.

    The quadratic program min ||x - sum_i w_i c_i||, w_i >= 0, sum_i w_i = 1 is solved by pairwise Frank-Wolfe
    steps with exact line search [1]_. Each step moves weight from the worst corner in use to the best one. It
    stops at a duality gap of 1e-12 of the squared distance. A few points have not converged after 500 steps
    (flat hulls of many corners in few dimensions). These are solved by an active-set method [2]_.

    Parameters
    ----------
    points : ndarray of shape (n, C)
        Points, one per hull.
    corners : ndarray of shape (n, k, C)
        Up to k corners of each point's hull.
    there : ndarray of bool, shape (n, k), optional
        Which corners count; all by default. The distance of a point without corners is +inf.

    Returns
    -------
    ndarray of float64, shape (n,)
        Distances, 0 for points inside their hulls.

    Raises
    ------
    ShapeError
        Shapes do not match.

    References
    ----------
    .. [1] S. Lacoste-Julien and M. Jaggi, "On the global linear convergence of Frank-Wolfe optimization
       variants", NeurIPS 2015.
    .. [2] C. L. Lawson and R. J. Hanson, Solving Least Squares Problems, chapter 23, 1974.

    Examples
    --------
    The distance of a point to a segment, and to one of its ends:

    >>> point, segment = np.array([[0.0, 1.0]]), np.array([[[-1.0, 0.0], [1.0, 0.0]]])
    >>> hp.stats.hull_distances(point, segment)
    array([1.])
    >>> hp.stats.hull_distances(point, segment, there=np.array([[True, False]])).round(3)
    array([1.414])
    """
    points, corners = np.asarray(points, np.float64), np.asarray(corners, np.float64)
    if points.ndim != 2 or corners.ndim != 3 or (len(corners), corners.shape[2]) != points.shape:
        raise ShapeError(f"points {points.shape} and corners {corners.shape}; need (n, C) and (n, k, C)")
    there = np.ones(corners.shape[:2], bool) if there is None else np.asarray(there, bool)
    if there.shape != corners.shape[:2]:
        raise ShapeError(f"there has shape {there.shape}; need {corners.shape[:2]}, one for each corner")
    distances = np.full(len(points), np.inf)
    rows = np.flatnonzero(there.any(1))
    if len(rows):
        # Relative to the point, to avoid cancellation near the hull.
        offsets = np.where(there[rows, :, None], corners[rows] - points[rows, None], 0.0)
        weights = _nearest_weights(offsets, there[rows])
        distances[rows] = np.linalg.norm(np.einsum("nk,nkc->nc", weights, offsets), axis=1)
    return distances


def _nearest_weights(offsets: np.ndarray, there: np.ndarray) -> np.ndarray:
    """Return the weights (n, k) of the hull's point of least norm."""
    gram = np.einsum("nkc,njc->nkj", offsets, offsets)
    n = len(gram)
    diagonal = np.where(there, np.einsum("nkk->nk", gram), np.inf)
    weights = np.zeros(there.shape)
    weights[np.arange(n), diagonal.argmin(1)] = 1.0
    pending = np.arange(n)
    for _ in range(_STEPS):
        gradient = np.einsum("nkj,nj->nk", gram[pending], weights[pending])
        best = np.where(there[pending], gradient, np.inf).argmin(1)
        worst = np.where(weights[pending] > 0, gradient, -np.inf).argmax(1)
        at = np.arange(len(pending))
        gap = (gradient * weights[pending]).sum(1) - gradient[at, best]
        going = gap > _GAP
        if not going.any():
            break
        pending, best, worst, gradient = pending[going], best[going], worst[going], gradient[going]
        at = np.arange(len(pending))
        curvature = gram[pending, best, best] + gram[pending, worst, worst] - 2 * gram[pending, best, worst]
        slope = gradient[at, worst] - gradient[at, best]
        full = weights[pending, worst]
        step = np.minimum(full, np.divide(slope, curvature, out=full.copy(), where=curvature > 0))
        weights[pending, best] += step
        weights[pending, worst] = np.where(step >= full, 0.0, full - step)
    else:
        for row in pending:
            weights[row, there[row]] = _least_norm(offsets[row, there[row]])
    return weights


def _least_norm(corners: np.ndarray) -> np.ndarray:
    """Return the weights (k,) of the point of least norm in the hull of `corners` (k, C), exactly.

    This is a least-distance program (Lawson and Hanson 1974, ch. 23). Let u = t w with sum w = 1 and d =
    ||sum w_i c_i||. The minimum of ||sum u_i c_i||^2 + (sum u - 1)^2 over t is d^2 / (1 + d^2), which
    increases with d. So non-negative least squares finds the nearest w, scaled.
    """
    system = np.vstack([corners.T, np.ones(len(corners))])
    u, _ = nnls(system, np.append(np.zeros(corners.shape[1]), 1.0))
    weights: np.ndarray = u / u.sum()
    return weights
