"""Finding a network's tensors in a weights file, however nested, and the record beside the file."""

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

# torch.compile, FSDP and checkpointing insert these anywhere in a name.
_WRAPPERS = re.compile(r"(?<![^.])(?:_orig_mod|_fsdp_wrapped_module|_checkpoint_wrapped_module)\.")
_AVERAGED = re.compile(r"(?i)(?<![a-z])(?:ema|swa|averaged?|teacher)(?![a-z])")
_RECORD, _CHECKPOINT = "config.json", "checkpoint.pt"  # written by training in one folder
_DEEPEST = 4  # levels of nested containers; hueprobe's own checkpoints have two


def weights_for(path: Path, module: nn.Module) -> dict[str, Tensor]:
    """Read a file and return the tensors for a network, under the network's own names.

    The file is a state dict or contains nested ones, such as `{"state_dict": ...}`; their names may have a
    prefix, such as `module.` or `network.`. The part that matches most of the network's tensors is used. If
    averaged (EMA) and plain weights match equally well, the plain ones are used. One warning reports what was
    unwrapped and what was ignored.

    Parameters
    ----------
    path : Path
        The weights file.
    module : nn.Module
        The network; it is not changed.

    Raises
    ------
    WeightsError
        As in `read_content`, or if no part of the file is a state dict, or if several match equally well.
    """
    own = {_unwrapped(name): tensor for name, tensor in module.state_dict().items()}
    names = {_unwrapped(name): name for name in module.state_dict()}
    outer = _common_prefix(own)
    found = list(_state_dicts(read_content(path)))
    if not found:
        raise WeightsError(f"weights file {str(path)!r} contains no state dict: no tensors with names")
    parts = [part for state in found for part in _parts(*state, own)]
    if outer and not any(
        part.n_fitting for part in parts
    ):  # the network is wrapped, the one in the file was not
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
    """Return the transform of a network's test images, or None if none is recorded.

    `hueprobe train` and `compare` write it beside the weights, as `config.json` or under the file's own name.

    Raises
    ------
    WeightsError
        If the record of this file and network has an invalid transform.
    """
    for beside in (path.with_suffix(".json"), path.with_name(_RECORD)):
        try:
            record = json.loads(beside.read_bytes())
        except (OSError, ValueError, RecursionError):  # files of other tools may have these names too
            continue
        if not isinstance(record, Mapping) or not isinstance(record.get("transform"), Mapping):
            continue
        if record.get("backbone") == backbone and path.name in (record.get("weights"), _CHECKPOINT):
            try:
                return Transform.from_json(record["transform"])
            except InputError as error:
                raise WeightsError(f"{beside} has no valid transform: {error}") from error
    return None


@dataclass(frozen=True)
class _Part:
    """A part of a file: its location, and the prefix of the network's names in it."""

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
        return f"{place} under the prefix {self.prefix!r}" if self.prefix else place


def _state_dicts(
    content: Any, path: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], dict[str, Tensor]]]:
    """Find the mappings from names to tensors in a file, ignoring everything else in it."""
    if not isinstance(content, Mapping) or len(path) > _DEEPEST:
        return
    named = {name: value for name, value in content.items() if isinstance(name, str)}
    if tensors := {name: value for name, value in named.items() if isinstance(value, Tensor)}:
        yield path, tensors
    for name, value in named.items():
        yield from _state_dicts(value, (*path, name))


def _parts(path: tuple[str, ...], state: dict[str, Tensor], own: Mapping[str, Tensor]) -> list[_Part]:
    """Return a state dict with each prefix that matches the most tensors; only no prefix if that does too."""
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
    """Return the part to use, and those of the other kind (averaged or plain) that also match the network."""
    most = max(part.n_fitting for part in parts)
    if not most:  # none matches: the largest gives the best message
        return max(parts, key=lambda part: len(part.state)), []
    best = [part for part in parts if part.n_fitting == most]
    plain: list[_Part] = []
    for part in [part for part in best if not part.averaged] or best:
        if not any(_same(part, other) for other in plain):
            plain.append(part)
    if len(plain) > 1:
        raise WeightsError(
            f"weights file {str(path)!r} has weights that fit the network in several places: "
            f"{', '.join(map(str, plain))}; {_how_to_save(plain[0], path)}"
        )
    taken = plain[0]
    return taken, [part for part in parts if part.averaged != taken.averaged and 2 * part.n_fitting > most]


def _same(part: _Part, other: _Part) -> bool:
    """Whether two parts contain the same tensors, for checkpoints that hold one state dict twice."""
    return (
        part.prefix == other.prefix
        and part.state.keys() == other.state.keys()
        and all(torch.equal(tensor, other.state[name]) for name, tensor in part.state.items())
    )


def _words(taken: _Part, others: list[_Part], path: Path) -> list[str]:
    words = [f"used {' > '.join(map(repr, taken.path))}"] if taken.path else []
    if taken.prefix:
        words.append(f"removed the prefix {taken.prefix!r} from the names")
        if outside := [name for name in taken.state if not name.startswith(taken.prefix)]:
            more = f" and {len(outside) - 1} more" if len(outside) > 1 else ""
            words.append(f"ignored {outside[0]!r}{more}")
    if taken.wrapped:
        words.append("removed wrapper names such as '_orig_mod.'")
    if others:
        kind = "averaged (EMA)" if others[0].averaged else "other"
        words.append(f"ignored the {kind} weights in {others[0]}: {_how_to_save(others[0], path)}")
    return words


def _how_to_save(part: _Part, path: Path) -> str:
    keys = "".join(f"[{key!r}]" for key in part.path)
    names = (
        f"{{k.removeprefix({part.prefix!r}): v for k, v in s.items() if k.startswith({part.prefix!r})}}"
        if part.prefix
        else "s"
    )
    return (
        f"to use {part}, save it separately: s = torch.load({path.name!r}, weights_only=True){keys}; "
        f"torch.save({names}, 'weights.pth')"
    )


def _unwrapped(name: str) -> str:
    return todays_name(_WRAPPERS.sub("", name))


def _common_prefix(names: Mapping[str, Tensor]) -> str:
    """Return the dotted prefix common to all names."""
    split = [name.split(".")[:-1] for name in names]
    common = []
    for parts in zip(*split, strict=False):
        if len(set(parts)) > 1:
            break
        common.append(parts[0])
    return "".join(f"{part}." for part in common)
