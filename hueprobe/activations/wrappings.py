"""A network's tensors found in a weights file, whatever they are wrapped in, and the record beside it."""

import json
import re
import warnings
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from hueprobe.activations.weights import read_content, todays_name
from hueprobe.errors import HueprobeWarning, InputError, WeightsError
from hueprobe.images.transform import Transform

# torch.compile, FSDP and checkpointing put these anywhere into a name.
_WRAPPERS = re.compile(r"(?<![^.])(?:_orig_mod|_fsdp_wrapped_module|_checkpoint_wrapped_module)\.")
_AVERAGED = re.compile(r"(?i)(?<![a-z])(?:ema|swa|averaged?|teacher)(?![a-z])")
_RECORD, _CHECKPOINT = "config.json", "checkpoint.pt"  # what training leaves in one folder
_DEEPEST = 4  # containers in containers; hueprobe's own checkpoints have two


def weights_for(path: Path, module: nn.Module) -> dict[str, Tensor]:
    """Read a file and return the tensors that are meant for a network, under the network's own names.

    The file is a state dict or holds some in containers, such as `{"state_dict": ...}`; its names may stand
    behind a prefix, such as `module.` or `network.`. What fits the most of the network's tensors is taken; of
    an average (EMA) and the plain weights that fit alike, the plain ones. One warning says what was unwrapped
    and left.

    Parameters
    ----------
    path : Path
    module : nn.Module
        The network, which is left as it is.

    Raises
    ------
    WeightsError
        As `read_content`; no part of the file is a state dict; or several fit alike.
    """
    own = {_unwrapped(name): tensor for name, tensor in module.state_dict().items()}
    names = {_unwrapped(name): name for name in module.state_dict()}
    outer = _common_prefix(own)
    found = list(_state_dicts(read_content(path)))
    if not found:
        raise WeightsError(f"weights file {str(path)!r} holds no state dict: no names with tensors")
    parts = [part for state in found for part in _parts(*state, own)]
    if outer and not any(part.n_fitting for part in parts):  # the network is wrapped, the file's was not
        own = {name.removeprefix(outer): tensor for name, tensor in own.items()}
        names = {name.removeprefix(outer): true for name, true in names.items()}
        parts = [part for state in found for part in _parts(*state, own)]
    taken, others = _chosen(parts, path)
    kept = {
        name.removeprefix(taken.prefix): tensor
        for name, tensor in taken.state.items()
        if name.startswith(taken.prefix)
    }
    if words := _words(taken, others, path):
        warnings.warn(f"weights file {str(path)!r}: {'; '.join(words)}", HueprobeWarning, stacklevel=2)
    return {names.get(name, name): tensor for name, tensor in kept.items()}


def transform_beside(path: Path, backbone: str) -> Transform | None:
    """Return the transform of the images that a network was tested on, or None where none is recorded.

    `hueprobe train` and `compare` write it beside the weights, as `config.json` or under the file's own name.

    Raises
    ------
    WeightsError
        The record of this file and network has a transform that cannot be.
    """
    for beside in (path.with_suffix(".json"), path.with_name(_RECORD)):
        try:
            record = json.loads(beside.read_bytes())
        except (OSError, ValueError, RecursionError):  # other tools' files have such names, too
            continue
        if not isinstance(record, Mapping) or not isinstance(record.get("transform"), Mapping):
            continue
        if record.get("backbone") == backbone and path.name in (record.get("weights"), _CHECKPOINT):
            try:
                return Transform.from_json(record["transform"])
            except InputError as error:
                raise WeightsError(f"{beside} has no transform that can be used: {error}") from error
    return None


@dataclass(frozen=True)
class _Part:
    """A part of a file: where it lies, and the prefix behind which the network's names stand in it."""

    path: tuple[str, ...]
    state: Mapping[str, Tensor]
    wrapped: bool
    prefix: str
    n_fitting: int

    @property
    def averaged(self) -> bool:
        return bool(_AVERAGED.search(".".join((*self.path, self.prefix))))

    def __str__(self) -> str:
        place = f"its {' > '.join(map(repr, self.path))}" if self.path else "it"
        return f"{place} behind {self.prefix!r}" if self.prefix else place


def _state_dicts(
    content: Any, path: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], dict[str, Tensor]]]:
    """Find the mappings of names to tensors in a file, whatever else stands beside the tensors."""
    if not isinstance(content, Mapping) or len(path) > _DEEPEST:
        return
    named = {name: value for name, value in content.items() if isinstance(name, str)}
    if tensors := {name: value for name, value in named.items() if isinstance(value, Tensor)}:
        yield path, tensors
    for name, value in named.items():
        yield from _state_dicts(value, (*path, name))


def _parts(path: tuple[str, ...], state: dict[str, Tensor], own: Mapping[str, Tensor]) -> list[_Part]:
    """Return a state dict with each prefix that makes the most tensors fit; none, where that does too."""
    bare = {_unwrapped(name): tensor for name, tensor in state.items()}
    fitting = Counter({"": 0})
    for name, tensor in bare.items():
        places = [0, *(place.end() for place in re.finditer(r"\.", name))]
        fitting.update(
            name[:at] for at in places if getattr(own.get(name[at:]), "shape", None) == tensor.shape
        )
    most = max(fitting.values())
    prefixes = [""] if fitting[""] == most else [prefix for prefix, n in fitting.items() if n == most]
    wrapped = any(map(_WRAPPERS.search, state))
    return [_Part(path, bare, wrapped, prefix, most) for prefix in prefixes]


def _chosen(parts: list[_Part], path: Path) -> tuple[_Part, list[_Part]]:
    """Return the part to take, and those of the other kind, averaged or plain, that fit the network too."""
    most = max(part.n_fitting for part in parts)
    if not most:  # none fits: the largest is what the mismatch is best shown by
        return max(parts, key=lambda part: len(part.state)), []
    best = [part for part in parts if part.n_fitting == most]
    plain: list[_Part] = []
    for part in [part for part in best if not part.averaged] or best:
        if not any(_same(part, other) for other in plain):
            plain.append(part)
    if len(plain) > 1:
        raise WeightsError(
            f"weights file {str(path)!r} holds weights that fit the network in several places: "
            f"{', '.join(map(str, plain))}; {_how_to_save(plain[0], path)}"
        )
    taken = plain[0]
    return taken, [part for part in parts if part.averaged != taken.averaged and 2 * part.n_fitting > most]


def _same(part: _Part, other: _Part) -> bool:
    """Whether two parts hold the same tensors, as where a checkpoint names one state dict twice."""
    return (
        part.prefix == other.prefix
        and part.state.keys() == other.state.keys()
        and all(torch.equal(tensor, other.state[name]) for name, tensor in part.state.items())
    )


def _words(taken: _Part, others: list[_Part], path: Path) -> list[str]:
    words = [f"took {' > '.join(map(repr, taken.path))}"] if taken.path else []
    if taken.prefix:
        words.append(f"took {taken.prefix!r} off the names")
        if outside := [name for name in taken.state if not name.startswith(taken.prefix)]:
            more = f" and {len(outside) - 1} more" if len(outside) > 1 else ""
            words.append(f"left out {outside[0]!r}{more}")
    if taken.wrapped:
        words.append("took the names of wrappers such as '_orig_mod.' out")
    if others:
        kind = "averaged (EMA)" if others[0].averaged else "other"
        words.append(f"left the {kind} weights in {others[0]}: {_how_to_save(others[0], path)}")
    return words


def _how_to_save(part: _Part, path: Path) -> str:
    keys = "".join(f"[{key!r}]" for key in part.path)
    names = (
        f"{{k.removeprefix({part.prefix!r}): v for k, v in s.items() if k.startswith({part.prefix!r})}}"
        if part.prefix
        else "s"
    )
    return (
        f"to take {part}, save it by itself: s = torch.load({path.name!r}, weights_only=True){keys}; "
        f"torch.save({names}, 'weights.pth')"
    )


def _unwrapped(name: str) -> str:
    return todays_name(_WRAPPERS.sub("", name))


def _common_prefix(names: Mapping[str, Tensor]) -> str:
    """Return the dotted prefix that all names have."""
    split = [name.split(".")[:-1] for name in names]
    common = []
    for parts in zip(*split, strict=False):
        if len(set(parts)) > 1:
            break
        common.append(parts[0])
    return "".join(f"{part}." for part in common)
