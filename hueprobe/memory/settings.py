"""`memory.json`: the settings a memory was made with, and what may differ when it is continued."""

import importlib.metadata
import json
from pathlib import Path
from typing import Any

from hueprobe.errors import MemoryDamagedError, MemoryFormatError

FILE_NAME = "memory.json"
FORMAT = 1
CLASS_ORDER = "sorted by name among readable pictures; classes of appended pictures behind, sorted"
_RECORDED_PACKAGES = ("hueprobe", "torch", "torchvision", "timm", "numpy", "Pillow")
_REQUIRED = {
    "format", "backbone", "layer", "weights", "weights_sha256", "transform", "grid", "channels",
    "descriptor", "dtype", "batch_size", "shard_images", "seed", "versions",
}  # fmt: skip


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
        memory.json cannot be parsed or lacks a setting.
    """
    path = folder / FILE_NAME
    try:
        text = path.read_text("utf-8")
    except (FileNotFoundError, NotADirectoryError):
        what = "is not a memory (it has no memory.json)" if folder.is_dir() else "does not exist"
        raise MemoryFormatError(f"{folder} {what}; make one with `hueprobe index IMAGES -o MEMORY`") from None
    except UnicodeDecodeError:
        raise MemoryDamagedError(f"{path} is damaged (not UTF-8 text); restore it") from None
    try:
        settings = json.loads(text)
    except (ValueError, RecursionError):
        raise MemoryDamagedError(
            f"{path} is damaged (not JSON); restore it or build the memory anew"
        ) from None
    version = settings.get("format") if isinstance(settings, dict) else None
    if not isinstance(version, int):
        raise MemoryFormatError(f"{path} names no format version; it was not written by hueprobe")
    if version > FORMAT:
        raise MemoryFormatError(
            f"{folder} has format {version}, this hueprobe reads up to {FORMAT}; install a newer hueprobe"
        )
    if missing := sorted(_REQUIRED - settings.keys()):
        raise MemoryDamagedError(f"{path} lacks {', '.join(missing)}; restore it or build the memory anew")
    return settings


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
