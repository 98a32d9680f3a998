"""Networks ready for extraction: made, given their weights, and tapped at their bottleneck."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from hueprobe.activations.blueprint import Blueprint, ImageTransform
from hueprobe.activations.bottlenecks import Bottleneck, bottleneck_of_module
from hueprobe.activations.field_centers import FIELD_CENTERS
from hueprobe.activations.hooks import Tap, as_grid, captured_output, failures_worded, find_tap
from hueprobe.activations.networks import find_blueprint, live_blueprint, network_names, weights_choices
from hueprobe.activations.random_weights import calibrate_batchnorm, own_randomness
from hueprobe.activations.reach import tensors_behind
from hueprobe.activations.timm_taps import fixed_size_of_patches
from hueprobe.activations.transform_trials import try_transform
from hueprobe.activations.weights import put_weights, weights_sha256
from hueprobe.errors import BackboneError, InputError
from hueprobe.images.transform import Transform
from hueprobe.threads import require_threads

DEFAULT_SIZE = (224, 224)  # of images, where the transform does not say
DRAWN_SIZE = (400, 320)  # width and height of an image whose channels are counted after the transform


@dataclass(frozen=True, kw_only=True)
class Backbone(Tap):
    """A network with its weights, tapped at the layer whose activations are taken.

    Parameters
    ----------
    layer, closing, apply_closing, layout, prefix_tokens, patch, table_layer, signed
        As in `Tap`.
    name : str
        As asked for; `live <class>` for an nn.Module that was handed over.
    module : nn.Module
        The network, in eval mode unless it was handed over.
    transform : callable
        PIL image to float32 tensor (channels, h, w).
    weights : str
        Enum name, `default`, `none`, or a file's absolute path; loads the same weights again.
    weights_sha256 : str
        Over name, dtype, shape and bytes of the state dict, sorted by name.
    fixed_size : int or None
        Side in pixels, where the network takes square images of one size only.
    transform_of : str or None
        Where the weights are a file, whose transform this is and why, since no file holds one; None of
        others, and where the transform was given.
    transform_assumed : bool
        That is a guess: nothing shows whose weights the file holds.
    """

    module: nn.Module
    transform: ImageTransform
    weights: str
    weights_sha256: str
    fixed_size: int | None
    transform_of: str | None = None
    transform_assumed: bool = False


@dataclass(frozen=True, kw_only=True)
class BackboneInfo(Tap):
    """What is known of a network before it has weights.

    Parameters
    ----------
    name, layer, closing, apply_closing, layout, prefix_tokens, patch, table_layer, signed
        As in `Tap`.
    weights : tuple of str
        What `weights` may be, a file apart.
    transform : callable
        That of the default weights.
    fixed_size : int or None
        As in `Backbone`.
    channels : int
        C, the length of an activation vector.
    grid : (int, int)
        H and W at the transform's image size.
    field_center : (float, float) or None
        (y, x) on that grid which looks at the image's middle, from the table measured with random
        weights; None for a network that is not in it.
    """

    weights: tuple[str, ...]
    transform: ImageTransform
    fixed_size: int | None
    channels: int
    grid: tuple[int, int]
    field_center: tuple[float, float] | None


def backbone_names() -> list[str]:
    """Return the names of the networks in the table, sorted.

    >>> [name for name in backbone_names() if name.startswith("dense")]
    ['densenet121', 'densenet161', 'densenet169', 'densenet201']
    """
    return network_names()


def load_backbone(
    backbone: str | nn.Module,
    *,
    weights: str | Path = "default",
    layer: str | None = None,
    transform: ImageTransform | None = None,
    seed: int = 0,
    made_by: str | None = None,
) -> Backbone:
    """Make a network, put its weights in, and find the layer whose activations are wanted.

    Parameters
    ----------
    backbone : str or nn.Module
        A name from `backbone_names`; `timm:NAME`, one of timm's networks; `package.module:callable`,
        looked for in the current folder too, which returns an nn.Module or (module, transform); or an
        nn.Module, which is used as it is, not copied. A network of torchvision's own classes is
        recognized whoever made it; any other needs `layer`.
    weights : str or Path
        - `default`: torchvision's best, timm's pretrained, or what the callable returned;
        - a name of torchvision's weights, such as `IMAGENET1K_V1`;
        - `none`: the network's own initialization under `seed`, its BatchNorm statistics taken from
          one pass over random images. The same for any number of threads; torch draws others in another
          version, or on another kind of processor;
        - a `.safetensors` or PyTorch file with the network's state dict, cast to the network's dtypes. It
          may lie in containers such as `{"state_dict": ...}` and behind prefixes such as `module.`, and what
          lies behind the tapped layer, such as a head for other classes, may differ or be missing: a
          HueprobeWarning says what was done. Weights that `hueprobe train` or `compare` left bring the
          transform of their test images along. Any other file holds no transform: that of the
          torchvision weights is taken whose file it is, by its name or sha256, else the default weights'.
    layer : str, optional
        Any dotted module name ('' is the network itself) instead of the bottleneck. No nonlinearity
        is added to it.
    transform : callable, optional
        Instead of the one that comes with the weights or the callable; ImageNet's usual one
        (256, crop 224) where none comes.
    seed : int
        Of whatever is random in making the network. torch's own generator is left as it was.
    made_by : str, optional
        The version of hueprobe whose random weights are wanted, this one's by default: in those of 0.1 the
        last digits of BatchNorm's statistics depend on the number of threads.

    Raises
    ------
    BackboneError, LayerError, WeightsError
        An unknown network, layer or weights; weights that are unsafe or of another architecture.
    MissingDependencyError
        The network needs an optional package that is not installed.
    """
    return load_backbones(
        backbone, layers=[layer], weights=weights, transform=transform, seed=seed, made_by=made_by
    )[0]


def load_backbones(
    backbone: str | nn.Module,
    *,
    layers: Sequence[str | None],
    weights: str | Path = "default",
    transform: ImageTransform | None = None,
    seed: int = 0,
    made_by: str | None = None,
) -> list[Backbone]:
    """Make one network, tapped at several layers: all share the module, and one forward pass serves all.

    Parameters
    ----------
    backbone
        As in `load_backbone`.
    layers : sequence of (str or None)
        Dotted module names, None for the bottleneck; each once.
    weights, transform, seed, made_by
        As in `load_backbone`.

    Raises
    ------
    InputError
        There is no layer, or one is there twice; the transform cannot be called.
    BackboneError, LayerError, WeightsError, MissingDependencyError
        As in `load_backbone`; every layer is looked for before the weights are.
    """
    if transform is not None:
        _require_transform(transform)
    require_threads("torch", torch.get_num_threads())
    if isinstance(backbone, nn.Module):
        name, blueprint = f"live {type(backbone).__name__}", live_blueprint(backbone, weights)
    else:
        name, blueprint = backbone, find_blueprint(backbone, weights)
    with own_randomness(seed):
        module, own_transform = blueprint.build()
        _require_numbers(module, name=name)
        row = blueprint.bottleneck or bottleneck_of_module(module)
        taps = [_find_tap(blueprint, module, row, layer, name=name) for layer in layers]
        _require_distinct([tap.layer for tap in taps], name=name)
        not_loaded: frozenset[str] = frozenset()
        if blueprint.state is not None:
            not_loaded = put_weights(
                module.eval(),
                blueprint.state(module),
                what=f"weights {blueprint.weights!r} for {name}",
                training_only=row.training_only if row else (),
                behind=lambda: tensors_behind(
                    module, [tap.layer for tap in taps], _blank_image(transform or own_transform)
                ),
            )
        elif blueprint.weights == "none":
            # At the network's own image size: weights must not depend on the transform that is asked for.
            rounded = made_by is None or not made_by.startswith("0.1.")
            channels, *size = image_shape(own_transform)
            with failures_worded(name, doing="on random images"):
                calibrate_batchnorm(module, (size[0], size[1]), seed=seed, channels=channels, rounded=rounded)
    if module is not backbone:
        module.eval()
    sha256 = weights_sha256(module, without=not_loaded)
    return [
        Backbone(
            **vars(tap),
            module=module,
            transform=own_transform if transform is None else transform,
            weights=blueprint.weights,
            weights_sha256=sha256,
            fixed_size=_fixed_size(module, row),
            transform_of=blueprint.transform_of if transform is None else None,
            transform_assumed=blueprint.transform_assumed and transform is None,
        )
        for tap in taps
    ]


def describe_backbone(name: str) -> BackboneInfo:
    """Say what a network is like; needs no weights, and its forward pass computes shapes only.

    Parameters
    ----------
    name : str
        As in `load_backbone`.

    Examples
    --------
    >>> info = describe_backbone("densenet201")
    >>> info.layer, info.closing, info.channels, info.grid
    ('features', 'relu', 1920, (7, 7))
    """
    blueprint = find_blueprint(name, "default")
    module, transform = _built_without_numbers(blueprint)
    row = blueprint.bottleneck or bottleneck_of_module(module)
    tap = _find_tap(blueprint, module, row, None, name=name)
    images = torch.empty(1, *image_shape(transform), device="meta")
    doing = f"on images of shape {tuple(images.shape)}"
    tapped = module.get_submodule(tap.layer)
    with torch.no_grad(), captured_output(tapped) as outputs, failures_worded(name, doing=doing):
        module(images)
    _, channels, height, width = as_grid(outputs, tap, images=images.shape).shape
    return BackboneInfo(
        **vars(tap),
        weights=weights_choices(name),
        transform=transform,
        fixed_size=_fixed_size(module, row),
        channels=channels,
        grid=(height, width),
        field_center=FIELD_CENTERS.get(name),
    )


def _require_transform(transform: Any) -> None:
    if isinstance(transform, type):
        name = transform.__name__
        raise InputError(f"the transform is the class {name}; give an instance, such as {name}()")
    if not callable(transform):
        raise InputError(f"the transform is {transform!r}; give a Transform or a function of an image")


def _find_tap(
    blueprint: Blueprint, module: nn.Module, row: Bottleneck | None, layer: str | None, *, name: str
) -> Tap:
    if isinstance(module, torch.jit.ScriptModule):
        raise _no_hooks(name, "", module)
    if blueprint.tap is None:
        tap = find_tap(module, row, layer, name=name)
    else:
        with failures_worded(name, doing="on blank images"):
            tap = blueprint.tap(module, layer)
    parts = tap.layer.split(".")
    for part in (".".join(parts[: n + 1]) for n in range(len(parts))):
        if isinstance(inner := module.get_submodule(part), torch.jit.ScriptModule):
            raise _no_hooks(name, part, inner)
    return tap


def _no_hooks(name: str, layer: str, part: nn.Module) -> BackboneError:
    what = f"layer {layer!r} of {name}" if layer else name
    return BackboneError(
        f"{what} is compiled by TorchScript (a {type(part).__name__}), which lets nobody see what its layers "
        "give; take the nn.Module that it was made from"
    )


def _require_numbers(module: nn.Module, *, name: str) -> None:
    """Raise unless all tensors of a network have a shape and numbers."""
    for key, tensor in (*module.named_parameters(), *module.named_buffers()):
        if torch.nn.parameter.is_lazy(tensor):
            raise BackboneError(
                f"{name} is lazy: {key!r} has no shape before the network has run; run it once on images of "
                "your size first (a callable can do so before it returns the network)"
            )
        if tensor.is_meta:
            raise BackboneError(
                f"{name} has no numbers: {key!r} is on torch's meta device, a shape alone; make the network "
                "on the CPU, or call module.to_empty(device='cpu') and load its weights"
            )


def _require_distinct(layers: list[str], *, name: str) -> None:
    if not layers:
        raise InputError(f"no layer of {name} is named; name at least one")
    if again := sorted({layer for layer in layers if layers.count(layer) > 1}):
        raise InputError(
            f"layer {again[0]!r} of {name} is asked for {layers.count(again[0])} times; name it once"
        )


def _built_without_numbers(blueprint: Blueprint) -> tuple[nn.Module, ImageTransform]:
    """Build a network on `meta`, in eval mode."""
    with own_randomness(0):
        try:
            with _ShapesOnly():
                module, transform = blueprint.build()
        except (
            RuntimeError,
            BackboneError,
        ):  # some networks run a part of themselves, on numbers, when they are made
            module, transform = blueprint.build()
    return module.to("meta").eval(), transform


class _ShapesOnly(TorchFunctionMode):
    """In the block, `torch.empty` gives meta tensors: parameters with a shape and no numbers.

    Unlike `torch.device("meta")` this leaves alone the arithmetic by which RegNet finds its widths.
    """

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is torch.empty:
            return func(*args, **{**(kwargs or {}), "device": "meta"})
        return func(*args, **(kwargs or {}))


def image_shape(transform: ImageTransform) -> tuple[int, int, int]:
    """Return (channels, h, w) of the images that a transform gives.

    Height and width as far as it says; of one that does not say, channels are counted.
    """
    shape = getattr(transform, "shape", None)
    if isinstance(shape, tuple) and len(shape) == 3:
        return shape
    if type(transform) is Transform:
        return (3, *DEFAULT_SIZE)
    output = try_transform(transform, *DRAWN_SIZE).output
    return (3 if output is None else len(output), *DEFAULT_SIZE)


def _blank_image(transform: ImageTransform) -> Tensor:
    """Return a batch of one gray image as the network gets it."""
    if getattr(transform, "shape", None) is None:
        return transform(Image.new("RGB", DEFAULT_SIZE, (128, 128, 128)))[None]
    return torch.zeros(1, *transform.shape)  # type: ignore[attr-defined]


def _fixed_size(module: nn.Module, row: Bottleneck | None) -> int | None:
    if row is None:
        return fixed_size_of_patches(module)
    return int(module.image_size) if row.fixed_size else None  # type: ignore[arg-type]
