"""Weights: fetched, read without running what they hold, put into a network, and told apart by a hash."""

import hashlib
import http.client
import pickle
import re
import warnings
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch
from torch import Tensor, nn

from hueprobe.errors import WeightsError

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
    """Read a state dict from a `.safetensors` file or a plain PyTorch one, never running code in it.

    Raises
    ------
    WeightsError
        When the file is missing, damaged, holds Python objects other than tensors, or is no state dict.
    """
    if not path.is_file():
        raise WeightsError(f"no weights file {str(path)!r}")
    if path.suffix == ".safetensors":
        try:
            return safetensors.torch.load_file(path)
        except (safetensors.SafetensorError, OSError) as error:
            raise WeightsError(f"weights file {str(path)!r} is damaged: {error}") from error
    state = _unpickle(path)
    if not isinstance(state, Mapping) or not state:
        raise WeightsError(f"weights file {str(path)!r} holds no state dict but a {type(state).__name__}")
    for key, value in state.items():
        if not isinstance(value, Tensor):
            raise WeightsError(
                f"weights file {str(path)!r} is no plain state dict: {key!r} is a {type(value).__name__}, "
                "not a tensor; save the state dict by itself"
            )
    return dict(state)


def _unpickle(path: Path) -> Any:
    """Read what `torch.save` wrote, tensors and containers only; other objects are refused, not built."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about unusual pickles, which fail right after or are fine
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
            raise _mismatch(what, own_key, own_tensor, f"{tuple(tensor.shape)} (as {key})")
    return dict(zip(own, state.values(), strict=True))


def put_weights(
    module: nn.Module, state: Mapping[str, Tensor], *, what: str, training_only: tuple[str, ...] = ()
) -> None:
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

    Raises
    ------
    WeightsError
        Naming the first tensor that does not match, with both shapes.
    """
    own = module.state_dict()
    state = _as_modules_expect(state, module)
    for key in own.keys() & state.keys():
        if own[key].is_floating_point() != state[key].is_floating_point():
            raise WeightsError(
                f"{what} do not fit: {key!r} is {own[key].dtype} in the network, "
                f"{state[key].dtype} in the file"
            )
    try:
        missing, unexpected = module.load_state_dict(state, strict=False)
    except RuntimeError as error:  # other shapes; torch's text lists every one
        raise _first_mismatch(what, own, state) or WeightsError(f"{what} do not fit: {error}") from error
    if any(not key.endswith("num_batches_tracked") for key in missing):
        raise _first_mismatch(what, own, state) or WeightsError(
            f"{what} do not fit: {missing[0]!r} is missing"
        )
    for key in unexpected:
        if not key.startswith(tuple(f"{part}." for part in training_only)):
            shape = tuple(state[key].shape)
            raise WeightsError(
                f"{what} do not fit: the file has {key!r} of shape {shape}, the network has not"
            )


def _as_modules_expect(state: Mapping[str, Tensor], module: nn.Module) -> OrderedDict[str, Tensor]:
    """Return a copy with today's names and with the version that MNASNet insists on."""
    renamed = OrderedDict((OLD_DENSENET_KEY.sub(r"\1\2", key), tensor) for key, tensor in state.items())
    own_version = module.state_dict()._metadata[""]  # type: ignore[attr-defined]
    renamed._metadata = {"": own_version}  # type: ignore[attr-defined]
    return renamed


def _first_mismatch(what: str, own: Mapping[str, Tensor], state: Mapping[str, Tensor]) -> WeightsError | None:
    """Word the first of the network's tensors that the file lacks or holds in another shape or kind."""
    for key, tensor in own.items():
        found = state.get(key)
        if found is None and not key.endswith("num_batches_tracked"):
            return WeightsError(
                f"{what} do not fit: {key!r} of shape {tuple(tensor.shape)} is not in the file"
            )
        if found is not None and found.shape != tensor.shape:
            return _mismatch(what, key, tensor, str(tuple(found.shape)))
    return None


def _mismatch(what: str, key: str, own: Tensor, found: str) -> WeightsError:
    return WeightsError(
        f"{what} do not fit: {key!r} has shape {tuple(own.shape)} in the network, {found} in the file"
    )


def weights_sha256(module: nn.Module) -> str:
    """Return the SHA-256 over name, dtype, shape and bytes of the state dict's tensors, sorted by name."""
    digest = hashlib.sha256()
    for name, tensor in sorted(module.state_dict().items()):
        if isinstance(tensor, Tensor):  # a module may keep extra state of another kind
            dtype = str(tensor.dtype).removeprefix("torch.")
            digest.update(f"{name} {dtype} {tuple(tensor.shape)}\n".encode())
            digest.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()
