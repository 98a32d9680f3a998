"""The weights that a run ends with, on disk as safetensors."""

from pathlib import Path

import safetensors
import safetensors.torch

from hueprobe.errors import WeightsError
from hueprobe.files import written_whole
from hueprobe.training.objective import Objective


def save_trained(path: Path, objective: Objective) -> None:
    """Write an objective's weights and buffers, those of its heads too; the file appears whole.

    The network's own names stand behind `network.`, so that it can be loaded elsewhere.
    """
    state = {name: value.detach().cpu().contiguous() for name, value in objective.state_dict().items()}
    with written_whole(path) as file:
        file.write(safetensors.torch.save(state))


def load_trained(path: Path, objective: Objective) -> None:
    """Give an objective of the same kind the weights that `save_trained` wrote, in place.

    Raises
    ------
    WeightsError
        The file cannot be read, or is of another objective.
    """
    try:
        objective.load_state_dict(safetensors.torch.load_file(path))
    except (OSError, RuntimeError, safetensors.SafetensorError) as error:
        raise WeightsError(
            f"{path} does not hold the weights of objective {objective.name!r} "
            f"({' '.join(str(error).split())[:120]}); remove it, and its run is trained again"
        ) from error
