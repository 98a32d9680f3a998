"""Trained networks as files: weights as safetensors, and a record of the training."""

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
    """The JSON record beside a trained network's weights: enough to use them, and to repeat the training.

    Attributes
    ----------
    format : int
        Version of this record.
    backbone : str
        Name for `fresh_network`.
    classes : tuple of str
        Names of the network's outputs, in order.
    weights : str
        File name of the weights, in the same folder.
    weights_sha256 : str
        SHA-256 of that file.
    transform : mapping
        `Transform.to_json()` of the test images, for `hueprobe index --resize --crop`.
    loss : str
        Name of the objective.
    head : mapping
        Options of a hue loss's head that are not the defaults.
    stages : tuple of str
        Layers of MaxDropout and Catch-up Mix, if they were named.
    begun_from : str
        Initial weights of the training.
    seed : int
        Seed of the training.
    training : mapping
        `TrainingSettings.to_json()`.
    data : str
        Fingerprint of the training images.
    n_images, n_test : int
        Number of training images, and of test images.
    test_accuracy : float or None
        Test accuracy after the last epoch; None without a test part.
    versions : mapping of str to str
        Versions of the packages that were used.

    See Also
    --------
    hueprobe.training.save_trained : Write a record with the weights.
    hueprobe.training.read_trained : Read a record.
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
    """Write a trained network's weights and their JSON record, both atomically.

    The tensors have the network's own names, so that `load_backbone` and `hueprobe index --weights` can load
    them. Modules trained beside the network, such as a hue head, are not included.

    Parameters
    ----------
    objective : Objective
        The trained objective.
    run : TrainingRun
        Result of `train`.
    images : TrainingImages
        Images that `train` used.
    settings : TrainingSettings
        Settings that `train` used.
    backbone : str
        `backbone` of `fresh_network`.
    begun_from : str or Path
        `weights` of `fresh_network`.
    weights, config : Path
        Files to write, in one folder.
    test : TrainingImages, optional
        Test images that `train` used; none by default.
    head : mapping, optional
        Options of the hue head that are not the defaults; none by default.
    stages : sequence of str, default=()
        `stages` of `objective_named`.

    Returns
    -------
    TrainedNetwork
        The record in `config`.

    See Also
    --------
    hueprobe.training.read_trained : Read the record again.
    hueprobe.load_backbone : Load the weights into a network.

    Examples
    --------
    >>> from pathlib import Path
    >>> from torch import nn
    >>> images = hp.training.load_images(hp.images.from_folder("images"), side=16)
    >>> objective = hp.training.Objective(nn.Sequential(nn.Flatten(), nn.Linear(3 * 16 * 16, 3)))
    >>> settings = hp.training.TrainingSettings(epochs=1, batch_size=4, crop=16, device="cpu")
    >>> run = hp.training.train(objective, images, settings)
    >>> record = hp.training.save_trained(
    ...     objective, run, images, settings, backbone="my_networks:linear", begun_from="none",
    ...     weights=Path("weights.safetensors"), config=Path("config.json"),
    ... )
    >>> record.classes, record.n_images
    (('circle', 'square', 'triangle'), 12)
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
    """Read the JSON record beside a trained network's weights.

    Parameters
    ----------
    path : str or Path
        The file, usually `config.json`.

    Returns
    -------
    TrainedNetwork
        The record.

    Raises
    ------
    InputError
        The file is missing, or is not such a record of this version.

    See Also
    --------
    hueprobe.training.save_trained : Write weights and record.

    Examples
    --------
    >>> from pathlib import Path
    >>> from torch import nn
    >>> images = hp.training.load_images(hp.images.from_folder("images"), side=16)
    >>> objective = hp.training.Objective(nn.Sequential(nn.Flatten(), nn.Linear(3 * 16 * 16, 3)))
    >>> settings = hp.training.TrainingSettings(epochs=1, batch_size=4, crop=16, device="cpu")
    >>> run = hp.training.train(objective, images, settings)
    >>> record = hp.training.save_trained(
    ...     objective, run, images, settings, backbone="my_networks:linear", begun_from="none",
    ...     weights=Path("weights.safetensors"), config=Path("config.json"),
    ... )
    >>> hp.training.read_trained("config.json") == record
    True
    """
    try:
        return as_record(json.loads(Path(path).read_bytes()), TrainedNetwork)
    except OSError as error:
        raise InputError(f"cannot read {str(path)!r}: {error.strerror or error}") from error
    except (RecordError, ValueError, RecursionError) as error:
        raise InputError(f"{str(path)!r} is not the record of a trained network: it {error}") from error


def save_beside(path: Path, objective: Objective) -> None:
    """Write the modules that an objective trains beside its network, such as a hue head, if there are any.

    Parameters
    ----------
    path : Path
        The file, written atomically.
    objective : Objective
        The trained objective.
    """
    if beside := _beside(objective):
        _write_tensors(path, beside)


def load_trained(path: Path, objective: Objective, *, beside: Path) -> None:
    """Load the weights of a trained objective into one of the same kind, in place.

    Parameters
    ----------
    path : Path
        The network's weights from `save_trained`, or a whole objective's weights from version 0.1.
    objective : Objective
        The objective to load into.
    beside : Path
        File from `save_beside`, read if the objective trains modules beside its network.

    Raises
    ------
    WeightsError
        A file cannot be read, or belongs to another objective.
    """
    try:
        state = safetensors.torch.load_file(path)
        if state.keys() != objective.state_dict().keys():  # those of version 0.1 are equal
            network = plain_network(objective.network).load_state_dict
            network(state)
            state = safetensors.torch.load_file(beside) if _beside(objective) else {}
            state |= {name: own for name, own in objective.state_dict().items() if name.startswith(_NETWORK)}
        objective.load_state_dict(state)
    except (OSError, RuntimeError, safetensors.SafetensorError) as error:
        raise WeightsError(
            f"{path} does not hold the weights of objective {objective.name!r} "
            f"({' '.join(str(error).split())[:120]}); remove it to train its run again"
        ) from error


def plain_network(network: nn.Module) -> nn.Module:
    """Remove the wrappers of `torch.compile` and `DataParallel`, which rename tensors, from a network.

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
    """Write the tensors of a state dict, each with its own storage."""
    tensors = {name: value for name, value in state.items() if isinstance(value, Tensor)}
    own = {
        name: value.detach().cpu().clone(memory_format=torch.contiguous_format)
        for name, value in tensors.items()
    }
    with written_whole(path) as file:
        file.write(safetensors.torch.save(own))
