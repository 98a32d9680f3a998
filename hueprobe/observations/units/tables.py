"""Maps over the grid as rows of a table."""

from collections.abc import Mapping
from typing import Any

import numpy as np


def map_rows(maps: Mapping[str, np.ndarray]) -> list[Mapping[str, Any]]:
    """Return one row per cell of each map.

    Parameters
    ----------
    maps : mapping of str to ndarray of shape (H, W)
        Maps by name.

    Returns
    -------
    list of dict
        Rows with `map`, `y`, `x` and `value`.
    """
    return [
        {"map": name, "y": y, "x": x, "value": value}
        for name, values in maps.items()
        for y, row in enumerate(values.tolist())
        for x, value in enumerate(row)
    ]
