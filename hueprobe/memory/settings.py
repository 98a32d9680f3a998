"""`memory.json`: the settings a memory was made with, and what may differ when it is continued."""

import importlib.metadata
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from msgspec import UNSET, Meta, UnsetType

from hueprobe.activations.descriptors import DESCRIPTORS
from hueprobe.errors import InputError, MemoryDamagedError, MemoryFormatError
from hueprobe.images.value_range import ValueRange
from hueprobe.json_documents import json_text
from hueprobe.memory.records import Count, Record, RecordError, Sha256, as_record, one_of
from hueprobe.memory.transforms import TransformProbe, seen_transform, transform_difference
from hueprobe.memory.vectors import DTYPES

FILE_NAME = "memory.json"
FORMAT = 1
CLASS_ORDER = "sorted by name among readable pictures; classes of appended pictures behind, sorted"
DEFAULT_BATCH_SIZE = 32
# A killed build loses at most the shard it was writing: some seconds to a minute of work.
SHARD_IMAGES = 512
SHARD_BYTES = 256 << 20
_RECORDED_PACKAGES = ("hueprobe", "torch", "torchvision", "timm", "numpy", "Pillow")
_MOST_VALUES = 1 << 40  # of one image's grid; beyond it no array could be addressed


Size = Annotated[int, Meta(ge=1, le=_MOST_VALUES)]


class MemorySettings(Record, frozen=True):
    """What memory.json says: how a memory was made, and how its vectors lie on disk.

    A setting that this class does not know is refused: one more is a new `FORMAT`, or one that may be absent.

    Attributes
    ----------
    format : int
        Version of all of this.
    class_order : str
        How classes get their ids.
    backbone, layer : str
        The network's name and the layer that was tapped; `arrays` and nothing where there was none.
    closing : str or None
        The nonlinearity that the layer's activations went through last.
    table_layer : bool
        Whether the layer is the bottleneck that the table of networks names.
    weights, weights_sha256 : str
        What loads the weights again, and the hash of what was loaded.
    transform : mapping
        `Transform.to_json()`; `{"custom": its repr}` of any other, without addresses; empty where there
        was none.
    grid : (int, int)
        Rows and columns of cells an image.
    channels : int
        Values a vector.
    descriptor : str
        What each image was reduced to, one of `DESCRIPTORS`.
    dtype : str
        Of the stored rows, one of `DTYPES`.
    batch_size, shard_images : int
        Images a forward pass, and images a shard: a whole number of batches.
    device, precision : str
        Of the forward pass.
    seed : int
        Of whatever was random in making the network.
    versions : mapping of str to str
        Packages that took part, and their versions.
    derived_from : str
        Hash of the last ledger line of the memory that this one was computed from; absent without one.
    mixed_from : (str, str)
        The same of two memories, whose images were dealt out.
    transform_probe : tuple of TransformProbe
        What the transform does; absent where it is random, fails on drawn images, or 0.1 recorded it.
    content_sha256 : str
        Of the arrays that this one was made from; absent where images were read.
    value_range : str
        Black and white of images of more than 8 bits, `ValueRange.text`; absent where they are those of the
        files' type.
    """

    format: Annotated[int, Meta(ge=1)]
    class_order: str
    backbone: str
    layer: str
    closing: str | None
    table_layer: bool
    weights: str
    weights_sha256: str
    transform: Mapping[str, Any]
    grid: tuple[Size, Size]
    channels: Size
    descriptor: Annotated[str, one_of(DESCRIPTORS)]
    dtype: Annotated[str, one_of(DTYPES)]
    batch_size: Size
    shard_images: Size
    device: str
    precision: str
    seed: Count
    versions: Mapping[str, str]
    derived_from: str | UnsetType = UNSET
    mixed_from: tuple[str, str] | UnsetType = UNSET
    transform_probe: Annotated[tuple[TransformProbe, ...], Meta(max_length=8)] | UnsetType = UNSET
    content_sha256: Sha256 | UnsetType = UNSET
    value_range: str | UnsetType = UNSET

    def __post_init__(self) -> None:
        """Refuse images that no array could hold."""
        if math.prod(self.grid) * self.channels > _MOST_VALUES:
            raise ValueError(
                f"says grid {list(self.grid)} and channels {self.channels}, expected at most {_MOST_VALUES} "
                "values an image"
            )
        self.range_of_values()

    def range_of_values(self) -> ValueRange | None:
        """Return black and white of images of more than 8 bits, None for the files' own."""
        return None if self.value_range is UNSET else ValueRange.of(self.value_range)


def library_versions() -> dict[str, str]:
    """Return the versions that memory.json records; a package that is not installed is left out."""
    versions = {}
    for name in _RECORDED_PACKAGES:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return versions


def images_per_shard(
    grid: tuple[int, int], channels: int, dtype: str, batch_size: int, wanted: int | None = None
) -> int:
    """Return how many images a shard holds: what is wanted, else what is lost without much regret.

    Raises
    ------
    InputError
        What is wanted is no whole number of batches.
    """
    if wanted is None:
        bytes_an_image = math.prod(grid) * channels * np.dtype(dtype).itemsize
        return max(1, min(SHARD_IMAGES, SHARD_BYTES // bytes_an_image) // batch_size) * batch_size
    if wanted < 1 or wanted % batch_size:
        raise InputError(
            f"shard_images must be a whole number of batches of {batch_size} images, got {wanted}; take "
            f"{max(1, round(wanted / batch_size)) * batch_size}, or another batch size"
        )
    return wanted


def settings_text(settings: MemorySettings) -> str:
    """Return memory.json's text: indented for people, with sorted keys."""
    document = settings.to_json()
    return json_text(document, indent=2, ensure_ascii=False) + "\n"


def read_settings(folder: Path) -> MemorySettings:
    """Read and check a memory's settings.

    Raises
    ------
    MemoryFormatError
        The folder is missing, is no memory, or is of a newer format.
    MemoryDamagedError
        memory.json cannot be read or parsed, lacks a setting, or has one that is unknown or cannot be.
    """
    path = folder / FILE_NAME
    try:
        text = path.read_text("utf-8")
    except (FileNotFoundError, NotADirectoryError):
        what = "is not a memory (it has no memory.json)" if folder.is_dir() else "does not exist"
        raise MemoryFormatError(f"{folder} {what}; make one with `hueprobe index IMAGES -o MEMORY`") from None
    except UnicodeDecodeError:
        raise MemoryDamagedError(f"{path} is damaged (not UTF-8 text); restore it") from None
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        reason = getattr(error, "strerror", None) or error
        raise MemoryDamagedError(f"{path} cannot be read: {reason}; restore it") from None
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        raise MemoryDamagedError(
            f"{path} is damaged (not JSON); restore it or build the memory anew"
        ) from None
    version = document.get("format") if isinstance(document, dict) else None
    if type(version) is not int:
        raise MemoryFormatError(f"{path} names no format version; it was not written by hueprobe")
    if version > FORMAT:
        raise MemoryFormatError(
            f"{folder} has format {version}, this hueprobe reads up to {FORMAT}; install a newer hueprobe"
        )
    try:
        return as_record(document, MemorySettings)
    except RecordError as error:
        raise MemoryDamagedError(f"{path} {error}; restore it or build the memory anew") from None


def differences(old: MemorySettings, new: MemorySettings) -> list[str]:
    """Return one line for each setting that differs.

    Library versions are left out, where a weights file lies, as long as it holds the same weights, and the
    arrays' content, of which `hueprobe.memory.listing` says more. Transforms are compared by what they do, as
    far as that is recorded.
    """
    ignored = {"versions", "transform", "transform_probe", "content_sha256"}
    ignored |= {"weights"} if old.weights_sha256 == new.weights_sha256 else set()
    before, now = old.to_json(), new.to_json()
    lines = [
        f"{key}: {before.get(key)!r} in the memory, {now.get(key)!r} asked"
        for key in sorted((before.keys() | now.keys()) - ignored)
        if before.get(key) != now.get(key)
    ]
    if len(lines) == 1 and old.weights_sha256 != new.weights_sha256 and old.weights == "none":
        lines[0] += f": {random_weights_depend_on(old)}"
    transform = transform_difference(
        seen_transform(old.transform, old.transform_probe), seen_transform(new.transform, new.transform_probe)
    )
    return sorted([*lines, *([f"transform: {transform}"] if transform else [])])


def random_weights_depend_on(settings: MemorySettings) -> str:
    """Say what the weights of a memory made with weights `none` depend on besides network and seed."""
    versions = settings.versions
    threads = (
        ", on the number of threads (OMP_NUM_THREADS)"
        if versions.get("hueprobe", "").startswith("0.1.")
        else ""
    )
    return (
        f"random weights depend on torch's version ({versions.get('torch', 'not known')} made them), on the "
        f"kind of processor{threads}, and on the network's own code; go on where those are the same, or "
        "build the memory anew"
    )
