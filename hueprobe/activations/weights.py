"""Weights: fetched, read without running what they hold, put into a network, and told apart by a hash."""

import argparse
import hashlib
import http.client
import pickle
import re
import warnings
from collections import OrderedDict
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import safetensors
import safetensors.torch
import torch
from torch import Tensor, nn

from hueprobe.errors import HueprobeWarning, WeightsError, nearest_names

# Training scripts keep their arguments and numbers of NumPy's beside the weights: plain values, no code.
_HARMLESS: list[Any] = [
    argparse.Namespace,
    np.dtype,
    np.float64(0).__reduce__()[0],
    *{type(np.dtype(kind)) for kind in ("float64", "float32", "int64", "int32", "bool")},
]
# torchvision's DenseNet files are older than the rule that a module's name holds no dot.
OLD_DENSENET_KEY = re.compile(r"(.*denselayer\d+\.(?:norm|relu|conv))\.([12]\..*)")


def fetch_weights(url: str, *, weights: str, name: str) -> Path:
    """Return the file of torchvision's weights, from torch's own cache or downloaded into it.

    Raises
    ------
    WeightsError
        When it cannot be downloaded; says which file to get by hand.
    """
    file = url.rsplit("/", 1)[-1]
    path = Path(torch.hub.get_dir()) / "checkpoints" / file
    if path.is_file():
        return path
    digest = torch.hub.HASH_REGEX.search(file)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        torch.hub.download_url_to_file(url, str(path), digest.group(1) if digest else None, progress=False)
    except (OSError, RuntimeError, http.client.HTTPException) as error:
        raise WeightsError(
            f"cannot download {file}, the {weights} weights of {name} ({error}); "
            f"download it by hand and pass --weights FILE, or --weights none for random weights"
        ) from error
    return path


def read_weights(path: Path) -> dict[str, Tensor]:
    """Read a plain state dict from a `.safetensors` file or a PyTorch one, never running code in it.

    Raises
    ------
    WeightsError
        When the file is missing, damaged, holds Python objects other than tensors, or is no state dict.
    """
    state = read_content(path)
    for key, value in state.items():
        if not isinstance(value, Tensor):
            raise WeightsError(
                f"weights file {str(path)!r} is no plain state dict: {key!r} is a {type(value).__name__}, "
                "not a tensor; save the state dict by itself"
            )
    return dict(state)


def read_content(path: Path) -> Mapping[str, Any]:
    """Read what a weights file holds, tensors and plain values, never running code in it.

    Raises
    ------
    WeightsError
        When the file is missing, damaged, holds other objects, or holds nothing under names.
    """
    if not path.is_file():
        raise WeightsError(f"no weights file {str(path)!r}")
    if path.suffix == ".safetensors":
        try:
            return safetensors.torch.load_file(path)
        except (safetensors.SafetensorError, OSError) as error:
            raise WeightsError(f"weights file {str(path)!r} is damaged: {error}") from error
    content = _unpickle(path)
    if not isinstance(content, Mapping) or not content:
        raise WeightsError(f"weights file {str(path)!r} holds no state dict but a {type(content).__name__}")
    return content


def _unpickle(path: Path) -> Any:
    """Read what `torch.save` wrote, tensors and containers only; other objects are refused, not built."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about unusual pickles, which fail right after or are fine
            with torch.serialization.safe_globals(_HARMLESS):
                return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        foreign = re.search(r"GLOBAL (\S+)", str(error))
        if foreign:
            raise WeightsError(
                f"weights file {str(path)!r} holds code or foreign objects ({foreign.group(1)}), so it was "
                "refused and nothing of it was run; save a plain state dict, or a .safetensors file"
            ) from error
        raise _unreadable(path) from error
    except Exception as error:  # whatever bytes that are no weights make the reader stumble over
        raise _unreadable(path) from error


def _unreadable(path: Path) -> WeightsError:
    return WeightsError(
        f"weights file {str(path)!r} is damaged or holds more than tensors; nothing in it was run; "
        "pass a .safetensors file or a plain PyTorch state dict"
    )


def rename_by_position(state: Mapping[str, Tensor], module: nn.Module, *, what: str) -> dict[str, Tensor]:
    """Give tensors the names of the module's own, in order, after comparing every shape."""
    own = module.state_dict()
    if len(state) != len(own):
        raise WeightsError(f"{what} hold {len(state)} tensors, the network has {len(own)}")
    for (key, tensor), (own_key, own_tensor) in zip(state.items(), own.items(), strict=True):
        if tensor.shape != own_tensor.shape:
            raise _other_shape(what, own_key, own_tensor, f"{tuple(tensor.shape)} (as {key})")
    return dict(zip(own, state.values(), strict=True))


def put_weights(
    module: nn.Module,
    state: Mapping[str, Tensor],
    *,
    what: str,
    training_only: tuple[str, ...] = (),
    behind: Callable[[], Collection[str]] = frozenset,
) -> frozenset[str]:
    """Copy a state dict into a network, in the network's own dtypes.

    Parameters
    ----------
    module : nn.Module
        Changed in place; of no use after an error.
    state : mapping of str to Tensor
        Must match the network's own name by name and shape by shape. BatchNorm's counters
        (`num_batches_tracked`) may be missing: they serve training alone.
    what : str
        The weights and the network, for messages: "weights file 'a.pth' for resnet50".
    training_only : tuple of str
        Names of sub-modules that the network may lack; their tensors are left out.
    behind : callable
        Gives the names of the network's tensors that are not needed, such as those of another number of
        classes: where they do not match they stay as they are, and a warning says so. Asked only where
        something does not match.

    Returns
    -------
    frozenset of str
        Names of the network's tensors that were not loaded.

    Raises
    ------
    WeightsError
        Naming the first needed tensor that does not match, with both shapes and the nearest names.
    """
    own = {name: tensor for name, tensor in module.state_dict().items() if isinstance(tensor, Tensor)}
    state = _as_modules_expect(state, module)
    other = {key for key in own.keys() & state.keys() if _differ(own[key], state[key])}
    fitting = OrderedDict((key, tensor) for key, tensor in state.items() if key not in other)
    fitting._metadata = state._metadata  # type: ignore[attr-defined]
    try:
        missing, extra = module.load_state_dict(fitting, strict=False)
    except RuntimeError as error:
        raise WeightsError(f"{what} do not fit: {' '.join(str(error).split())}") from error
    lacking = [key for key in missing if not key.endswith("num_batches_tracked") or key in other]
    extra = [key for key in extra if not key.startswith(tuple(f"{part}." for part in training_only))]
    if not lacking and not extra:
        return frozenset()
    unneeded = behind()
    for key in lacking:
        if key not in unneeded:
            raise _mismatch(what, key, own, state)
    needed_parts = {part for key in own.keys() - unneeded for part in _parents(key)}
    for key in extra:  # allowed in a part of the network that is not needed, or in one that it does not have
        inside = next((part for part in reversed(_parents(key)) if _has_part(module, part)), None)
        if not unneeded or inside in needed_parts:
            raise WeightsError(
                f"{what} do not fit: the file has {key!r} of shape {tuple(state[key].shape)}, "
                "the network has not"
            )
    warnings.warn(_not_loaded(what, lacking, extra, own, state), HueprobeWarning, stacklevel=2)
    return frozenset(lacking)


def _differ(own: Tensor, found: Tensor) -> bool:
    return own.shape != found.shape or own.is_floating_point() != found.is_floating_point()


def _parents(key: str) -> list[str]:
    """Return the dotted names of the modules that a tensor is in, the outermost first."""
    parts = key.split(".")[:-1]
    return [".".join(parts[: n + 1]) for n in range(len(parts))]


def _has_part(module: nn.Module, name: str) -> bool:
    try:
        module.get_submodule(name)
    except AttributeError:
        return False
    return True


def _not_loaded(
    what: str, lacking: list[str], extra: list[str], own: Mapping[str, Tensor], state: Mapping[str, Tensor]
) -> str:
    words = []
    if lacking:
        first = lacking[0]
        found = (
            f"has shape {tuple(state[first].shape)} in the file" if first in state else "is not in the file"
        )
        words.append(f"{first!r}, {tuple(own[first].shape)} in the network, {found}{_and_more(lacking)}")
    if extra:
        words.append(f"the network has no {extra[0]!r} of the file{_and_more(extra)}")
    return f"{what}: {'; '.join(words)}: not loaded, and not needed for the activations that are asked for"


def _and_more(keys: list[str]) -> str:
    return f" (and {len(keys) - 1} more)" if len(keys) > 1 else ""


def todays_name(key: str) -> str:
    """Return the name that torchvision's networks of today have for a tensor of an older file."""
    return OLD_DENSENET_KEY.sub(r"\1\2", key)


def _as_modules_expect(state: Mapping[str, Tensor], module: nn.Module) -> OrderedDict[str, Tensor]:
    """Return a copy with today's names and with the version that MNASNet insists on."""
    renamed = OrderedDict((todays_name(key), tensor) for key, tensor in state.items())
    own_version = module.state_dict()._metadata[""]  # type: ignore[attr-defined]
    renamed._metadata = {"": own_version}  # type: ignore[attr-defined]
    return renamed


def _mismatch(what: str, key: str, own: Mapping[str, Tensor], state: Mapping[str, Tensor]) -> WeightsError:
    """Word a tensor of the network's that the file lacks, or has in another shape or kind."""
    shape = tuple(own[key].shape)
    found = state.get(key)
    if found is None:
        unknown = {name: tensor for name, tensor in state.items() if name not in own}
        alike = [name for name, tensor in unknown.items() if tensor.shape == shape] or list(unknown)
        near = " and ".join(
            f"{name!r} of shape {tuple(unknown[name].shape)}" for name in nearest_names(key, alike, n=2)
        )
        hint = f"; the nearest there: {near}" if near else ""
        return WeightsError(f"{what} do not fit: {key!r} of shape {shape} is not in the file{hint}")
    if found.shape != shape:
        return _other_shape(what, key, own[key], str(tuple(found.shape)))
    return WeightsError(
        f"{what} do not fit: {key!r} is {own[key].dtype} in the network, {found.dtype} in the file"
    )


def _other_shape(what: str, key: str, own: Tensor, found: str) -> WeightsError:
    return WeightsError(
        f"{what} do not fit: {key!r} has shape {tuple(own.shape)} in the network, {found} in the file"
    )


def weights_sha256(module: nn.Module, *, without: Collection[str] = ()) -> str:
    """Return the SHA-256 over name, dtype, shape and bytes of the state dict's tensors, sorted by name.

    Those `without` which it is taken are what no file gave, and no activation depends on.
    """
    digest = hashlib.sha256()
    for name, tensor in sorted(module.state_dict().items()):
        if isinstance(tensor, Tensor) and name not in without:  # extra state may be of another kind
            dtype = str(tensor.dtype).removeprefix("torch.")
            digest.update(f"{name} {dtype} {tuple(tensor.shape)}\n".encode())
            digest.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()
