"""Products in float64: they tell apart what differs by less than the products before them can show.

Among vectors that are nearly equal, as cells of a plain background are, float32 sums leave hundreds of
candidates. In float64

    s = <q, x> - ||x||^2 / 2,        ||q - x||^2 = ||q||^2 - 2 s,

is off by some 1e-13, so that hardly more candidates are needed than neighbors are wanted.
"""

from typing import TYPE_CHECKING

import numpy as np
import torch

from hueprobe.search.exact.equal_vectors import EqualVectors, barred_places

if TYPE_CHECKING:
    from hueprobe.memory.store import Memory

_ROWS, _QUERIES = 8_192, 1_024  # multiplied at a time: 64 MiB of products


def candidates_in_float64(
    memory: "Memory",
    ids: np.ndarray,
    queries: np.ndarray,
    width: int,
    excluded: np.ndarray,
    *,
    device: torch.device,
    equal: EqualVectors | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Return the `width` vectors of the highest s of each query, and a bound of all others.

    Parameters
    ----------
    memory : Memory
    ids : ndarray of int64, shape (n_vectors,)
        The vectors to be searched, ascending; they are read from their shards.
    queries : ndarray of float32, shape (n, n_channels)
    width : int
    excluded : ndarray of int64, shape (n, m)
        Images that each query may not match, each once in a row; -1 pads.
    device : torch.device
        Where products are computed; on the CPU in place of MPS, which has no float64.
    equal : EqualVectors, optional
        `ids` holds one of each of these groups.

    Returns
    -------
    ids : ndarray of int64, shape (n, width)
        -1 where there is none.
    outside : ndarray of float64, shape (n,)
        Every other vector is farther than the root of this; +inf where there is no other.
    """
    device = torch.device("cpu") if device.type == "mps" else device
    asked = torch.from_numpy(queries).to(device, torch.float64)
    best = torch.full((len(queries), width), -torch.inf, dtype=torch.float64, device=device)
    found = torch.full(best.shape, -1, dtype=torch.int64, device=device)
    left_out = torch.full((len(queries),), -torch.inf, dtype=torch.float64, device=device)
    for start in range(0, len(ids), _ROWS):
        part = ids[start : start + _ROWS]
        rows = torch.from_numpy(memory.vectors(part)).to(device, torch.float64)
        half, here = rows.square().sum(1) / 2, torch.from_numpy(part).to(device)
        for first in range(0, len(queries), _QUERIES):
            chunk = slice(first, first + _QUERIES)
            scores = (asked[chunk] @ rows.T).sub_(half)
            query, column = barred_places(part, excluded[chunk], memory.grid.n_cells, equal)
            scores[torch.from_numpy(query).to(device), torch.from_numpy(column).to(device)] = -torch.inf
            scores = torch.cat([best[chunk], scores], dim=1)
            names = torch.cat([found[chunk], here.expand(len(scores), -1)], dim=1)
            top = scores.topk(width + 1, dim=1)
            best[chunk], found[chunk] = top.values[:, :width], names.gather(1, top.indices[:, :width])
            left_out[chunk] = torch.maximum(left_out[chunk], top.values[:, width])
    found[best == -torch.inf] = -1
    # Both sums, that of the squares and that of the differences are off by d u each, times at most 4 or so.
    d = memory.n_channels
    error = 16 * (d + 2) * 2.0**-53
    squared = np.square(queries.astype(np.float64)).sum(axis=1)
    return found.cpu().numpy(), squared - 2 * left_out.cpu().numpy() - error
