"""How much of each image the center crop keeps."""

import numpy as np

from hueprobe.memory.recorded import recorded_transform
from hueprobe.memory.store import Memory


def shares_kept(memory: Memory) -> np.ndarray | None:
    """Return the share of each image's area that the center crop keeps, from the sizes in the memory.

    Parameters
    ----------
    memory : Memory
        The memory.

    Returns
    -------
    ndarray of float64, shape (n_images,), or None
        1 for an unreadable image. None if the transform's effect on the shape is not recorded.
    """
    transform = recorded_transform(memory.settings)
    if transform is None:
        return None
    width, height = (memory.records[name].to_numpy() for name in ("width", "height"))
    sizes, inverse = np.unique(np.stack([width, height]), axis=1, return_inverse=True)
    kept = [transform.kept(w, h) if w and h else 1.0 for w, h in sizes.T.tolist()]
    return np.array(kept, np.float64)[inverse.reshape(-1)]
