"""The file of codes that exact search reads where the quantized vectors are too many for its budget."""

import warnings
from pathlib import Path
from typing import TYPE_CHECKING

from hueprobe.errors import HueprobeError, HueprobeWarning
from hueprobe.search.index_folder import IndexFolder, indexes_of

if TYPE_CHECKING:
    from hueprobe.memory.store import Memory
    from hueprobe.search.exact.blocks import QuantizedVectors

_FILE_NAME = "codes.bin"


def use_stored_codes(
    memory: "Memory",
    quantized: "QuantizedVectors",
    *,
    index_dir: str | Path | None = None,
    build: bool = True,
    progress: bool = False,
) -> None:
    """Let quantized vectors be read from a file beside the memory, where that saves time.

    The file is made where it is absent or of another state. A memory that nobody may write to, or a full
    disk, is no error: search takes longer without.

    Parameters
    ----------
    memory : Memory
        Complete.
    quantized : QuantizedVectors
        Of all its vectors.
    index_dir : path, optional
        As in `hueprobe.open_searcher`.
    build : bool
        Whether the file may be made.
    progress : bool
        Show how it is made.

    Warns
    -----
    HueprobeWarning
        The file could not be made.
    """
    if not quantized.wants_file:
        return
    folder = IndexFolder(memory, f"exact:{quantized.layout}", "torch", indexes_of(memory, index_dir))

    def write(partial: Path) -> Path:
        quantized.write(partial / _FILE_NAME, progress=progress)
        return partial / _FILE_NAME

    if not folder.is_current:
        if not build:
            return
        try:
            folder.build(write)
        except (OSError, HueprobeError) as error:
            warnings.warn(
                f"no file of quantized vectors of {memory.path} ({error}); exact search takes longer without",
                HueprobeWarning,
                stacklevel=4,
            )
            return
    header = folder.current_header()
    quantized.read_from(folder.path / header.file, header.sha256)
