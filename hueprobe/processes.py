"""Running a module of hueprobe in a separate process, for effects that must not touch this process."""

import os
import subprocess
import sys
from pathlib import Path


def run_module(module: str, *arguments: str, data: bytes = b"", seconds: float) -> bytes | None:
    """Run `python -W ignore -m MODULE ARGUMENTS` with `data` on stdin and return its stdout.

    The process can import the same modules as this one.

    Parameters
    ----------
    module : str
        Dotted name of the module.
    *arguments : str
        Arguments of the command line.
    data : bytes, default=b""
        Its standard input.
    seconds : float
        Time limit.

    Returns
    -------
    bytes or None
        None if the process could not be started, failed, crashed or exceeded its time limit.
    """
    if not sys.executable:  # Python inside another program
        return None
    try:
        done = subprocess.run(
            [sys.executable, "-W", "ignore", "-m", module, *arguments],
            input=data,
            capture_output=True,
            timeout=seconds,
            check=False,
            env={**os.environ, "PYTHONPATH": python_path()},
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout if done.returncode == 0 else None


def python_path() -> str:
    """Return the PYTHONPATH with which a new process can import the same modules as this one."""
    return os.pathsep.join([str(Path(__file__).resolve().parents[1]), *filter(None, sys.path)])
