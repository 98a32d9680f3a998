"""Where a network is tapped, and one layer's output caught by a forward hook and read as a grid."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from hueprobe.activations.bottlenecks import NONNEGATIVE, Bottleneck
from hueprobe.errors import BackboneError, HueprobeError, LayerError, nearest_names

NCHW_LAYERS = (nn.Conv2d, nn.AdaptiveAvgPool2d)  # whatever layout their network has inside


@dataclass(frozen=True, kw_only=True)
class Tap:
    """One layer of a network, and how its output becomes a grid of activations.

    Parameters
    ----------
    name : str
        The network's, for messages.
    layer : str
        Dotted name of the hooked layer; '' is the network itself.
    closing : str or None
        Nonlinearity that the activations have been through last: relu, relu6, silu, hardswish, or
        None where none comes last or the layer is off the table.
    apply_closing : bool
        The hook sees the tensor before that nonlinearity, so the extractor applies it.
    layout : str
        What the layer gives: `nchw`; `nhwc`; `tokens`, (B, prefix_tokens + H*W, C) in reading order.
    prefix_tokens : int
        Tokens before the grid's.
    patch : (int, int) or None
        Height and width in pixels of what a token stands for; None where tokens fill a square.
    table_layer : bool
        The layer is the bottleneck of the table, so `closing` and `signed` are known.
    signed : bool or None
        Activations may be negative; None where it is not known, off the table. A memory measures it.
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
        When the network has no such layer (names the nearest ones), or neither a layer nor a row is
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
    """Return the sub-module called `layer` ('' is the network itself), or raise LayerError."""
    layers: dict[str, nn.Module] = dict(module.named_modules())
    if layer not in layers:
        near = ", ".join(map(repr, nearest_names(layer, [known for known in layers if known])))
        raise LayerError(f"no layer {layer!r} in {name}; nearest names: {near or 'none'}")
    return layers[layer]


def _around_last_convolution(module: nn.Module) -> str:
    """Name the last convolution and the modules that it is part of, outermost first."""
    convolutions = [part for part, kind in module.named_modules() if isinstance(kind, nn.Conv2d) and part]
    if not convolutions:
        return "none of its modules"
    parts = convolutions[-1].split(".")
    return ", ".join(repr(".".join(parts[: n + 1])) for n in range(len(parts)))


@contextmanager
def captured_output(layer: nn.Module) -> Iterator[list[Any]]:
    """Catch what `layer` gives while the block runs.

    Yields a list that is empty until the layer has run, and then holds its last output; a tensor is
    cloned, since an in-place operation behind the layer would rewrite it. The hook is removed when
    the block ends, after an exception too. Blocks may be nested, on one layer as well.
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
    """Let a network run in eval mode in the block, and leave it as it was found.

    Modes are changed by `train(mode)`, on which adapters that merge themselves into their layer in eval mode
    rely; the outermost module goes first, since it takes its parts along. What such a module's own tensors
    held is put back bit for bit: merged and taken out again, they would not be the same. A network all in
    eval mode is not touched.
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
            part.training = training  # of a `train` that does not do as it is told
        for tensor, before in own:
            if tensor.shape == before.shape and not torch.equal(tensor, before):
                tensor.data.copy_(before)  # by .data: no graph that is kept of it becomes invalid


@contextmanager
def failures_worded(what: str, *, doing: str, hint: str = "") -> Iterator[None]:
    """Word whatever a network's own code raises in the block as a BackboneError, in one sentence.

    Parameters
    ----------
    what : str
        The network.
    doing : str
        What it failed at, behind "fails".
    hint : str
        What may be wrong, with the "; " before it.
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
        From `captured_output`.
    tap : Tap
    images : torch.Size
        (B, 3, h, w) of the images that the network got.

    Raises
    ------
    LayerError
        When the layer did not run, or gives something that is no grid.
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
                f"{what} gives {n_cells} tokens behind {tap.prefix_tokens}, which fill no {grid}; "
                "choose another with --layer"
            )
        cells: torch.Tensor = output[:, tap.prefix_tokens :].transpose(1, 2).unflatten(2, (height, width))
        return cells
    return output


def _token_grid(n_cells: int, tap: Tap, images: torch.Size) -> tuple[int, int]:
    if tap.patch is None:
        side = math.isqrt(max(n_cells, 0))
        return side, side
    return images[2] // tap.patch[0], images[3] // tap.patch[1]
