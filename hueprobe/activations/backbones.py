"""Networks ready for extraction: built, with weights loaded, and tapped at their bottleneck."""

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

DEFAULT_SIZE = (224, 224)  # height and width of images if the transform does not report them
DRAWN_SIZE = (400, 320)  # width and height of the image that is transformed to count its channels


@dataclass(frozen=True, kw_only=True)
class Backbone(Tap):
    """A network with its weights, tapped at the layer whose activations are extracted.

    Parameters
    ----------
    name : str
        Requested name; `live <class>` for an nn.Module that the caller passed.
    layer : str
        Dotted name of the tapped layer; '' is the network itself.
    closing : str or None
        Nonlinearity that closes the layer: relu, relu6, silu, hardswish; None if there is none, or if it
        is unknown.
    apply_closing : bool
        Whether the extractor applies `closing`, since the network applies it outside the layer.
    layout : str
        Layout of the layer's output: `nchw`; `nhwc`; `tokens`, (B, prefix_tokens + H*W, C) row by row.
    prefix_tokens : int
        Number of tokens before those of the grid.
    patch : (int, int) or None, default=None
        Height and width of a token's patch in pixels; None if the tokens fill a square grid.
    table_layer : bool
        Whether the layer is the bottleneck of a built-in network.
    signed : bool or None
        Whether activations may be negative; None if unknown.
    module : nn.Module
        The network, in eval mode unless the caller passed it.
    transform : callable
        Function from a PIL image to a float32 tensor (channels, h, w).
    weights : str
        Name of the weights, `default`, `none`, or a file's absolute path; loads the same weights again.
    weights_sha256 : str
        SHA-256 over name, dtype, shape and bytes of the state dict's tensors, sorted by name.
    fixed_size : int or None
        Side in pixels if the network accepts square images of one size only.
    transform_of : str or None, default=None
        For weights from a file, which contain no transform: the weights whose transform is used, and
        why. None for other weights, and if the caller passed the transform.
    transform_assumed : bool, default=False
        Whether `transform_of` is a guess, since nothing identifies the weights in the file.

    See Also
    --------
    hueprobe.activations.load_backbone : Create a backbone.

    Examples
    --------
    >>> backbone = load_backbone(network, layer="3", transform=transform)
    >>> backbone.name, backbone.layer, backbone.weights
    ('live Sequential', '3', 'default')
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
    """Properties of a network that are known before its weights are loaded.

    Parameters
    ----------
    name, layer, closing, apply_closing, layout, prefix_tokens, patch, table_layer, signed
        As in `Backbone`; the layer is the bottleneck.
    weights : tuple of str
        Allowed values of `weights`, besides a file.
    transform : callable
        Transform of the default weights.
    fixed_size : int or None
        Side in pixels if the network accepts square images of one size only.
    channels : int
        Number of channels C, the length of an activation vector.
    grid : (int, int)
        Height H and width W of the grid at the transform's image size.
    field_center : (float, float) or None
        (y, x) on that grid whose receptive field is centered on the image, from a table measured
        with random weights; None for a network that is not in the table.

    See Also
    --------
    hueprobe.activations.describe_backbone : Return it for a network's name.
    """

    weights: tuple[str, ...]
    transform: ImageTransform
    fixed_size: int | None
    channels: int
    grid: tuple[int, int]
    field_center: tuple[float, float] | None


def backbone_names() -> list[str]:
    """Return the names of the built-in networks, sorted.

    Returns
    -------
    list of str
        Names that `load_backbone` accepts; networks of timm and your own ones are not listed.

    See Also
    --------
    hueprobe.activations.describe_backbone : Show a network's bottleneck, grid and weights.

    Examples
    --------
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
    """Create a network, load its weights, and tap the layer whose activations are extracted.

    Parameters
    ----------
    backbone : str or nn.Module
        - a name from `backbone_names`;
        - `timm:NAME`, a network of timm;
        - `package.module:callable`, which returns an nn.Module or (module, transform); the current
          folder is searched too;
        - an nn.Module, which is used as it is, not copied.

        Networks of torchvision's own classes are recognized, whoever created them; others need `layer`.
    weights : str or Path, default='default'
        - `default`: torchvision's best weights, timm's pretrained ones, or those that the callable
          returned;
        - a name of torchvision's weights, such as `IMAGENET1K_V1`;
        - `none`: the network's own random initialization with `seed`; BatchNorm statistics come from one
          pass over random images. These weights do not depend on the number of threads, but may differ
          between versions of torch and kinds of processors;
        - a `.safetensors` or PyTorch file with the network's state dict, cast to the network's dtypes.
          The state dict may be nested, as in `{"state_dict": ...}`, and its names may have a prefix such
          as `module.`. Tensors after the tapped layer, such as a head for other classes, may differ or be
          missing. A HueprobeWarning reports what was done.

        Files written by `hueprobe train` or `compare` come with the transform of their test images. Other
        files contain no transform. If the file name or sha256 identifies torchvision weights, their
        transform is used, otherwise that of the default weights.
    layer : str, optional
        Dotted name of any module ('' is the network itself); no nonlinearity is applied to its output.
        None taps the bottleneck.
    transform : callable, optional
        Function from a PIL image to a tensor. None uses the transform of the weights or the callable,
        or if they have none, the usual one for ImageNet (resize 256, crop 224).
    seed : int, default=0
        Seed of everything random in creating the network. torch's global generator is not changed.
    made_by : str, optional
        Version of hueprobe whose random weights are reproduced; None for the installed one. In version
        0.1, the last digits of BatchNorm statistics depend on the number of threads.

    Returns
    -------
    Backbone
        The network, its tapped layer and its transform.

    Raises
    ------
    BackboneError, LayerError, WeightsError
        If the network, layer or weights are unknown, or if the weights are unsafe or of another
        architecture.
    MissingDependencyError
        If the network needs an optional package that is not installed.

    See Also
    --------
    hueprobe.activations.load_backbones : Tap several layers of one network.
    hueprobe.activations.describe_backbone : Inspect a network without its weights.
    hueprobe.activations.Extractor : Extract activations with a backbone.

    Examples
    --------
    >>> backbone = load_backbone("squeezenet1_1", weights="none", seed=1)
    >>> backbone.layer, backbone.closing, backbone.transform.crop
    ('features', 'relu', 224)
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
    """Create one network tapped at several layers, which share one module and one forward pass.

    Parameters
    ----------
    backbone : str or nn.Module
        As in `load_backbone`.
    layers : sequence of (str or None)
        Dotted module names, None for the bottleneck; each layer at most once.
    weights : str or Path, default='default'
        As in `load_backbone`.
    transform : callable, optional
        As in `load_backbone`; None uses the transform of the weights or the callable.
    seed : int, default=0
        Seed of everything random in creating the network.
    made_by : str, optional
        As in `load_backbone`; None for the installed version.

    Returns
    -------
    list of Backbone
        One backbone per layer, in the order of `layers`.

    Raises
    ------
    InputError
        If `layers` is empty or contains a layer twice, or if the transform is not callable.
    BackboneError, LayerError, WeightsError, MissingDependencyError
        As in `load_backbone`; all layers are checked before the weights are loaded.

    See Also
    --------
    hueprobe.activations.load_backbone : Tap one layer.
    hueprobe.activations.Extractor.at : Extract the activations of several layers.

    Examples
    --------
    >>> early, late = load_backbones("squeezenet1_1", layers=["features.3", None], weights="none")
    >>> early.layer, late.layer, early.module is late.module
    ('features.3', 'features', True)
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
            # At the network's own image size: weights must not depend on the caller's transform.
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
    """Describe a network: its bottleneck, grid, transform and available weights.

    Needs no weights; the forward pass computes shapes only.

    Parameters
    ----------
    name : str
        Name of a network, as in `load_backbone`.

    Returns
    -------
    BackboneInfo
        Properties of the network.

    Raises
    ------
    BackboneError, LayerError, MissingDependencyError
        As in `load_backbone`.

    See Also
    --------
    hueprobe.activations.backbone_names : List the built-in networks.
    hueprobe.activations.load_backbone : Create a network with its weights.

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
        raise InputError(f"the transform is the class {name}; pass an instance, such as {name}()")
    if not callable(transform):
        raise InputError(f"the transform is {transform!r}; pass a Transform or a function of an image")


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
        f"{what} is compiled by TorchScript (a {type(part).__name__}), which hides the outputs of its "
        "layers; pass the nn.Module that it was compiled from"
    )


def _require_numbers(module: nn.Module, *, name: str) -> None:
    """Raise BackboneError unless all tensors of a network have a shape and values."""
    for key, tensor in (*module.named_parameters(), *module.named_buffers()):
        if torch.nn.parameter.is_lazy(tensor):
            raise BackboneError(
                f"{name} is lazy: {key!r} has no shape before the first forward pass; run the network once "
                "on images of your size first (a callable can do so before it returns the network)"
            )
        if tensor.is_meta:
            raise BackboneError(
                f"{name} has no values: {key!r} is on torch's meta device, a shape only; create the network "
                "on the CPU, or call module.to_empty(device='cpu') and load its weights"
            )


def _require_distinct(layers: list[str], *, name: str) -> None:
    if not layers:
        raise InputError(f"no layer of {name} was given; name at least one")
    if again := sorted({layer for layer in layers if layers.count(layer) > 1}):
        raise InputError(
            f"layer {again[0]!r} of {name} was given {layers.count(again[0])} times; name it once"
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
        ):  # some networks run parts of themselves, on values, when they are created
            module, transform = blueprint.build()
    return module.to("meta").eval(), transform


class _ShapesOnly(TorchFunctionMode):
    """Within the block, `torch.empty` returns meta tensors: parameters with a shape and no values.

    Unlike `torch.device("meta")`, this does not affect the arithmetic by which RegNet computes its widths.
    """

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is torch.empty:
            return func(*args, **{**(kwargs or {}), "device": "meta"})
        return func(*args, **(kwargs or {}))


def image_shape(transform: ImageTransform) -> tuple[int, int, int]:
    """Return (channels, h, w) of a transform's output.

    If the transform does not report its shape, channels are counted and height and width are assumed.
    """
    shape = getattr(transform, "shape", None)
    if isinstance(shape, tuple) and len(shape) == 3:
        return shape
    if type(transform) is Transform:
        return (3, *DEFAULT_SIZE)
    output = try_transform(transform, *DRAWN_SIZE).output
    return (3 if output is None else len(output), *DEFAULT_SIZE)


def _blank_image(transform: ImageTransform) -> Tensor:
    """Return a batch of one blank image after the transform."""
    if getattr(transform, "shape", None) is None:
        return transform(Image.new("RGB", DEFAULT_SIZE, (128, 128, 128)))[None]
    return torch.zeros(1, *transform.shape)  # type: ignore[attr-defined]


def _fixed_size(module: nn.Module, row: Bottleneck | None) -> int | None:
    if row is None:
        return fixed_size_of_patches(module)
    return int(module.image_size) if row.fixed_size else None  # type: ignore[arg-type]
