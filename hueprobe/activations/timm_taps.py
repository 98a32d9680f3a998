"""Taps of timm's networks, found by one forward pass, since timm does not name the bottleneck.

The *bottleneck* is the last layer that still has an image plane. In timm it is the output of
`forward_features`, and the hook is placed on the module with that output. Networks like MobileNetV3
pool before their last convolution (`conv_head`), so they are tapped before it. No nonlinearity is
applied or named: the last one is not known, so a memory measures the signs of the activations
(`Memory.nonnegative`).
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from hueprobe.activations.hooks import Tap, captured_output, require_layer
from hueprobe.errors import LayerError

PATCH_EMBEDDINGS = (
    "patch_embed",
    "stem",
    "embeds",
)  # attributes of timm's networks that hold the patch embedding


def find_timm_tap(module: nn.Module, layer: str | None, *, name: str, image_size: tuple[int, int]) -> Tap:
    """Run a network of timm once, in eval mode, and return its tap.

    The bottleneck gives the same grid whether it is requested by name or by None, since a memory
    records the name only.

    Parameters
    ----------
    module : nn.Module
        Network on any device; on `meta` only shapes are computed.
    layer : str or None
        Dotted module name; None for the bottleneck.
    name : str
        Name of the network, for messages.
    image_size : (int, int)
        Height and width of the images in pixels.

    Raises
    ------
    LayerError
        If there is no such layer, if no module outputs the bottleneck, or if the image plane cannot be
        identified among the axes of the layer's output.
    """
    images = torch.zeros(2, 3, *image_size, device=next(module.parameters()).device)
    named = layer is not None
    output: Any
    with torch.no_grad():
        if layer is None:
            layer, output = _bottleneck(module, images, name=name)
        else:
            with captured_output(require_layer(module, layer, name=name)) as outputs:
                module(images)
            output = outputs[0] if outputs else None
    layout, prefix_tokens = "nchw", 0  # as_grid raises if it is not a batch of grids
    patch = _patch_size(module, image_size)
    if isinstance(output, Tensor) and output.ndim in (3, 4) and len(output) == len(images):
        found = (
            _tokens(output, module, patch, image_size)
            if output.ndim == 3
            else _channel_axis(output, module, square=named and image_size[0] == image_size[1])
        )
        if found is None:
            raise LayerError(
                f"layer {layer!r} of {name} gives a tensor of shape {tuple(output.shape)} for {len(output)} "
                f"images of {image_size[0]} x {image_size[1]}, "
                "whose image plane cannot be identified; choose another with --layer"
            )
        layout, prefix_tokens = found
    return Tap(
        name=name,
        layer=layer,
        closing=None,
        apply_closing=False,
        layout=layout,
        prefix_tokens=prefix_tokens,
        patch=patch if layout == "tokens" else None,
        table_layer=False,
        signed=None,
    )


def fixed_size_of_patches(module: nn.Module) -> int | None:
    """Return the side of the square images that a network's patch embedding requires, or None."""
    embedding = _patch_embedding(module)
    size = getattr(embedding, "img_size", None)
    strict = getattr(embedding, "strict_img_size", False)
    return int(size[0]) if strict and isinstance(size, tuple) and size[0] == size[1] else None


def _bottleneck(module: nn.Module, images: Tensor, *, name: str) -> tuple[str, Tensor]:
    """Return the outermost module with the output of `forward_features`, and that output."""
    forward_features: Any = getattr(module, "forward_features", None)
    if forward_features is None:
        raise LayerError(f"{name} has no forward_features, so name the layer with layer= (--layer)")
    with _every_output(module) as outputs:
        features = forward_features(images)
    if not isinstance(features, Tensor):
        raise LayerError(
            f"forward_features of {name} gives a {type(features).__name__}, not one grid; "
            "name the layer with layer= (--layer)"
        )
    # A view of the same values is accepted: some networks permute the axes last, outside any module.
    # A later in-place operation is not, as the raised version shows.
    alike: tuple[Callable[[Tensor], bool], ...] = (
        lambda output: output is features, lambda output: _is_view(output, features)
    )  # fmt: skip
    for same in alike:
        found = [
            (layer, out) for layer, out, version in outputs if same(out) and version == features._version
        ]
        if found:
            return found[-1]
    raise LayerError(
        f"no single module of {name} has the output of its forward_features; "
        "name the layer with layer= (--layer)"
    )


@contextmanager
def _every_output(module: nn.Module) -> Iterator[list[tuple[str, Tensor, int]]]:
    """Collect (layer, output, version of the output) in the order in which layers end, without Identity."""
    outputs: list[tuple[str, Tensor, int]] = []

    def keep(layer: str, _module: nn.Module, _inputs: Any, output: Any) -> None:
        if isinstance(output, Tensor):
            outputs.append((layer, output, output._version))

    handles = [
        part.register_forward_hook(partial(keep, layer))
        for layer, part in module.named_modules()
        if layer and not isinstance(part, nn.Identity)
    ]
    try:
        yield outputs
    finally:
        for handle in handles:
            handle.remove()


def _is_view(a: Tensor, b: Tensor) -> bool:
    """Whether two tensors share all their values, possibly with permuted axes."""
    base_of_a, base_of_b = (tensor if tensor._base is None else tensor._base for tensor in (a, b))
    return base_of_a is base_of_b and a.numel() == b.numel()


def _channel_axis(output: Tensor, module: nn.Module, *, square: bool) -> tuple[str, int] | None:
    """Distinguish (B, C, H, W) from (B, H, W, C); return the layout and 0 prefix tokens, None if neither.

    The channel axis is as long as the network's `num_features`. Inside the network this need not hold;
    there, for square images, the two equal axes are the image plane.
    """
    first, middle, last = output.shape[1:]
    width = getattr(module, "num_features", None)
    guides = [(first == width, last == width)]
    if square:
        guides.insert(0, (middle == last, first == middle))
    for nchw, nhwc in guides:
        if nchw != nhwc:
            return ("nchw" if nchw else "nhwc"), 0
    return None


def _tokens(
    output: Tensor, module: nn.Module, patch: tuple[int, int] | None, image_size: tuple[int, int]
) -> tuple[str, int] | None:
    """Return the layout and number of prefix tokens of (B, tokens, C); None if the rest are not patches."""
    if patch is None:
        return None
    n_patches = (image_size[0] // patch[0]) * (image_size[1] // patch[1])
    for prefix_tokens in (getattr(module, "num_prefix_tokens", 0), 0):
        if output.shape[1] - prefix_tokens == n_patches:
            return "tokens", prefix_tokens
    return None


def _patch_embedding(module: nn.Module) -> nn.Module | None:
    parts = (getattr(module, name, None) for name in PATCH_EMBEDDINGS)
    return next((part for part in parts if hasattr(part, "patch_size")), None)


def _patch_size(module: nn.Module, image_size: tuple[int, int]) -> tuple[int, int] | None:
    """Return height and width of a network's patches in pixels; None if it has none.

    An embedding's grid takes precedence: a hybrid's patches are cut from a convolutional network's grid.
    """
    embedding = _patch_embedding(module)
    if embedding is None:
        return None
    grid = getattr(embedding, "grid_size", None)
    if grid is not None:
        return image_size[0] // grid[0], image_size[1] // grid[1]
    size = embedding.patch_size
    return (size, size) if isinstance(size, int) else (int(size[0]), int(size[1]))  # type: ignore
