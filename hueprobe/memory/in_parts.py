"""Where the parts of a memory are while it is built in parts; `hueprobe.scale` builds and joins them."""

from pathlib import Path


def parts_folder(path: Path) -> Path:
    """Return the folder of a memory's parts, beside it: `my.memory.parts`.

    >>> parts_folder(Path("data/my.memory")).as_posix()
    'data/my.memory.parts'
    """
    path = path if path.name not in ("", "..") else path.resolve()
    return path.with_name(f"{path.name}.parts") if path.name else path / ".parts"


def is_in_parts(path: Path) -> bool:
    """Return whether there are parts of a memory."""
    return parts_folder(path).is_dir()
