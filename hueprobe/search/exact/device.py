"""Select the device that exact search runs on."""

from typing import TYPE_CHECKING

import torch

from hueprobe.activations.devices import choose_device
from hueprobe.errors import InputError

if TYPE_CHECKING:
    from hueprobe.memory.store import Memory


def search_device(memory: "Memory", device: str) -> torch.device:
    """Return the torch device of exact search; results do not depend on it.

    Parameters
    ----------
    memory : Memory
        Memory to search.
    device : str
        `cpu`, `cuda`, `cuda:<i>` or `mps`. `auto` selects the kind of device that built the memory. If that
        device is unavailable, or if the memory was built from arrays, it selects the best available device.
        `auto` never selects MPS, because MPS documents no error of its sums, which the bound requires. The
        CPU is used instead.

    Raises
    ------
    InputError
        The named device is unknown or unavailable.
    """
    if device != "auto":
        return choose_device(device)
    made_on = memory.settings.device if memory.settings.backbone != "arrays" else "auto"
    try:
        chosen = choose_device(made_on)
    except InputError:
        chosen = choose_device("auto")
    return torch.device("cpu") if chosen.type == "mps" else chosen
