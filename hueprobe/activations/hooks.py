"""Taps of a network: one layer's output, captured by a forward hook and read as a grid."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from hueprobe.activations.bottlenecks import NONNEGATIVE, Bottleneck
from hueprobe.errors import BackboneError, HueprobeError, LayerError, nearest_names

NCHW_LAYERS = (nn.Conv2d, nn.AdaptiveAvgPool2d)  # regardless of the layout inside their network


@dataclass(frozen=True, kw_only=True)
class Tap:
    """One layer of a network, and how its output becomes a grid of activations.

    Parameters
    ----------
    name : str
        Name of the network, for messages.
    layer : str
        Dotted name of the hooked layer; '' is the network itself.
    closing : str or None
        Last nonlinearity applied to the activations: relu, relu6, silu, hardswish; None if none comes
        last or the layer is not in the table.
    apply_closing : bool
        Whether the hook sees the tensor before that nonlinearity, so that the extractor must apply it.
    layout : str
        Layout of the layer's output: `nchw`; `nhwc`; `tokens`, (B, prefix_tokens + H*W, C) row by row.
    prefix_tokens : int
        Number of tokens before those of the grid.
    patch : (int, int) or None, default=None
        Height and width of a token's patch in pixels; None if the tokens fill a square grid.
    table_layer : bool
        Whether the layer is the bottleneck of the table, so that `closing` and `signed` are known.
    signed : bool or None
        Whether activations may be negative; None if unknown (not in the table). A memory measures it.
    """

    name: str
    layer: str
    closing: str | None
    apply_closing: bool
    layout: str
    prefix_tokens: int
    patch: tuple[int, int] | None = None
    table_layer: bool
    signed: bool | None


def find_tap(module: nn.Module, bottleneck: Bottleneck | None, layer: str | None, *, name: str) -> Tap:
    """Return the tap at `layer`, or at the bottleneck of the network's row of the table.

    Raises
    ------
    LayerError
        If the network has no such layer (names the nearest ones), or if neither a layer nor a row is
        given (names the layers around its last convolution).
    """
    if layer is None:
        if bottleneck is None:
            raise LayerError(
                f"{name} is not in the table of bottlenecks, so name the layer with layer= (--layer); "
                f"its last convolution is in {_around_last_convolution(module)}"
            )
        layer = bottleneck.layer
    target = require_layer(module, layer, name=name)
    if bottleneck is not None and layer == bottleneck.layer:
        return Tap(
            name=name,
            layer=layer,
            closing=bottleneck.closing,
            apply_closing=bottleneck.apply_closing,
            layout=bottleneck.layout,
            prefix_tokens=bottleneck.prefix_tokens,
            table_layer=True,
            signed=bottleneck.closing not in NONNEGATIVE,
        )
    layout = "nchw" if bottleneck is None or isinstance(target, NCHW_LAYERS) else bottleneck.inner_layout
    return Tap(
        name=name,
        layer=layer,
        closing=None,
        apply_closing=False,
        layout=layout,
        prefix_tokens=bottleneck.prefix_tokens if bottleneck is not None and layout == "tokens" else 0,
        table_layer=False,
        signed=None,
    )


def require_layer(module: nn.Module, layer: str, *, name: str) -> nn.Module:
    """Return the sub-module named `layer` ('' is the network itself), or raise LayerError."""
    layers: dict[str, nn.Module] = dict(module.named_modules())
    if layer not in layers:
        near = ", ".join(map(repr, nearest_names(layer, [known for known in layers if known])))
        raise LayerError(f"no layer {layer!r} in {name}; nearest names: {near or 'none'}")
    return layers[layer]


def _around_last_convolution(module: nn.Module) -> str:
    """Return the names of the last convolution and of the modules containing it, outermost first."""
    convolutions = [part for part, kind in module.named_modules() if isinstance(kind, nn.Conv2d) and part]
    if not convolutions:
        return "none of its modules"
    parts = convolutions[-1].split(".")
    return ", ".join(repr(".".join(parts[: n + 1])) for n in range(len(parts)))


@contextmanager
def captured_output(layer: nn.Module) -> Iterator[list[Any]]:
    """Capture the output of `layer` while the block runs.

    Yields a list that is empty until the layer has run, and then holds its last output. A tensor is
    cloned, since an in-place operation after the layer would overwrite it. The hook is removed when
    the block ends, also after an exception. Blocks may be nested, even on the same layer.
    """
    outputs: list[Any] = []

    def keep(_layer: nn.Module, _inputs: Any, output: Any) -> None:
        outputs[:] = [output.clone() if isinstance(output, torch.Tensor) else output]

    handle = layer.register_forward_hook(keep)
    try:
        yield outputs
    finally:
        handle.remove()


@contextmanager
def evaluating(module: nn.Module) -> Iterator[None]:
    """Run a network in eval mode within the block, and restore its state afterwards.

    Modes are changed by `train(mode)`, since adapters that merge into their layer in eval mode rely on it.
    The outermost module comes first, because its call includes its parts. The tensors of modules with their
    own `train` are restored bit for bit, since merging and unmerging would change them. A network that is
    entirely in eval mode is not touched.
    """
    modes = [(part, part.training) for part in module.modules()]
    if not any(training for _, training in modes):
        yield
        return
    own = [
        (tensor, tensor.detach().clone())
        for part, _ in modes
        if type(part).train is not nn.Module.train
        for tensor in (*part.parameters(recurse=False), *part.buffers(recurse=False))
    ]
    try:
        module.eval()
        yield
    finally:
        for part, training in modes:
            if part.training != training:
                part.train(training)
        for part, training in modes:
            part.training = training  # for a custom `train` that ignores its argument
        for tensor, before in own:
            if tensor.shape == before.shape and not torch.equal(tensor, before):
                tensor.data.copy_(before)  # through .data, so that existing graphs stay valid


@contextmanager
def failures_worded(what: str, *, doing: str, hint: str = "") -> Iterator[None]:
    """Turn any exception of a network's own code in the block into a BackboneError of one sentence.

    Parameters
    ----------
    what : str
        Name of the network.
    doing : str
        What it failed at; follows the word "fails".
    hint : str, default=''
        Possible cause, starting with "; ".
    """
    try:
        yield
    except HueprobeError:
        raise
    except Exception as error:
        reason = str(error).strip().partition("\n")[0]
        kind = "" if type(error) in (RuntimeError, AssertionError) else f"{type(error).__name__}: "
        said = (kind + reason).removesuffix(": ") or type(error).__name__
        raise BackboneError(f"{what} fails {doing}: {said}{hint}") from error


def as_grid(outputs: list[Any], tap: Tap, *, images: torch.Size) -> torch.Tensor:
    """Return a captured output as a grid of activations (B, C, H, W).

    Parameters
    ----------
    outputs : list
        Result of `captured_output`.
    tap : Tap
        The tapped layer.
    images : torch.Size
        Shape (B, 3, h, w) of the network's input.

    Raises
    ------
    LayerError
        If the layer did not run, or its output is not a grid.
    """
    what = f"layer {tap.layer!r} of {tap.name}"
    if not outputs:
        raise LayerError(f"{what} does not run in a forward pass; choose another with --layer")
    (output,) = outputs
    if not isinstance(output, torch.Tensor):
        raise LayerError(f"{what} gives a {type(output).__name__}, not a tensor; choose another with --layer")
    shape = {"nchw": "(B, C, H, W)", "nhwc": "(B, H, W, C)", "tokens": "(B, tokens, C)"}[tap.layout]
    if output.ndim != (3 if tap.layout == "tokens" else 4) or output.shape[0] != images[0]:
        raise LayerError(
            f"{what} gives a tensor of shape {tuple(output.shape)} for {images[0]} images, "
            f"not {shape}; choose another with --layer"
        )
    if tap.layout == "nhwc":
        return output.permute(0, 3, 1, 2)
    if tap.layout == "tokens":
        n_cells = output.shape[1] - tap.prefix_tokens
        height, width = _token_grid(n_cells, tap, images)
        if n_cells < 1 or height * width != n_cells:
            grid = "square grid" if tap.patch is None else f"grid of {height} x {width}"
            raise LayerError(
                f"{what} gives {n_cells} tokens after {tap.prefix_tokens} prefix tokens, which do not fill a "
                f"{grid}; choose another with --layer"
            )
        cells: torch.Tensor = output[:, tap.prefix_tokens :].transpose(1, 2).unflatten(2, (height, width))
        return cells
    return output


def _token_grid(n_cells: int, tap: Tap, images: torch.Size) -> tuple[int, int]:
    if tap.patch is None:
        side = math.isqrt(max(n_cells, 0))
        return side, side
    return images[2] // tap.patch[0], images[3] // tap.patch[1]
