"""How often one network, or one descriptor, is the most accurate of all."""

from collections.abc import Mapping, Sequence
from typing import Any

_NAMES = ("network", "descriptor", "task", "classifier")


def times_best(rows: Sequence[Mapping[str, Any]], name: str, *, of: str) -> tuple[int, int]:
    """Return how often `name` is the most accurate, and of how many comparisons; ties count for both.

    Accuracies are compared as they are: whether a difference is more than chance is for
    `AccuracyGrid.comparisons` to tell.

    Parameters
    ----------
    rows : sequence of mapping
        Rows as in `AccuracyGrid.rows`.
    name : str
        Name of the network, or of the descriptor.
    of : {"network", "descriptor"}
        What is compared, with all other names equal.

    Examples
    --------
    >>> names = {"network": "tiny", "task": "shapes", "classifier": "kernel density"}
    >>> rows = [{**names, "descriptor": one, "accuracy": a} for one, a in (("pixel", 0.9), ("gap", 0.8))]
    >>> times_best(rows, "pixel", of="descriptor"), times_best(rows, "gap", of="descriptor")
    ((1, 1), (0, 1))
    """
    compared: dict[tuple[str, ...], dict[str, float]] = {}
    for row in rows:
        others = tuple(row[part] for part in _NAMES if part != of)
        compared.setdefault(others, {})[row[of]] = row["accuracy"]
    possible = [found for found in compared.values() if name in found and len(found) > 1]
    return sum(found[name] == max(found.values()) for found in possible), len(possible)
