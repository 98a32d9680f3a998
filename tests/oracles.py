"""Slow, obvious versions of what hueprobe computes, each written once."""

import numpy as np


def nearest(queries, stored, k, allowed):
    """Brute force in float64: (ids, distances), ties by the lower id, -1 and inf where there is none.

    `allowed` is a (n_queries, n_stored) mask; zero queries and zero stored vectors match nothing.
    """
    ids = np.full((len(queries), k), -1)
    distances = np.full((len(queries), k), np.inf)
    for i, query in enumerate(queries):
        if not query.any():
            continue
        found = []
        for j, vector in enumerate(stored):
            if allowed[i, j] and vector.any():
                difference = query.astype(np.float64) - vector.astype(np.float64)
                found.append((float(np.sqrt((difference**2).sum())), j))
        for rank, (distance, j) in enumerate(sorted(found)[:k]):
            ids[i, rank], distances[i, rank] = j, distance
    return ids, distances


def stored_vector(row, dtype):
    """DESIGN's 'stored vector': rounded to the dtype, read to float32, renormalized there."""
    row = np.asarray(row).astype(dtype).astype(np.float32)
    norm = np.sqrt((row * row).sum())
    return row / norm if norm > 0 else row


def likelihoods(query_vectors, stored, stored_class, stored_allowed, n_classes, k, eps=1e-6):
    """Eq. (2) and (3) for one image, by loops. `stored_allowed` is (n_stored,)."""
    total = np.zeros(n_classes)
    counts = np.zeros(n_classes)
    for j, vector in enumerate(stored):
        if stored_allowed[j] and vector.any() and stored_class[j] >= 0:
            counts[stored_class[j]] += 1
    for query in query_vectors:
        allowed = np.asarray(stored_allowed)[None, :]
        ids, distances = nearest(query[None], stored, k, allowed)
        alpha = distances[0, 0]
        for j, distance in zip(ids[0], distances[0], strict=True):
            if j >= 0 and stored_class[j] >= 0:
                total[stored_class[j]] += np.exp(-(distance**2) / (alpha**2 + eps))
    return np.array([total[c] / counts[c] if counts[c] else 0.0 for c in range(n_classes)])
