"""Workers on Ray: each job is a task of Ray Core, on any node of the cluster that sees the same folders."""

import contextlib
import io
import logging
import os
import re
import socket
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from hueprobe.errors import HueprobeError, InputError, MissingDependencyError
from hueprobe.scale.engines.engine import Job, Worker
from hueprobe.scale.engines.outcomes import DIED, Outcome, run_logged

# Of a Ray that is started here; the second keeps the GPUs of tasks that ask for none, without a warning.
_OF_OWN = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0"}

_SECONDS_TO_CONNECT = 10.0


def load_ray() -> Any:
    """Import Ray.

    Raises
    ------
    MissingDependencyError
        It is not installed.
    """
    try:
        import ray
    except ImportError as error:
        raise MissingDependencyError(
            f"engine ray needs the package {error.name or 'ray'}: pip install 'hueprobe[ray]'"
        ) from None
    return ray


@contextlib.contextmanager
def running_ray(address: str | None) -> Iterator[Any]:
    """Yield Ray, connected to a cluster or started on this machine; what was begun here is ended.

    Parameters
    ----------
    address : str or None
        Address of a cluster, such as `auto` or `10.0.0.1:6379`; None starts Ray on this machine, without
        dashboard and usage reports. If this process is connected already, that connection is used and kept.

    Raises
    ------
    MissingDependencyError
        Ray is not installed.
    InputError
        There is no cluster at the address.
    """
    ray = load_ray()
    if ray.is_initialized():
        yield ray
        return
    with _environment({} if address else _OF_OWN), _only_errors():
        try:
            _require_listener(address or "")
            ray.init(
                address=address or "local", include_dashboard=None if address else False,
                log_to_driver=False, logging_level=logging.ERROR, configure_logging=False,
            )  # fmt: skip
        except (OSError, RuntimeError, ValueError, OverflowError) as error:
            where = f"no Ray at {address!r}" if address else "Ray cannot start here"
            said = (str(error).splitlines() or [type(error).__name__])[0]
            raise InputError(
                f"{where} ({said}); start one with `ray start --head`, set RAY_AUTH_MODE=token if it wants a "
                "token, or leave out the address to use this machine alone"
            ) from None
    try:
        yield ray
    finally:
        ray.shutdown()


def _require_listener(address: str) -> None:
    """Raise OSError unless somebody listens at HOST:PORT; Ray itself tries for more than ten minutes."""
    if match := re.fullmatch(r"(?:ray://)?\[?([^\[\]/]+?)\]?:([0-9]{1,5})", address):
        with socket.create_connection((match[1], int(match[2])), timeout=_SECONDS_TO_CONNECT):
            pass


@contextlib.contextmanager
def without_ray_on_stdout() -> Iterator[None]:
    """Drop what a thread of Ray prints on stdout in the block, such as that a worker died."""
    with contextlib.redirect_stdout(_Stdout(sys.stdout)):
        yield


class _Stdout(io.TextIOBase):
    """A stream that forgets what a thread of Ray writes."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        if threading.current_thread().name.startswith("ray_"):
            return len(text)
        return int(self._stream.write(text))

    def flush(self) -> None:
        self._stream.flush()


@contextlib.contextmanager
def _only_errors() -> Iterator[None]:
    """Let Ray log nothing but errors in the block."""
    logger = logging.getLogger("ray")
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(before)


@contextlib.contextmanager
def _environment(variables: Mapping[str, str]) -> Iterator[None]:
    """Set variables that are not set, for the block."""
    new = {name: value for name, value in variables.items() if name not in os.environ}
    os.environ.update(new)
    try:
        yield
    finally:
        for name in new:
            os.environ.pop(name, None)


def resources(options: Mapping[str, Any], *, uses_gpu: bool) -> dict[str, Any]:
    """Return what a worker asks of the cluster: an equal share of the cores for each GPU, or one core.

    Parameters
    ----------
    options : mapping of str to value
        Options of `ray.remote`, which are kept.
    uses_gpu : bool
        Whether a worker takes a GPU, if there are any.

    Raises
    ------
    InputError
        The cluster has less than one worker asks for.
    """
    ray = load_ray()
    there = ray.cluster_resources()
    n_gpus, n_cpus = int(there.get("GPU", 0)), int(there.get("CPU", 0))
    own: dict[str, Any] = {"num_cpus": 1}
    if uses_gpu and n_gpus:
        own = {"num_gpus": 1, "num_cpus": max(1, n_cpus // n_gpus)}
    asked = {**own, **options}
    for name, has, unit in (("num_cpus", n_cpus, "CPUs"), ("num_gpus", n_gpus, "GPUs")):
        wanted = asked.get(name, 0)
        if not isinstance(wanted, int | float) or wanted < 0 or wanted > has:
            raise InputError(
                f"a worker asks for {name}={wanted}, the Ray cluster has {has} {unit}; give another {name}"
            )
    return asked


class RayEngine:
    """Starts tasks of Ray, which queues them itself; each is tried once, since hueprobe starts it again.

    Parameters
    ----------
    options : mapping of str to value
        Options of `ray.remote`, such as `num_cpus`, `num_gpus` or `memory`.
    uses_gpu : bool
        Whether a worker takes a GPU, if there are any.
    """

    def __init__(self, options: Mapping[str, Any], *, uses_gpu: bool) -> None:
        self._ray = load_ray()
        asked = resources(options, uses_gpu=uses_gpu)
        try:
            self._run = self._ray.remote(max_retries=0, max_calls=1, **asked)(run_logged)
        except (ValueError, TypeError) as error:
            said = str(error).splitlines()[0]
            raise InputError(f"Ray refuses the options of a worker ({said}); correct them") from None
        there = self._ray.cluster_resources()
        by_name = {"num_gpus": "GPU", "num_cpus": "CPU"}
        at_once = [
            int(there[resource] // asked[name]) for name, resource in by_name.items() if asked.get(name)
        ]
        self.capacity: int | None = None
        self.n_parts: int | None = max(1, min(at_once, default=1))
        self.decoders: int | None = max(1, int(asked["num_cpus"]))

    def require_sendable(self, task: Any) -> None:
        """Raise unless Ray can pickle a task."""
        self._ray.cloudpickle.dumps(task)

    def start(self, jobs: Sequence[Job]) -> list[Worker]:
        """Enter a task for each job."""
        return [
            RayWorker(self._ray, self._run.remote(job.task, str(job.part), str(job.log), str(Path.cwd())))
            for job in jobs
        ]


class RayWorker:
    """A task of Ray.

    Parameters
    ----------
    ray : module
        Ray.
    result : ObjectRef
        What the task will return.
    """

    def __init__(self, ray: Any, result: Any) -> None:
        self._ray, self._result = ray, result

    def poll(self) -> Outcome | None:
        """Return how the task ended, or None."""
        ended, _ = self._ray.wait([self._result], timeout=0)
        if not ended:
            return None
        try:
            outcome: Outcome = self._ray.get(self._result)
        except self._ray.exceptions.RayError as error:
            return Outcome(DIED, f"ended with {type(error).__name__}: {_first_sentence(error)}")
        return outcome

    def stop(self) -> None:
        """Cancel the task, which kills its process."""
        with contextlib.suppress(self._ray.exceptions.RayError, HueprobeError):
            self._ray.cancel(self._result, force=True)


def _first_sentence(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (lines or ["no text"])[0][:300]
