"""Checkpoints, written atomically and resumed only by the run that wrote them."""

import io
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from hueprobe.errors import InputError
from hueprobe.files import written_whole

_VERSION = 1
_FREE = ("checkpoint_every",)  # may change when a run resumes


@dataclass(frozen=True)
class Checkpoint:
    """The state of a run after an epoch.

    Attributes
    ----------
    run : dict
        Identity of the run: settings, data, objective. Other runs refuse the checkpoint.
    epochs_done : int
        Number of finished epochs.
    state : dict of str to Any
        State dicts of objective, optimizer and schedule.
    log : list of dict
        One row per epoch.
    """

    run: dict[str, Any]
    epochs_done: int
    state: dict[str, Any]
    log: list[dict[str, float]]


def save_checkpoint(path: Path, checkpoint: Checkpoint) -> None:
    """Replace the previous checkpoint; an interruption at any moment leaves one of the two intact."""
    content = io.BytesIO()
    torch.save({"version": _VERSION, **vars(checkpoint)}, content)
    with written_whole(path) as file:
        file.write(content.getbuffer())


def load_checkpoint(path: Path, run: Mapping[str, Any], *, device: torch.device) -> Checkpoint | None:
    """Return the checkpoint of this run, or None if there is none yet.

    Raises
    ------
    InputError
        The file is not a checkpoint, or belongs to another run; the message says what differs.
    """
    if not path.exists():
        return None
    try:
        content = torch.load(path, map_location=device, weights_only=True)
        if content.pop("version") != _VERSION:
            raise KeyError("version")
        checkpoint = Checkpoint(**content)
        kinds = {"run": dict, "epochs_done": int, "state": dict, "log": list}
        if wrong := [name for name, kind in kinds.items() if type(getattr(checkpoint, name)) is not kind]:
            raise TypeError(wrong[0])
    except Exception as error:  # torch's reader raises almost anything for arbitrary bytes
        raise InputError(
            f"{path} cannot be read as a checkpoint ({type(error).__name__}); remove it"
        ) from error
    differing = [
        f"{name} was {checkpoint.run.get(name)!r} and is {run.get(name)!r}"
        for name in sorted({*run, *checkpoint.run} - set(_FREE))
        if checkpoint.run.get(name) != run.get(name)
    ]
    if differing:
        raise InputError(
            f"{path} is the checkpoint of another run: {'; '.join(differing)}; "
            "choose another folder or remove it"
        )
    return checkpoint
