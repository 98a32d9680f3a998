"""`memory.json`: the settings a memory was made with, and what may differ when it is continued."""

import importlib.metadata
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hueprobe.activations.descriptors import DESCRIPTORS
from hueprobe.errors import MemoryDamagedError, MemoryFormatError
from hueprobe.memory.vectors import DTYPES

FILE_NAME = "memory.json"
FORMAT = 1
CLASS_ORDER = "sorted by name among readable pictures; classes of appended pictures behind, sorted"
_RECORDED_PACKAGES = ("hueprobe", "torch", "torchvision", "timm", "numpy", "Pillow")
_MOST_VALUES = 1 << 40  # of one image's grid; beyond it no array could be addressed


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_count(value: Any) -> bool:
    return type(value) is int and 1 <= value <= _MOST_VALUES


def _is_grid(value: Any) -> bool:
    return isinstance(value, list) and len(value) == 2 and all(map(_is_count, value))


# What each setting may be; others are kept as they are.
_ALLOWED: dict[str, Callable[[Any], bool]] = {
    "format": lambda value: type(value) is int and value >= 1,
    "backbone": _is_text,
    "layer": _is_text,
    "closing": lambda value: value is None or _is_text(value),
    "table_layer": lambda value: isinstance(value, bool),
    "weights": _is_text,
    "weights_sha256": _is_text,
    "transform": lambda value: isinstance(value, dict),
    "grid": _is_grid,
    "channels": _is_count,
    "descriptor": lambda value: value in DESCRIPTORS,
    "dtype": lambda value: value in DTYPES,
    "batch_size": _is_count,
    "shard_images": _is_count,
    "device": _is_text,
    "precision": _is_text,
    "seed": lambda value: type(value) is int and value >= 0,
    "versions": lambda value: isinstance(value, dict),
}


def library_versions() -> dict[str, str]:
    """Return the versions that memory.json records; a package that is not installed is left out."""
    versions = {}
    for name in _RECORDED_PACKAGES:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return versions


def settings_text(settings: dict[str, Any]) -> str:
    """Return memory.json's text: indented for people, with sorted keys."""
    return json.dumps(settings, sort_keys=True, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def read_settings(folder: Path) -> dict[str, Any]:
    """Read and check a memory's settings.

    Raises
    ------
    MemoryFormatError
        The folder is missing, is no memory, or is of a newer format.
    MemoryDamagedError
        memory.json cannot be read or parsed, lacks a setting, or has one that cannot be.
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
        settings = json.loads(text)
    except (ValueError, RecursionError):
        raise MemoryDamagedError(
            f"{path} is damaged (not JSON); restore it or build the memory anew"
        ) from None
    version = settings.get("format") if isinstance(settings, dict) else None
    if type(version) is not int:
        raise MemoryFormatError(f"{path} names no format version; it was not written by hueprobe")
    if version > FORMAT:
        raise MemoryFormatError(
            f"{folder} has format {version}, this hueprobe reads up to {FORMAT}; install a newer hueprobe"
        )
    if missing := sorted(_ALLOWED.keys() - settings.keys()):
        raise MemoryDamagedError(f"{path} lacks {', '.join(missing)}; restore it or build the memory anew")
    wrong = [name for name, is_allowed in _ALLOWED.items() if not is_allowed(settings[name])]
    if not wrong and math.prod(settings["grid"]) * settings["channels"] > _MOST_VALUES:
        wrong = ["grid"]
    if wrong:
        raise MemoryDamagedError(
            f"{path} says {wrong[0]} {str(settings[wrong[0]])[:80]!r}, which no memory has; restore it or "
            "build the memory anew"
        )
    known: dict[str, Any] = settings
    return known


def differences(old: dict[str, Any], new: dict[str, Any]) -> list[str]:
    """Return one line for each setting that differs.

    Library versions are left out, and where a weights file lies, as long as it holds the same weights.

    >>> differences({"layer": "a", "seed": 0}, {"layer": "b", "seed": 0})
    ["layer: 'a' in the memory, 'b' asked"]
    """
    same_weights = old.get("weights_sha256", 0) == new.get("weights_sha256", 1)
    ignored = {"versions", "weights"} if same_weights else {"versions"}
    return [
        f"{key}: {old.get(key)!r} in the memory, {new.get(key)!r} asked"
        for key in sorted((old.keys() | new.keys()) - ignored)
        if old.get(key) != new.get(key)
    ]
