"""Reading MATLAB files in a process of its own: SciPy's reader crashes on some that are damaged.

Run as a program with a file's path, this module writes the variables that SciPy finds as JSON.
"""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from hueprobe.errors import ImageError

# SciPy takes some hundred MB of address space; a list of a million images some more.
_MOST_MEMORY, _MOST_SECONDS = 8 << 30, 300


def read_mat(file: Path, *, name: str) -> dict[str, Any]:
    """Return a MATLAB file's variables: a list of texts each, or a dict of those for a struct array's fields.

    Parameters
    ----------
    file : Path
    name : str
        What to call it in errors.

    Raises
    ------
    ImageError
        SciPy cannot read it, or ends without an answer.
    """
    command = [sys.executable, "-m", "hueprobe.datasets.mat_files", str(file.resolve())]
    paths = [str(Path(__file__).parents[3]), *filter(None, sys.path)]  # what is found here is found there
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}
    try:
        done = subprocess.run(
            command, capture_output=True, timeout=_MOST_SECONDS, check=False, env=environment
        )
        answer = json.loads(done.stdout) if done.returncode == 0 else {}
    except subprocess.TimeoutExpired:
        answer = {"error": f"no answer in {_MOST_SECONDS} s"}
    except (ValueError, RecursionError):
        answer = {}
    if "variables" not in answer:
        reason = answer.get("error", "the reader crashed")
        raise ImageError(f"{name}: no MATLAB file that SciPy reads: {reason}")
    variables: dict[str, Any] = answer["variables"]
    return variables


def _main(file: str) -> None:
    import resource

    _, most = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (_MOST_MEMORY if most < 0 else min(_MOST_MEMORY, most), most))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    from scipy.io import loadmat

    answer: dict[str, Any]
    try:
        found = loadmat(file, squeeze_me=True)
        answer = {
            "variables": {key: _plain(value) for key, value in found.items() if not key.startswith("__")}
        }
    except Exception as error:  # a damaged file raises anything
        answer = {"error": " ".join(str(error).split())[:200] or type(error).__name__}
    sys.stdout.write(json.dumps(answer))


def _plain(value: Any) -> Any:
    import numpy as np

    values = np.atleast_1d(value)
    if values.dtype.names:
        return {part: [_cell(one) for one in values[part].ravel()] for part in values.dtype.names}
    return [_cell(one) for one in values.ravel()]


def _cell(value: Any) -> str:
    """Return one MATLAB value as text; whole numbers without a decimal point."""
    import numpy as np

    while isinstance(value, np.ndarray) and value.size == 1:
        value = value.reshape(-1)[0]
    if isinstance(value, float | np.floating) and float(value).is_integer():
        return str(int(value))
    return str(value)


if __name__ == "__main__":
    _main(sys.argv[1])
