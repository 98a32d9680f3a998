"""Image positions with a known content vector and a known network vector for each class."""

from collections.abc import Sequence

import numpy as np

from hueprobe.errors import ShapeError
from hueprobe.images.motions import FLIPS
from hueprobe.observations.interventions.image_positions import ImagePositions
from hueprobe.observations.interventions.symmetries import parse_flips
from hueprobe.observations.locations.blocks import default_blocks
from hueprobe.stats.dealing import deal


def simulate(
    content: Sequence[Sequence[float]] | np.ndarray,
    network: Sequence[Sequence[float]] | np.ndarray,
    *,
    n_images: int,
    seed: int,
    flips: str | Sequence[str] = "e,h,r,v",
    n_deals: int = 20,
    n_blocks: int | None = None,
    image_sd: float = 0.4,
    memory_sd: float = 0.2,
    deal_sd: float = 0.1,
) -> ImagePositions:
    """Draw positions z(g) = g o + n of images, with noise of images, of what they match, and of deals.

    Every image has an effect of its own in content and in network, and one that it passes on to the images of
    its class and block, which match it.

    Parameters
    ----------
    content, network : array_like of shape (M, 2)
        o and n of each class, as (u, v) in cells.
    n_images : int
        Number of images of each class.
    seed : int
        Seed of the draw.
    flips : str or sequence of str, default="e,h,r,v"
        Flips of the images.
    n_deals : int, default=20
        Number of deals of blocks.
    n_blocks : int, optional
        Number of blocks; by default `hueprobe.observations.locations.default_blocks`.
    image_sd : float, default=0.4
        Standard deviation of an image's own effects on a coordinate, in cells.
    memory_sd : float, default=0.2
        The same of the effects that it passes on to images that match it.
    deal_sd : float, default=0.1
        The same of what differs between deals and flips.

    Returns
    -------
    ImagePositions
        One estimator, `energy`.

    Raises
    ------
    ShapeError
        The vectors are not two of (M, 2).

    See Also
    --------
    hueprobe.observations.interventions.measure : Find the vectors again.

    Examples
    --------
    >>> up = [(0, 0.5), (0, -0.5), (0, 0)]
    >>> positions = hp.observations.interventions.simulate(up, [(0, 0)] * 3, n_images=20, seed=0)
    >>> positions
    ImagePositions(60 images, 3 classes, 20 deals of 5 blocks, flips e,h,r,v)
    """
    o, n = np.asarray(content, float), np.asarray(network, float)
    if o.ndim != 2 or o.shape[1:] != (2,) or o.shape != n.shape:
        raise ShapeError(
            f"content has shape {o.shape} and network {n.shape}; give (u, v) of each class in both"
        )
    chosen, n_classes = parse_flips(flips), len(o)
    label = np.repeat(np.arange(n_classes), n_images)
    n_blocks = default_blocks(n_classes) if n_blocks is None else n_blocks
    rng = np.random.default_rng(seed)
    own, passed = (
        image_sd * rng.normal(size=(2, len(label), 2)),
        memory_sd * rng.normal(size=(2, len(label), 2)),
    )
    block = np.stack([deal(rng.permutation(len(label)), label, n_parts=n_blocks) for _ in range(n_deals)])
    position = np.empty((n_deals, len(chosen), 1, len(label), 2))
    for number, blocks in enumerate(block):
        cell = blocks * n_classes + label
        count = np.bincount(cell)[cell][:, None]
        total = np.stack([[np.bincount(cell, part[:, axis])[cell] for axis in range(2)] for part in passed])
        others = (total.transpose(0, 2, 1) - passed) / np.maximum(count - 1, 1)
        follows, stays = o[label] + own[0] + others[0], n[label] + own[1] + others[1]
        for j, flip in enumerate(chosen):
            noise = deal_sd * rng.normal(size=follows.shape)
            position[number, j, 0] = follows * FLIPS[flip] + stays + noise
    return ImagePositions(
        tuple(f"class {c}" for c in range(n_classes)), chosen, ("energy",), label,
        np.arange(len(label), dtype=np.int64), block, position.astype(np.float32),
    )  # fmt: skip
