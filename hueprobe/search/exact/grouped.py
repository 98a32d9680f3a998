"""Blocks of quantized vectors in groups, of which the highest product is examined first."""

from dataclasses import dataclass

import numpy as np
import torch

from hueprobe.search.exact.quantized import FLOAT32, SCALED, Codes, quantize, sums_of_rows

GROUP = 32  # vectors per group


@dataclass(frozen=True)
class Block:
    """Quantized vectors of a part of a memory; member m of group j is at position m * n_groups + j.

    Attributes
    ----------
    codes : Codes
        Codes of n vectors, where n is a multiple of `GROUP`; padding consists of zero vectors.
    ids : Tensor of int64, shape (n,)
        Vector id at each position; -1 for padding.
    sorted_ids, positions : ndarray of int64, shape (n_vectors,)
        The ids, ascending, and the position of each.
    n_groups : int
        Number of groups.
    scale, least_scale, residual : Tensor of float32, shape (n_groups,), or None
        Largest scale, smallest scale and largest residual of each group. Scales are None if all are 1; the
        residual is None if the vectors are not quantized.
    sums : Tensor of int32, shape (n,), or None
        Sum of each vector's values; None if the codes have no offset.
    signed : bool
        Whether some codes are negative.
    """

    codes: Codes
    ids: torch.Tensor
    sorted_ids: np.ndarray
    positions: np.ndarray
    n_groups: int
    scale: torch.Tensor | None
    least_scale: torch.Tensor | None
    residual: torch.Tensor | None
    sums: torch.Tensor | None
    signed: bool

    @property
    def pads(self) -> torch.Tensor:
        """Positions that hold no vector."""
        return torch.nonzero(self.ids < 0)[:, 0]

    @classmethod
    def of(cls, vectors: torch.Tensor, ids: np.ndarray, number_format: str) -> "Block":
        """Quantize float32 vectors (n, d) with ascending ids (n,)."""
        codes = quantize(vectors, number_format)
        n = len(ids)
        n_groups = -(-n // GROUP)
        order = np.arange(n_groups * GROUP)  # padding, if any, comes last
        if number_format in SCALED:
            # Vectors of similar scale share a group, so that scales within a group are nearly equal.
            order[:n] = torch.argsort(codes.scale).cpu().numpy()
            order = order.reshape(n_groups, GROUP).T.reshape(-1)
        place = torch.from_numpy(order).to(vectors.device)
        real = place < n
        if number_format not in SCALED and bool(real.all()):
            values, scale, residual = codes.values, codes.scale, codes.residual
        else:
            last = int(order[order < n][-1])
            source = torch.where(real, place, last)  # padding gets a scale that already occurs
            values = codes.values[source]
            values[~real] = 0
            scale, residual = codes.scale[source], codes.residual[source].masked_fill(~real, 0)
        padded = np.append(ids, -1)[np.minimum(order, n)]
        return cls.arranged(Codes(values, scale, residual, codes.offset), padded, number_format)

    @classmethod
    def arranged(cls, codes: Codes, ids: np.ndarray, number_format: str) -> "Block":
        """Create a block from codes in their final order, with the id at each position (-1 for padding)."""
        n_groups = len(ids) // GROUP
        places = np.argsort(ids, kind="stable")[int((ids < 0).sum()) :]
        by_group = codes.scale.view(GROUP, n_groups)
        scaled, exact = number_format in SCALED, number_format in FLOAT32
        return cls(
            codes=codes,
            ids=torch.from_numpy(ids).to(codes.values.device),
            sorted_ids=ids[places],
            positions=places,
            n_groups=n_groups,
            scale=by_group.amax(0) if scaled else None,
            least_scale=by_group.amin(0) if scaled else None,
            residual=codes.residual.view(GROUP, n_groups).amax(0) if not exact else None,
            sums=sums_of_rows(codes.values) if codes.offset else None,
            signed=codes.signed,
        )
