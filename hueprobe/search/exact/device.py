"""Where exact search runs."""

from typing import TYPE_CHECKING

import torch

from hueprobe.activations.devices import choose_device
from hueprobe.errors import InputError

if TYPE_CHECKING:
    from hueprobe.memory.store import Memory


def search_device(memory: "Memory", device: str) -> torch.device:
    """Return the torch device of exact search. Its result does not depend on it.

    Parameters
    ----------
    memory : Memory
    device : str
        `cpu`, `cuda`, `cuda:<i>` or `mps`; `auto` is the kind of device that made the memory, or the best
        there is where that is absent or none made it. But it never is MPS, whose sums have no stated error
        on which the bound could rest: there the CPU searches.

    Raises
    ------
    InputError
        The device that is named is unknown or not there.
    """
    if device != "auto":
        return choose_device(device)
    made_on = memory.settings.device if memory.settings.backbone != "arrays" else "auto"
    try:
        chosen = choose_device(made_on)
    except InputError:
        chosen = choose_device("auto")
    return torch.device("cpu") if chosen.type == "mps" else chosen
