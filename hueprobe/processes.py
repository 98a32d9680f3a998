"""Running a module of hueprobe as a program of its own: for what a process can only do to itself."""

import os
import subprocess
import sys
from pathlib import Path


def run_module(module: str, *arguments: str, data: bytes = b"", seconds: float) -> bytes | None:
    """Run `python -W ignore -m MODULE ARGUMENTS` with `data` on stdin and return what it writes on stdout.

    What can be imported here can be imported there.

    Parameters
    ----------
    module : str
        Dotted name.
    arguments : str
    data : bytes
    seconds : float
        How long it may take.

    Returns
    -------
    bytes or None
        None where it could not be started, failed, crashed, or took longer and was ended.
    """
    if not sys.executable:  # Python inside another program
        return None
    paths = [str(Path(__file__).resolve().parents[1]), *filter(None, sys.path)]
    try:
        done = subprocess.run(
            [sys.executable, "-W", "ignore", "-m", module, *arguments],
            input=data,
            capture_output=True,
            timeout=seconds,
            check=False,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout if done.returncode == 0 else None
