"""Flips of all images alike, and what a class's position does under them.

If all images, those of the memory and the queries, are changed by the same flip g, a class position becomes

    z(g)  =  g o  +  n

where o, *locked to the content*, flips with the images, and n, *locked to the network*, stays. A flip changes
the sign of u, of v, or of both, so for each coordinate

    o = (mean over flips that keep it - mean over flips that reverse it) / 2
    n = (mean over flips that keep it + mean over flips that reverse it) / 2
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hueprobe.errors import InputError, ShapeError
from hueprobe.images.motions import FLIPS

NAMES = {"e": "as is", "h": "mirrored left-right", "r": "turned by half", "v": "mirrored up-down"}
AXES = ("u", "v")


@dataclass(frozen=True)
class Decomposition:
    """Positions split into what follows the content and what stays with the network.

    Attributes
    ----------
    content, network : ndarray of shape (..., 2)
        o and n, as (u, v) in cells. NaN in a coordinate that no flip reverses (or none keeps), and where a
        position is NaN.
    """

    content: np.ndarray
    network: np.ndarray


def parse_flips(flips: str | Sequence[str]) -> tuple[str, ...]:
    """Return the flips of a list such as "e,h,r", in the order e, h, r, v.

    Parameters
    ----------
    flips : str or sequence of str
        Names of flips: `e` (as is), `h` (left-right mirror), `r` (half turn), `v` (up-down mirror).

    Raises
    ------
    InputError
        A name is unknown or repeated, `e` is missing, or no coordinate is both kept and reversed.

    Examples
    --------
    >>> parse_flips("r,e,h"), parse_flips(["e", "h", "r", "v"])
    (('e', 'h', 'r'), ('e', 'h', 'r', 'v'))
    """
    given = [name.strip() for name in flips.split(",")] if isinstance(flips, str) else list(flips)
    wrong = [name for name in given if name not in FLIPS]
    if wrong or len(set(given)) < len(given) or "e" not in given:
        raise InputError(
            f"flips are {','.join(map(str, given))!r}; give e and others of {', '.join(FLIPS)}, each once, "
            "such as e,h,r"
        )
    ordered = tuple(name for name in FLIPS if name in given)
    if not any(separable(ordered)):
        raise InputError(
            f"flips {','.join(ordered)!r} separate nothing: content and network differ only if some images "
            "are flipped; add r (half turn), or h and v"
        )
    return ordered


def separable(flips: Sequence[str]) -> tuple[bool, bool]:
    """Return whether flips separate content from network in u and in v.

    Examples
    --------
    >>> separable(("e", "h")), separable(("e", "r"))
    ((True, False), (True, True))
    """
    signs = np.array([FLIPS[flip] for flip in flips])
    u, v = (len(set(column.tolist())) == 2 for column in signs.T)
    return u, v


def decompose(positions: np.ndarray, flips: Sequence[str]) -> Decomposition:
    """Split positions into content-locked and network-locked parts.

    Parameters
    ----------
    positions : ndarray of shape (n_flips, ..., 2)
        Positions (u, v) in cells, v upwards, of the same images (or classes) under each flip.
    flips : sequence of str, length n_flips
        The flips: any of `e`, `h`, `r` and `v`.

    Returns
    -------
    Decomposition
        Both parts, each of shape (..., 2).

    Raises
    ------
    ShapeError
        There is not one flip for each set of positions.

    Examples
    --------
    Content at the upper right, and a network that adds half a cell to the left:

    >>> content, network = np.array([1.0, 2.0]), np.array([-0.5, 0.0])
    >>> seen = [content * FLIPS[flip] + network for flip in ("e", "h", "r")]
    >>> found = decompose(np.array(seen), ("e", "h", "r"))
    >>> found.content.tolist(), found.network.tolist()
    ([1.0, 2.0], [-0.5, 0.0])
    """
    positions = np.asarray(positions, float)
    if positions.ndim < 2 or len(positions) != len(flips) or positions.shape[-1] != 2:
        raise ShapeError(
            f"positions have shape {positions.shape}, {len(flips)} flips need ({len(flips)}, ..., 2)"
        )
    signs = np.array([FLIPS[flip] for flip in flips])
    content, network = np.full((2, *positions.shape[1:]), np.nan)
    for axis in range(2):
        if separable(flips)[axis]:
            kept = positions[signs[:, axis] > 0][..., axis].mean(0)
            reversed_ = positions[signs[:, axis] < 0][..., axis].mean(0)
            content[..., axis], network[..., axis] = (kept - reversed_) / 2, (kept + reversed_) / 2
    return Decomposition(content, network)
