"""NumPy archives (.npz) of arrays with a JSON header."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from hueprobe.errors import InputError
from hueprobe.files import written_whole
from hueprobe.json_documents import json_text

_HEADER = "header"


def write_archive(path: Path, header: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> None:
    """Write a header and arrays; the file appears complete or not at all.

    Parameters
    ----------
    path : Path
        File to write.
    header : mapping of str to Any
        JSON values.
    arrays : mapping of str to ndarray
        Arrays by name, none of them called "header".

    Raises
    ------
    StorageError
        The file cannot be written.
    """
    stored: dict[str, Any] = {_HEADER: np.frombuffer(json_text(header).encode(), np.uint8), **arrays}
    with written_whole(path) as file:
        np.savez_compressed(file, **stored)


def read_archive(path: Path, what: str) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Read what `write_archive` wrote.

    Parameters
    ----------
    path : Path
        File to read.
    what : str
        What it holds, for messages, such as "interventions".

    Raises
    ------
    InputError
        There is no such file, or it is not such an archive.
    """
    try:
        with np.load(path, allow_pickle=False) as stored:
            arrays = {name: stored[name] for name in stored.files}
        header = json.loads(arrays.pop(_HEADER).tobytes())
        if not isinstance(header, dict):
            raise ValueError("its header is no mapping")
    except FileNotFoundError:
        raise InputError(f"{path} does not exist; give a file of saved {what}") from None
    except Exception as error:  # NumPy, zipfile and json raise many kinds for a damaged file
        text = " ".join(str(error).split()) or type(error).__name__
        raise InputError(f"{path} holds no saved {what} ({text}); save it again") from error
    return header, arrays
