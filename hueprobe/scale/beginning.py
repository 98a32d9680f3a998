"""Beginning to build a memory in parts: the first part freezes settings and images, the others compare."""

import contextlib
import time
from collections.abc import Iterator
from pathlib import Path

from hueprobe.errors import HueprobeError, MemoryDamagedError, MemoryFormatError
from hueprobe.files import fsync_folder, storing
from hueprobe.images.mask_files import Masks
from hueprobe.images.table import ImageTable
from hueprobe.memory.filling import Share
from hueprobe.memory.in_parts import parts_folder
from hueprobe.memory.ledger import read_ledger
from hueprobe.memory.listing import list_images, other_list, require_same_masks, same_list
from hueprobe.memory.settings import FILE_NAME as SETTINGS
from hueprobe.memory.settings import MemorySettings, differences
from hueprobe.memory.writer import MemoryWriter, open_writer
from hueprobe.scale.folders import Whole, read_parts, share_of, whole_folder, write_parts
from hueprobe.scale.locks import alone, together
from hueprobe.scale.part import Part
from hueprobe.scale.removing import remove_parts
from hueprobe.scale.state import parts_of

_MOST_SECONDS = 60.0  # until others who also try to begin have done so
_BETWEEN_TRIALS = 0.05


@contextlib.contextmanager
def begun(
    path: Path, part: Part, settings: MemorySettings, table: ImageTable, masks: Masks | None
) -> Iterator[tuple[MemorySettings, Share]]:
    """Hold a memory's parts while one of them is built; begin them if this is the first.

    Parameters
    ----------
    path : Path
        Folder of the whole memory.
    part : Part
        The part to be built.
    settings : MemorySettings
        Settings of the memory; those of parts that were begun must be the same.
    table : ImageTable
        All images; those of parts that were begun must be the same.
    masks : Masks or None
        Masks of all images.

    Yields
    ------
    settings : MemorySettings
        Settings as they were recorded first.
    share : Share
        The images of this part.

    Raises
    ------
    MemoryFormatError
        The memory exists, or its parts are being joined, or they have another number, other settings, images
        or masks.
    InputError
        There are more parts than shards.
    """
    share_of(part, len(table), settings, path)  # before anything is written
    fresh, deadline = False, time.monotonic() + _MOST_SECONDS
    with storing(parts_folder(path)):
        require_room(path)
        parts_folder(path).mkdir(parents=True, exist_ok=True)
        fsync_folder(parts_folder(path).parent)
    try:
        while True:
            with together(path):
                require_room(path)
                whole = read_parts(path)
                if whole is not None:
                    listed = require_same_work(whole, part, settings, table, masks)
                    rows = whole.rows(part.number)
                    yield whole.settings, Share(rows, listed.select(rows))
                    return
            with alone(path) as is_alone:
                if is_alone and read_parts(path) is None:
                    _begin(path, part, settings, table, masks)
                    fresh = True
            if not is_alone and time.monotonic() > deadline:
                raise MemoryFormatError(
                    f"another process holds {parts_folder(path)}; wait for it to end, then run the same again"
                )
            if not is_alone:
                time.sleep(_BETWEEN_TRIALS)
    except HueprobeError:
        if fresh:
            with contextlib.suppress(HueprobeError):  # report the first error
                _remove_if_fruitless(path)
        raise


def require_room(path: Path) -> None:
    """Raise unless a memory may be put here when it is joined.

    Raises
    ------
    MemoryFormatError
        There is a memory, or anything else but an empty folder.
    """
    if (path / SETTINGS).is_file():
        raise MemoryFormatError(
            f"{path} is a memory already, so no part of it is left to build; leave out --part to compare its "
            "images, or choose another folder"
        )
    if path.is_symlink():
        raise MemoryFormatError(
            f"{path} is a link, which joined parts cannot replace; give the folder that it leads to"
        )
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        raise MemoryFormatError(f"{path} is not empty and not a memory; choose a new folder")


def require_same_work(
    whole: Whole, part: Part, settings: MemorySettings, table: ImageTable, masks: Masks | None
) -> ImageTable:
    """Return the list of all images as it was frozen; raise unless a part fits those that were begun.

    Raises
    ------
    MemoryFormatError
        The parts are being joined, or they have another number, other settings, images or masks.
    """
    path, folder = whole.path, parts_folder(whole.path)
    remedy = f"choose another folder, or remove {folder} to begin anew"
    if whole.is_joining:
        raise MemoryFormatError(f"the parts of {path} are being joined; run `hueprobe join {path}` again")
    if whole.n != part.n:
        raise MemoryFormatError(
            f"{path} is being built in {whole.n} parts, got {part}; give --part I/{whole.n}, or {remedy}"
        )
    if changed := differences(whole.settings, settings):
        raise MemoryFormatError(
            f"{folder} has parts of other settings ({'; '.join(changed)}); use the same settings, {remedy}"
        )
    if not same_list(listed := whole.listed(), table):
        raise other_list(folder, listed, table, remedy)
    if masks is not None:
        require_same_masks(MemoryWriter(whole.folder, whole.settings, whole.ledger), table, masks, 0)
    return listed


def _begin(path: Path, part: Part, settings: MemorySettings, table: ImageTable, masks: Masks | None) -> None:
    """Write settings and list of images of the memory to be; what a killed beginning left is replaced."""
    folder = whole_folder(path)
    if read_ledger(folder).shards:
        raise MemoryDamagedError(f"{parts_folder(path)} has lost its parts.json; restore it")
    with open_writer(folder, settings, overwrite=True) as writer:
        list_images(writer, table, None, masks, append=False)
    write_parts(path, part.n)


def _remove_if_fruitless(path: Path) -> None:
    """Remove the parts that this process began, if nobody has a shard and nobody else is building one."""
    with alone(path) as is_alone:
        if is_alone and not any(state.n_done for state in parts_of(path)):
            remove_parts(path)
