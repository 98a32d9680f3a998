"""How much of a memory's images the network did not see."""

import numpy as np

from hueprobe.memory.recorded import recorded_transform
from hueprobe.memory.store import Memory


def shares_kept(memory: Memory) -> np.ndarray | None:
    """Return the share of each image's area that the center crop left, from the sizes in the memory.

    Parameters
    ----------
    memory : Memory

    Returns
    -------
    ndarray of float64, shape (n_images,), or None
        1 where an image is unreadable; None where what the transform does to an image's shape is not
        recorded.
    """
    transform = recorded_transform(memory.settings)
    if transform is None:
        return None
    width, height = (memory.records[name].to_numpy() for name in ("width", "height"))
    sizes, inverse = np.unique(np.stack([width, height]), axis=1, return_inverse=True)
    kept = [transform.kept(w, h) if w and h else 1.0 for w, h in sizes.T.tolist()]
    return np.array(kept, np.float64)[inverse.reshape(-1)]
