"""`memory.json`: the settings of a memory, and which of them may differ when a build is resumed."""

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
from hueprobe.images.label_names import MOST_VALUE, LabelSet
from hueprobe.images.value_range import ValueRange
from hueprobe.json_documents import json_text
from hueprobe.memory.in_parts import is_in_parts, parts_folder
from hueprobe.memory.records import Count, Record, RecordError, Sha256, as_record, one_of
from hueprobe.memory.transforms import TransformProbe, seen_transform, transform_difference
from hueprobe.memory.vectors import DTYPES, SPARSE16, value_type

FILE_NAME = "memory.json"
FORMAT = 2  # the newest; `format_of` gives that of a memory
CLASS_ORDER = "sorted by name among readable pictures; classes of appended pictures behind, sorted"
DEFAULT_BATCH_SIZE = 32
# A killed build loses at most the shard it was writing: some seconds to a minute of work.
SHARD_IMAGES = 512
SHARD_BYTES = 256 << 20
_RECORDED_PACKAGES = ("hueprobe", "torch", "torchvision", "timm", "numpy", "Pillow")
_MOST_VALUES = 1 << 40  # of one image's grid; no array could be larger

COUNT_DTYPES = ("uint16", "uint32")  # of the pixels of a label in a cell

Size = Annotated[int, Meta(ge=1, le=_MOST_VALUES)]
PixelValue = Annotated[int, Meta(ge=0, le=MOST_VALUE)]


class LabelSettings(Record, frozen=True):
    """The labels of a memory that was built with masks.

    Attributes
    ----------
    names : tuple of str
        Name of each label, by its id.
    values : tuple of int
        Pixel value of each label in the masks.
    ignore : tuple of int
        Pixel values that are not labeled.
    dtype : str
        Data type of the stored counts, one of `COUNT_DTYPES`.
    """

    names: Annotated[tuple[str, ...], Meta(min_length=1)]
    values: tuple[PixelValue, ...]
    ignore: tuple[PixelValue, ...]
    dtype: Annotated[str, one_of(COUNT_DTYPES)]

    def __post_init__(self) -> None:
        """Refuse names and values that do not fit each other."""
        self.label_set()

    def label_set(self) -> LabelSet:
        """Return the labels of the masks."""
        return LabelSet(self.names, self.values, self.ignore)

    @classmethod
    def of(cls, labels: LabelSet, pixels: tuple[int, int], grid: tuple[int, int]) -> "LabelSettings":
        """Return the settings of labels, with the smallest type that can count the pixels of a cell.

        Parameters
        ----------
        labels : LabelSet
            The labels.
        pixels : (int, int)
            Height and width of the network's input.
        grid : (int, int)
            Rows and columns of cells.
        """
        most = math.prod(-(-side // cells) for side, cells in zip(pixels, grid, strict=True))
        dtype = COUNT_DTYPES[0] if most <= np.iinfo(COUNT_DTYPES[0]).max else COUNT_DTYPES[1]
        return cls(names=labels.names, values=labels.values, ignore=labels.ignore, dtype=dtype)


class MemorySettings(Record, frozen=True):
    """Contents of memory.json: how a memory was built, and how its vectors are stored on disk.

    An unknown setting is refused: a new setting needs a new `FORMAT`, or it is optional.

    Attributes
    ----------
    format : int
        Version of the format.
    class_order : str
        How classes get their ids.
    backbone, layer : str
        Name of the network and of the extracted layer; `arrays` and "" without a network.
    closing : str or None
        The last nonlinearity applied to the layer's activations.
    table_layer : bool
        Whether the layer is the bottleneck from the table of networks.
    weights, weights_sha256 : str
        What to load the weights from, and the hash of the weights.
    transform : mapping
        `Transform.to_json()`; `{"custom": repr}` for a custom transform, without addresses; empty without a
        transform.
    grid : (int, int)
        Rows and columns of cells per image.
    channels : int
        Values per vector.
    descriptor : str
        What each image was reduced to, one of `DESCRIPTORS`.
    dtype : str
        How the stored rows are kept, one of `DTYPES`; the values of `sparse16` are float16.
    batch_size, shard_images : int
        Images per forward pass, and images per shard: a whole number of batches.
    device, precision : str
        Device kind and precision of the forward pass.
    seed : int
        Seed of everything random in making the network.
    versions : mapping of str to str
        Versions of the packages involved.
    derived_from : str
        Hash of the last ledger line of the memory that this one was computed from; otherwise absent.
    mixed_from : (str, str)
        The same of two memories, if images were assigned at random from both; otherwise absent.
    transform_probe : tuple of TransformProbe
        Effect of the transform. Absent if it is random, fails on drawn images, or was recorded by version
        0.1.
    content_sha256 : str
        Hash of the arrays that the memory was made from; absent if images were read.
    value_range : str
        Black and white of images of more than 8 bits, `ValueRange.text`; absent for the defaults of the file
        types.
    labels : LabelSettings
        The labels of cells; absent if the memory was built without masks.
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
    labels: LabelSettings | UnsetType = UNSET

    def __post_init__(self) -> None:
        """Refuse images too large for an array."""
        if math.prod(self.grid) * self.channels > _MOST_VALUES:
            raise ValueError(
                f"has grid {list(self.grid)} and channels {self.channels}, expected at most {_MOST_VALUES} "
                "values per image"
            )
        if self.labels is not UNSET and math.prod(self.grid) * len(self.labels.names) > _MOST_VALUES:
            raise ValueError(
                f"has grid {list(self.grid)} and {len(self.labels.names)} labels, expected at most "
                f"{_MOST_VALUES} counts per image"
            )
        if self.format != format_of(self.dtype):
            raise ValueError(f"has format {self.format}, expected {format_of(self.dtype)} for {self.dtype}")
        self.range_of_values()

    def range_of_values(self) -> ValueRange | None:
        """Return black and white of images of more than 8 bits, None for the defaults of the file types."""
        return None if self.value_range is UNSET else ValueRange.of(self.value_range)


def format_of(dtype: str) -> int:
    """Return the format version of a memory of this dtype: the lowest possible, for older versions."""
    return 2 if dtype == SPARSE16 else 1


def library_versions() -> dict[str, str]:
    """Return the versions that memory.json records, of installed packages only."""
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
    """Return the number of images per shard: the given number, or by default one that limits a loss.

    It is the same for `sparse16` as for float16.

    Raises
    ------
    InputError
        The given number is not a whole number of batches.
    """
    if wanted is None:
        bytes_an_image = math.prod(grid) * channels * np.dtype(value_type(dtype)).itemsize
        return max(1, min(SHARD_IMAGES, SHARD_BYTES // bytes_an_image) // batch_size) * batch_size
    if wanted < 1 or wanted % batch_size:
        raise InputError(
            f"shard_images must be a multiple of the batch size {batch_size}, got {wanted}; use "
            f"{max(1, round(wanted / batch_size)) * batch_size}, or another batch size"
        )
    return wanted


def settings_text(settings: MemorySettings) -> str:
    """Return the text of memory.json: indented, with sorted keys."""
    document = settings.to_json()
    return json_text(document, indent=2, ensure_ascii=False) + "\n"


def read_settings(folder: Path) -> MemorySettings:
    """Read and check a memory's settings.

    Raises
    ------
    MemoryFormatError
        The folder is missing, is not a memory, or is of a newer format.
    MemoryDamagedError
        memory.json cannot be read or parsed, or a setting is missing, unknown or invalid.
    """
    path = folder / FILE_NAME
    try:
        text = path.read_text("utf-8")
    except (FileNotFoundError, NotADirectoryError):
        what = "is not a memory (it has no memory.json)" if folder.is_dir() else "does not exist"
        if is_in_parts(folder):
            raise MemoryFormatError(
                f"{folder} {what}, but {parts_folder(folder)} has parts of it; build those that are missing, "
                f"then run `hueprobe join {folder}`"
            ) from None
        raise MemoryFormatError(f"{folder} {what}; make one with `hueprobe index IMAGES -o MEMORY`") from None
    except UnicodeDecodeError:
        raise MemoryDamagedError(f"{path} is damaged (not UTF-8 text); restore it") from None
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        reason = getattr(error, "strerror", None) or error
        raise MemoryDamagedError(f"{path} cannot be read: {reason}; restore it") from None
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        raise MemoryDamagedError(f"{path} is damaged (not JSON); restore it or rebuild the memory") from None
    version = document.get("format") if isinstance(document, dict) else None
    if type(version) is not int:
        raise MemoryFormatError(f"{path} has no format version; it was not written by hueprobe")
    if version > FORMAT:
        raise MemoryFormatError(
            f"{folder} has format {version}, this hueprobe reads up to {FORMAT}; install a newer hueprobe"
        )
    try:
        return as_record(document, MemorySettings)
    except RecordError as error:
        raise MemoryDamagedError(f"{path} {error}; restore it or rebuild the memory") from None


def differences(old: MemorySettings, new: MemorySettings) -> list[str]:
    """Return one line for each setting that differs.

    Not compared are the format version, which follows from the dtype, library versions, the path of a weights
    file with the same weights, and the content of arrays, which `hueprobe.memory.listing` checks. Transforms
    are compared by their recorded effect.
    """
    ignored = {"format", "versions", "transform", "transform_probe", "content_sha256"}
    ignored |= {"weights"} if old.weights_sha256 == new.weights_sha256 else set()
    before, now = old.to_json(), new.to_json()
    lines = [
        f"{key}: {_in_words(before.get(key))} in the memory, {_in_words(now.get(key))} requested"
        for key in sorted((before.keys() | now.keys()) - ignored)
        if before.get(key) != now.get(key)
    ]
    if len(lines) == 1 and old.weights_sha256 != new.weights_sha256 and old.weights == "none":
        lines[0] += f": {random_weights_depend_on(old)}"
    transform = transform_difference(
        seen_transform(old.transform, old.transform_probe), seen_transform(new.transform, new.transform_probe)
    )
    return sorted([*lines, *([f"transform: {transform}"] if transform else [])])


def _in_words(value: Any) -> str:
    """Return the value of a setting as JSON value in a message; labels have too many names to show all."""
    if isinstance(value, dict) and "ignore" in value:
        names = ", ".join(map(repr, value["names"][:4])) + (", ..." if len(value["names"]) > 4 else "")
        ignored = ", ".join(map(str, value["ignore"])) or "nothing"
        return f"{len(value['names'])} ({names}; ignoring {ignored})"
    return repr(value)


def random_weights_depend_on(settings: MemorySettings) -> str:
    """Return a sentence on what random weights (`none`) depend on besides network and seed."""
    versions = settings.versions
    threads = (
        ", on the number of threads (OMP_NUM_THREADS)"
        if versions.get("hueprobe", "").startswith("0.1.")
        else ""
    )
    return (
        f"random weights depend on the version of torch ({versions.get('torch', 'unknown')}), on the "
        f"kind of processor{threads}, and on the network's own code; continue where those are the same, or "
        "rebuild the memory"
    )
