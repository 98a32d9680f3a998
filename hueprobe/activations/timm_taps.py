"""Where networks of timm are tapped: found by one forward pass, since timm names no bottleneck.

The *bottleneck* is the last layer that still has an image plane. In timm that is what the network's
`forward_features` gives, and the hook goes on the module whose output that is. Networks of the
MobileNetV3 kind pool before their last convolution (`conv_head`), so they are tapped in front of it.
No nonlinearity is added or named: which one the activations have been through last is not known, so
their signs are what a memory measures (`Memory.nonnegative`).
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from hueprobe.activations.hooks import Tap, captured_output, require_layer
from hueprobe.errors import LayerError

PATCH_EMBEDDINGS = ("patch_embed", "stem", "embeds")  # what timm's networks of patches call them


def find_timm_tap(module: nn.Module, layer: str | None, *, name: str, image_size: tuple[int, int]) -> Tap:
    """Run a network of timm once, in eval mode, and say where it is tapped and how that is read.

    A layer that is asked for by its name gives no other grid than the bottleneck does where it is the
    bottleneck: a memory records the name alone.

    Parameters
    ----------
    module : nn.Module
        On any device; on `meta` only shapes are computed.
    layer : str or None
        Dotted module name; None for the bottleneck.
    name : str
        For messages.
    image_size : (int, int)
        Height and width.

    Raises
    ------
    LayerError
        There is no such layer; no module gives the bottleneck; or it cannot be told which axes of the
        layer's output are the image plane.
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
    layout, prefix_tokens = "nchw", 0  # where it is no batch of grids: as_grid says so
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
                "in which the image plane cannot be told; choose another with --layer"
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
    """Return the side of the square images that a network's patch embedding insists on, if it does."""
    embedding = _patch_embedding(module)
    size = getattr(embedding, "img_size", None)
    strict = getattr(embedding, "strict_img_size", False)
    return int(size[0]) if strict and isinstance(size, tuple) and size[0] == size[1] else None


def _bottleneck(module: nn.Module, images: Tensor, *, name: str) -> tuple[str, Tensor]:
    """Return the module that gives what `forward_features` does, the outermost, and its output."""
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
    # A view of the same numbers will do: where the axes are swapped last, outside any module. A later
    # in-place operation, which would raise the version, will not.
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
        f"no single module of {name} gives what its forward_features does; "
        "name the layer with layer= (--layer)"
    )


@contextmanager
def _every_output(module: nn.Module) -> Iterator[list[tuple[str, Tensor, int]]]:
    """Collect (layer, output, version of the output) in the order in which layers end; no Identity."""
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
    """Whether two tensors are all of the same numbers, maybe with their axes arranged in another way."""
    base_of_a, base_of_b = (tensor if tensor._base is None else tensor._base for tensor in (a, b))
    return base_of_a is base_of_b and a.numel() == b.numel()


def _channel_axis(output: Tensor, module: nn.Module, *, square: bool) -> tuple[str, int] | None:
    """Tell (B, C, H, W) from (B, H, W, C) and return the layout and no prefix tokens; None if neither.

    The channels are the axis as long as the network's `num_features`. Inside the network that is no
    guide; there, images being square, the two equal axes are the plane.
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
    """Return the layout and prefix tokens of (B, tokens, C); None where the others are not the patches."""
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
    """Return height and width of a network's patches in pixels; None where it has none.

    The grid counts where there is one: a hybrid's patches are cut from the grid of a convolutional network.
    """
    embedding = _patch_embedding(module)
    if embedding is None:
        return None
    grid = getattr(embedding, "grid_size", None)
    if grid is not None:
        return image_size[0] // grid[0], image_size[1] // grid[1]
    size = embedding.patch_size
    return (size, size) if isinstance(size, int) else (int(size[0]), int(size[1]))  # type: ignore
