"""What a run leaves: the network's weights as safetensors, and a record of what it was trained to be."""

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import safetensors
import safetensors.torch
import torch
from msgspec import Meta
from torch import Tensor, nn

from hueprobe.errors import InputError, WeightsError
from hueprobe.files import sha256_of, written_whole
from hueprobe.images.transform import Transform
from hueprobe.memory.records import Count, Record, RecordError, Sha256, as_record
from hueprobe.memory.settings import library_versions
from hueprobe.training.images import TrainingImages
from hueprobe.training.loop import TrainingRun
from hueprobe.training.objective import Objective
from hueprobe.training.settings import TrainingSettings

WEIGHTS, CONFIG = "weights.safetensors", "config.json"
_FORMAT = 1
_NETWORK = "network."  # before the names of the network's own tensors among an objective's


class TrainedNetwork(Record, frozen=True):
    """What lies beside a trained network's weights as JSON: enough to use them, and to train them again.

    Attributes
    ----------
    format : int
        Version of this record.
    backbone : str
        Name as `fresh_network` takes it.
    classes : tuple of str
        Names of the network's outputs, in their order.
    weights, weights_sha256 : str
        The file of the weights, beside this one, and the hash of its bytes.
    transform : mapping
        `Transform.to_json()` of the images as they were tested: `index --resize --crop`.
    loss : str
        The objective's name.
    head : mapping
        Of a hue loss's head, what is not the default.
    stages : tuple of str
        Layers of MaxDropout and Catch-up Mix, where they were named.
    begun_from : str
        The weights that training began from.
    seed : int
    training : mapping
        `TrainingSettings.to_json()`.
    data : str
        Fingerprint of the images trained on.
    n_images, n_test : int
        Images trained on, and tested on after each epoch.
    test_accuracy : float or None
        After the last epoch; None without a test part.
    versions : mapping of str to str
        Packages that took part.
    """

    format: Annotated[int, Meta(ge=1, le=_FORMAT)]
    backbone: str
    classes: tuple[str, ...]
    weights: str
    weights_sha256: Sha256
    transform: Mapping[str, Any]
    loss: str
    head: Mapping[str, Any]
    stages: tuple[str, ...]
    begun_from: str
    seed: Count
    training: Mapping[str, Any]
    data: str
    n_images: Count
    n_test: Count
    test_accuracy: float | None
    versions: Mapping[str, str]


def save_trained(
    objective: Objective, run: TrainingRun, images: TrainingImages, settings: TrainingSettings, *,
    backbone: str, begun_from: str | Path, weights: Path, config: Path, test: TrainingImages | None = None,
    head: Mapping[str, Any] | None = None, stages: Sequence[str] = (),
) -> TrainedNetwork:  # fmt: skip
    """Write a trained network's weights, under its own names alone, and what it is; both appear whole.

    `load_backbone` and `hueprobe index --weights` take the weights. What was trained beside the network is
    not among them.

    Parameters
    ----------
    objective : Objective
        Trained.
    run : TrainingRun
        As `train` gave it.
    images : TrainingImages
    settings : TrainingSettings
        As `train` took them.
    backbone : str
    begun_from : str or Path
        `backbone` and `weights` of `fresh_network`.
    weights, config : Path
        The files, in one folder.
    test : TrainingImages, optional
        As `train` took it.
    head : mapping, optional
        Options of the hue head that are not the defaults.
    stages : sequence of str
        As `objective_named` took them.

    Returns
    -------
    TrainedNetwork
        What `config` says.
    """
    _write_tensors(weights, plain_network(objective.network).state_dict())
    accuracy = run.log[-1]["test_accuracy"]
    from_files = images.table is not None
    record = TrainedNetwork(
        format=_FORMAT, backbone=backbone, classes=images.class_names, weights=weights.name,
        weights_sha256=sha256_of(weights),
        transform=Transform(resize=images.side if from_files else None, crop=settings.crop).to_json(),
        loss=objective.name, head=dict(head or {}), stages=tuple(stages), begun_from=str(begun_from),
        seed=settings.seed, training=settings.to_json(), data=images.fingerprint, n_images=len(images),
        n_test=0 if test is None else len(test), test_accuracy=None if math.isnan(accuracy) else accuracy,
        versions=library_versions(),
    )  # fmt: skip
    text = json.dumps(record.to_json(), sort_keys=True, indent=2, ensure_ascii=False, allow_nan=False)
    with written_whole(config) as file:
        file.write(f"{text}\n".encode())
    return record


def read_trained(path: str | Path) -> TrainedNetwork:
    """Return what `config.json` beside a trained network's weights says.

    Parameters
    ----------
    path : str or Path
        The file.

    Raises
    ------
    InputError
        It is missing, or no such record of this version.
    """
    try:
        return as_record(json.loads(Path(path).read_bytes()), TrainedNetwork)
    except OSError as error:
        raise InputError(f"cannot read {str(path)!r}: {error.strerror or error}") from error
    except (RecordError, ValueError, RecursionError) as error:
        raise InputError(f"{str(path)!r} is no record of a trained network: it {error}") from error


def save_beside(path: Path, objective: Objective) -> None:
    """Write what an objective trains beside its network, such as a hue head; no file where it trains nothing.

    Parameters
    ----------
    path : Path
        Of the file, which appears whole.
    objective : Objective
    """
    if beside := _beside(objective):
        _write_tensors(path, beside)


def load_trained(path: Path, objective: Objective, *, beside: Path) -> None:
    """Give an objective of the same kind the weights of a trained one, in place.

    Parameters
    ----------
    path : Path
        As `save_trained` wrote the network's, or as version 0.1 wrote a whole objective's.
    objective : Objective
    beside : Path
        As `save_beside` wrote it; read where the objective trains something beside its network.

    Raises
    ------
    WeightsError
        A file cannot be read, or is of another objective.
    """
    try:
        state = safetensors.torch.load_file(path)
        if state.keys() != objective.state_dict().keys():  # 0.1's are
            network = plain_network(objective.network).load_state_dict
            network(state)
            state = safetensors.torch.load_file(beside) if _beside(objective) else {}
            state |= {name: own for name, own in objective.state_dict().items() if name.startswith(_NETWORK)}
        objective.load_state_dict(state)
    except (OSError, RuntimeError, safetensors.SafetensorError) as error:
        raise WeightsError(
            f"{path} does not hold the weights of objective {objective.name!r} "
            f"({' '.join(str(error).split())[:120]}); remove it, and its run is trained again"
        ) from error


def plain_network(network: nn.Module) -> nn.Module:
    """Return a network without the wrappers of `torch.compile` and `DataParallel`, which rename its tensors.

    Examples
    --------
    >>> plain_network(nn.DataParallel(nn.Linear(2, 2)))
    Linear(in_features=2, out_features=2, bias=True)
    """
    while True:
        if isinstance(network, nn.DataParallel | nn.parallel.DistributedDataParallel):
            network = network.module
        elif isinstance(inner := getattr(network, "_orig_mod", None), nn.Module):
            network = inner
        else:
            return network


def _beside(objective: Objective) -> dict[str, Tensor]:
    return {name: value for name, value in objective.state_dict().items() if not name.startswith(_NETWORK)}


def _write_tensors(path: Path, state: Mapping[str, Any]) -> None:
    """Write the tensors of a state dict, each with a storage of its own."""
    tensors = {name: value for name, value in state.items() if isinstance(value, Tensor)}
    own = {
        name: value.detach().cpu().clone(memory_format=torch.contiguous_format)
        for name, value in tensors.items()
    }
    with written_whole(path) as file:
        file.write(safetensors.torch.save(own))
