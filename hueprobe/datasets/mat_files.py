"""Lists in MATLAB files, read by SciPy.

SciPy's reader does not execute code in a file, but it crashes on many damaged files, and such crashes may be
exploitable. So only a file with a known, matching checksum is read in this process. Any other is read by this
module as a separate program with limited memory and time.
"""

import hashlib
import io
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

from hueprobe.errors import ImageError
from hueprobe.processes import run_module

_LARGEST = 256 << 20  # bytes of a file; ImageNet's list of 1.3 million names has a tenth of this
# SciPy needs some hundred MB of address space; a list of a million images some more.
_MOST_MEMORY, _MOST_SECONDS = 8 << 30, 300


def read_mat(file: Path, *, name: str, checksum: str | None = None) -> dict[str, Any]:
    """Return a MATLAB file's variables, each a list of strings, or a dict of lists for a struct array.

    Parameters
    ----------
    file : Path
        File to read.
    name : str
        Name of the file, for messages.
    checksum : str, optional
        `md5:...` or `sha256:...`; None if unknown.

    Raises
    ------
    ImageError
        If the file is too large for a list, or if SciPy cannot read it or crashes.
    """
    if (size := file.stat().st_size) > _LARGEST:
        raise ImageError(f"{name}: {size:,} bytes; a list of images has at most {_LARGEST:,}")
    data = file.read_bytes()
    kind, _, digest = (checksum or "").partition(":")
    if kind and hashlib.new(kind, data, usedforsecurity=False).hexdigest() == digest:
        answer = _answer(data)
    else:
        written = run_module(__name__, data=data, seconds=_MOST_SECONDS)
        crashed = {"error": f"the reader crashed, or took longer than {_MOST_SECONDS} s"}
        answer = crashed if written is None else json.loads(written)
    if "variables" not in answer:
        raise ImageError(f"{name}: not a MATLAB file that SciPy can read: {answer['error']}")
    variables: dict[str, Any] = answer["variables"]
    return variables


def _answer(data: bytes) -> dict[str, Any]:
    """Return {"variables": ...} or {"error": reason}."""
    from scipy.io import loadmat

    try:
        found = loadmat(io.BytesIO(data), squeeze_me=True)
        return {"variables": {key: _plain(value) for key, value in found.items() if not key.startswith("__")}}
    except Exception as error:  # a damaged file raises anything
        return {"error": " ".join(str(error).split())[:200] or type(error).__name__}


def _plain(value: Any) -> Any:
    values = np.atleast_1d(value)
    if values.dtype.names:
        return {part: [_cell(one) for one in values[part].ravel()] for part in values.dtype.names}
    return [_cell(one) for one in values.ravel()]


def _cell(value: Any) -> str:
    """Return one MATLAB value as a string; integers without a decimal point."""
    while isinstance(value, np.ndarray) and value.size == 1:
        value = value.reshape(-1)[0]
    if isinstance(value, float | np.floating) and float(value).is_integer():
        return str(int(value))
    return str(value)


def _main() -> None:
    import resource

    _, most = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (_MOST_MEMORY if most < 0 else min(_MOST_MEMORY, most), most))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    sys.stdout.write(json.dumps(_answer(sys.stdin.buffer.read())))


if __name__ == "__main__":
    _main()
