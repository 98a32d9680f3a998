"""Label shares of the cells of images, compared with true labels."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from hueprobe.dense.intervals import N_RESAMPLES
from hueprobe.dense.protocols import Protocol
from hueprobe.dense.scores import Scores, score_maps
from hueprobe.dense.upsampling import NONE, leading_labels, seen_pixels
from hueprobe.images.mask_files import Masks
from hueprobe.images.masks import mask_as_seen
from hueprobe.images.visible import visible_box

if TYPE_CHECKING:
    from hueprobe.images.transform import Transform


@dataclass(frozen=True, eq=False)
class CellLabels:
    """Label shares of the cells of n images, and where these cells are.

    Attributes
    ----------
    shares : ndarray of float32, shape (n, H, W, n_labels)
        Share of each label in each cell.
    sizes : ndarray of int64, shape (n, 2)
        Height and width of each image.
    transform : Transform
        Transform of the images.
    """

    shares: np.ndarray
    sizes: np.ndarray
    transform: "Transform"

    @property
    def boxes(self) -> np.ndarray:
        """Left, top, right and bottom of the part of each image that the network saw, shape (n, 4)."""
        seen = self.transform
        return np.array(
            [
                visible_box((width, height), seen.resize, seen.crop, fit=seen.fit)
                for height, width in self.sizes.tolist()
            ],
            np.float64,
        ).reshape(-1, 4)

    def compare(
        self,
        masks: Masks,
        rows: np.ndarray,
        protocol: Protocol,
        *,
        groups: tuple[str | None, ...] | None = None,
        n_resamples: int = N_RESAMPLES,
        seed: int = 0,
    ) -> Scores:
        """Return the scores of the label maps.

        Parameters
        ----------
        masks : Masks
            True labels.
        rows : ndarray of int64, shape (n,)
            Mask of each image.
        protocol : Protocol
            Rules of the comparison.
        groups, n_resamples, seed
            See `score_maps`.
        """
        boxes = self.boxes

        def maps(i: int) -> tuple[np.ndarray, np.ndarray]:
            height, width = self.sizes[i].tolist()
            true = masks.read(int(rows[i]), (width, height))
            if protocol.at_input_size:
                true = mask_as_seen(true, self.transform)
                height, width = true.shape
                return true, leading_labels(self.shares[i], (height, width))
            left, top, right, bottom = boxes[i].tolist()
            box = left, top, right, bottom
            true = np.where(seen_pixels((height, width), box), true, NONE)
            return true, leading_labels(self.shares[i], (height, width), box)

        return score_maps(
            maps, len(rows), masks.labels.names, protocol=protocol, groups=groups, n_resamples=n_resamples,
            seed=seed,
        )  # fmt: skip
