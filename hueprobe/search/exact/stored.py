"""The file of codes that exact search reads if the quantized vectors exceed its memory budget."""

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
    """Read quantized vectors from a file beside the memory if that saves time.

    The file is built if it is missing or belongs to another state of the memory. A read-only memory or a
    full disk is not an error: search then takes longer.

    Parameters
    ----------
    memory : Memory
        Complete memory.
    quantized : QuantizedVectors
        Quantized vectors of the whole memory.
    index_dir : path, optional
        Folder of search indexes; see `hueprobe.open_searcher`.
    build : bool, default=True
        Build the file if needed.
    progress : bool, default=False
        Show a progress bar during the build.

    Warns
    -----
    HueprobeWarning
        The file could not be built.
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
            folder.build(write, nonzero=quantized.nonzero)
        except (OSError, HueprobeError) as error:
            warnings.warn(
                f"no file of quantized vectors for {memory.path} ({error}); exact search takes longer",
                HueprobeWarning,
                stacklevel=4,
            )
            return
    header = folder.current_header()
    quantized.read_from(folder.path / header.file, header.sha256)
