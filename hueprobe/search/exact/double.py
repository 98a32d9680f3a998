"""Products in float64, which separate vectors that the first pass cannot tell apart.

For nearly equal vectors, such as cells of a plain background, float32 sums leave hundreds of candidates.
In float64, the score

    s = <q, x> - ||x||^2 / 2,        ||q - x||^2 = ||q||^2 - 2 s,

has an error of about 1e-13. The search then needs only a few more candidates than neighbors.
"""

from typing import TYPE_CHECKING

import numpy as np
import torch

from hueprobe.search.exact.equal_vectors import EqualVectors, barred_places

if TYPE_CHECKING:
    from hueprobe.memory.store import Memory

_CONVERTED = 64  # vectors converted to float64 at once: they stay in the cache
_ROWS, _QUERIES = 8_192, 1_024  # multiplied at once: 64 MiB of products


def squared_lengths(vectors: np.ndarray) -> np.ndarray:
    """Return ||x||^2 of float32 vectors (n, d) in float64, a few vectors at a time.

    A float64 copy of all queries of leave-one-out at once is 168 MB that the system has to hand out anew.
    """
    parts = (vectors[start : start + _CONVERTED] for start in range(0, len(vectors), _CONVERTED))
    sums = [np.square(part.astype(np.float64)).sum(axis=1) for part in parts]
    return np.concatenate(sums) if sums else np.empty(0)


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
    """Return the `width` vectors with the highest s for each query, and a bound for all others.

    Parameters
    ----------
    memory : Memory
        Memory to search.
    ids : ndarray of int64, shape (n_vectors,)
        Ids of the vectors to search, ascending. The vectors are read from their shards.
    queries : ndarray of float32, shape (n, n_channels)
        Query vectors.
    width : int
        Number of candidates per query.
    excluded : ndarray of int64, shape (n, m)
        Images that each query may not match, without duplicates in a row; padded with -1.
    device : torch.device
        Device that computes the products. The CPU replaces MPS, which has no float64.
    equal : EqualVectors, optional
        Groups of equal vectors, of which `ids` holds one member each.

    Returns
    -------
    ids : ndarray of int64, shape (n, width)
        Candidates; -1 where there are fewer than `width`.
    outside : ndarray of float64, shape (n,)
        Lower bound of the squared distance of every other vector; +inf where there is no other.
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
    # The two sums, the sum of squares and the sum of differences each have an error of d u, times about 4.
    d = memory.n_channels
    error = 16 * (d + 2) * 2.0**-53
    squared = np.square(queries.astype(np.float64)).sum(axis=1)
    return found.cpu().numpy(), squared - 2 * left_out.cpu().numpy() - error
