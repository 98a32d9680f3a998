"""Which of a network's tensors lie behind its tapped layers: those may be missing from a file."""

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


def tensors_behind(module: nn.Module, layers: Sequence[str], images: Tensor) -> frozenset[str]:
    """Return the names in a network's state dict that no operation reads before its layers have run.

    Seen in one forward pass. In doubt, and where that fails, no tensor lies behind the layers.

    Parameters
    ----------
    module : nn.Module
        In eval mode, and left as it is.
    layers : sequence of str
        Dotted module names.
    images : Tensor of shape (1, channels, h, w)
        What the network gets.
    """
    for device in ("meta", "cpu"):  # shapes alone are quicker; some networks need numbers
        try:
            return _not_read_before(module, layers, images, torch.device(device))
        except Exception:  # whatever a network raises: the other way is tried, then none
            continue
    return frozenset()


def _not_read_before(
    module: nn.Module, layers: Sequence[str], images: Tensor, device: torch.device
) -> frozenset[str]:
    """Return the names that nothing reads before the layers' last run; none where a layer does not run."""
    own = {
        **dict(module.named_parameters(remove_duplicate=False)),
        **dict(module.named_buffers(remove_duplicate=False)),
    }
    copies: dict[int, Tensor] = {}  # tied tensors stay tied
    for tensor in own.values():
        copies.setdefault(id(tensor), tensor.detach().to(device).clone())
    tensors = {name: copies[id(tensor)] for name, tensor in own.items()}
    reads = _Reads(tensors)
    before: dict[str, frozenset[str]] = {}

    def keep(layer: str) -> Callable[..., None]:
        return lambda *_: before.__setitem__(layer, frozenset(reads.names))

    with torch.no_grad(), ExitStack() as stack:
        for layer in layers:
            stack.callback(module.get_submodule(layer).register_forward_hook(keep(layer)).remove)
        stack.enter_context(reads)
        torch.func.functional_call(module, tensors, (images.to(device),), tie_weights=False)
    return frozenset(tensors).difference(*before.values()) if len(before) == len(set(layers)) else frozenset()


class _Reads(TorchDispatchMode):
    """Collects the names of the tensors that operations read, be it through a view."""

    def __init__(self, tensors: dict[str, Tensor]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.names: set[str] = set()
        self._names: dict[int, list[str]] = {}
        for name, tensor in tensors.items():
            self._names.setdefault(tensor.untyped_storage()._cdata, []).append(name)

    def __torch_dispatch__(
        self, func: Callable[..., Any], types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        for value in tree_leaves((args, kwargs or {})):
            if isinstance(value, Tensor):
                self.names.update(self._names.get(value.untyped_storage()._cdata, ()))
        return func(*args, **(kwargs or {}))
