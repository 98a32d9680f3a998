"""Opening the engine that a name asks for; only then is its package imported."""

import contextlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from hueprobe.errors import InputError
from hueprobe.scale.engines.engine import Engine, EngineName


@contextlib.contextmanager
def open_engine(
    name: EngineName, *, options: Mapping[str, Any], logs: Path, device: str, work: str
) -> Iterator[Engine]:
    """Yield an engine; at the end, what it started for itself is stopped.

    Parameters
    ----------
    name : EngineName
        Which engine.
    options : mapping of str to value
        Settings of the engine itself, such as `partition` for SLURM.
    logs : Path
        Absolute path of the folder of logs.
    device : str
        Device of the network in each worker: `auto`, `cpu`, ...
    work : str
        What is done, for names of jobs.

    Raises
    ------
    MissingDependencyError
        The engine's package is not installed.
    InputError
        The engine does not have such options, or cannot run here.
    """
    if name.kind == "local":
        from hueprobe.scale.engines.local import LocalEngine

        if options:
            raise InputError(
                f"engine local:{name.argument} has no options, got {next(iter(options))}=; leave them out"
            )
        yield LocalEngine(int(name.argument), spread=device in ("auto", "cuda"))
    elif name.kind == "ray":
        from hueprobe.scale.engines.ray import RayEngine, running_ray, without_ray_on_stdout

        with running_ray(name.argument or None), without_ray_on_stdout():
            yield RayEngine(options, uses_gpu=device != "cpu")
    else:
        from hueprobe.scale.engines.submitit import SubmititEngine

        try:
            yield SubmititEngine(name.argument or "slurm", options, logs / "jobs", work=work)
        finally:
            for folder in (logs / "jobs", logs):  # which submitit made, if there was nothing to submit
                with contextlib.suppress(OSError):
                    folder.rmdir()
