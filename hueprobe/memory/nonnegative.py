"""What `sparse16` is for: activations that are never negative, most of them zero, as after a ReLU."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from hueprobe.errors import InputError
from hueprobe.memory.vectors import SPARSE16

if TYPE_CHECKING:
    from hueprobe.activations.backbones import Backbone


def require_unsigned(backbone: "Backbone") -> None:
    """Raise InputError if the activations of a network are known to be signed."""
    if backbone.signed:
        closing = f"ends in {backbone.closing}" if backbone.closing else "ends in no ReLU"
        raise InputError(
            f"{backbone.name} {closing}, so its activations are signed and almost never zero, but "
            f"{SPARSE16} is for networks that end in a ReLU; use dtype float16"
        )


def require_nonnegative(activations: np.ndarray, names: Sequence[str], layer: str) -> None:
    """Raise InputError, naming the first image, if activations (n, C, H, W) have negative values."""
    least = activations.min(axis=(1, 2, 3), initial=0)
    if (least < 0).any():
        row = int((least < 0).argmax())
        where = f" at layer {layer!r}" if layer else ""
        raise InputError(
            f"activations of {names[row]!r}{where} are negative, down to {least[row]:.3g}, but {SPARSE16} is "
            "for layers that end in a ReLU; use dtype float16, in a new folder if this memory is begun"
        )
