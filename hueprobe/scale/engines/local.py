"""Local workers: each job in a new process, which shares the cores of this machine with the others."""

import contextlib
import io
import os
import pickle
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec

from hueprobe.errors import InputError
from hueprobe.files import storing
from hueprobe.processes import python_path
from hueprobe.scale.engines.engine import Job, Worker
from hueprobe.scale.engines.outcomes import Outcome
from hueprobe.scale.engines.worker import LENGTH
from hueprobe.threads import default_workers, n_cores

_SECONDS_TO_END = 5.0


class LocalEngine:
    """Starts at most `n` processes at a time.

    They are new ones, not forks, and do not import the caller's `__main__`. They end when this process does,
    even if it is killed.

    Parameters
    ----------
    n : int
        Number of processes.
    spread : bool
        Whether each worker gets one of the CUDA devices, in turn, if there are several.
    """

    def __init__(self, n: int, *, spread: bool) -> None:
        if not sys.executable:
            raise InputError(
                "engine local needs a Python to start, which this program does not name; use --part"
            )
        self.capacity: int | None = n
        self.n_parts: int | None = n
        self.decoders: int | None = max(1, default_workers() // n)
        self._threads = min(_asked_threads(), max(1, n_cores() // n))
        self._free = list(range(n))
        self._devices = _cuda_devices() if spread else []

    def require_sendable(self, task: Any) -> None:
        """Raise unless a task can be pickled, and unpickled without the caller's `__main__`."""
        _pickled(task)

    def start(self, jobs: Sequence[Job]) -> list[Worker]:
        """Start a process for each job."""
        started: list[Worker] = []
        try:
            for job in jobs:
                started.append(self._start(job))
        except BaseException:
            for worker in started:
                worker.stop()
            raise
        return started

    def _start(self, job: Job) -> "LocalWorker":
        sent = _pickled((job.task, str(job.part), str(job.log), str(Path.cwd())))
        slot = self._free.pop(0)
        environment = {
            **os.environ, "PYTHONPATH": python_path(), "OMP_NUM_THREADS": str(self._threads)
        }  # fmt: skip
        if len(self._devices) > 1:
            environment["CUDA_VISIBLE_DEVICES"] = self._devices[slot % len(self._devices)]
        with storing(job.log), job.log.open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "hueprobe.scale.engines.worker"],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, env=environment,
                start_new_session=True,  # Ctrl-C in a terminal is for this process, which then stops them
            )  # fmt: skip
        worker = LocalWorker(process, lambda: self._free.append(slot))
        worker.send(sent)
        return worker


class LocalWorker:
    """A process of a local engine.

    Parameters
    ----------
    process : Popen
        The process.
    ended : callable
        Called once when it has ended.
    """

    def __init__(self, process: "subprocess.Popen[bytes]", ended: Callable[[], None]) -> None:
        self._process, self._ended = process, ended

    def send(self, job: bytes) -> None:
        """Send the job; its pipe stays open, since its end would end the process."""
        stdin = self._process.stdin
        if stdin is not None:
            with contextlib.suppress(BrokenPipeError):  # it died; `poll` says how
                stdin.write(LENGTH.pack(len(job)) + job)
                stdin.flush()

    def poll(self) -> Outcome | None:
        """Return how the process ended, or None."""
        code = self._process.poll()
        if code is None:
            return None
        told = self._process.stdout.read() if self._process.stdout is not None else b""
        self._close()
        try:
            return msgspec.json.decode(told, type=Outcome)
        except msgspec.MsgspecError:
            return Outcome.of_exit(code)

    def stop(self) -> None:
        """Terminate the process: finished work is on disk."""
        self._process.terminate()
        try:
            self._process.wait(_SECONDS_TO_END)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._close()

    def _close(self) -> None:
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with contextlib.suppress(BrokenPipeError):
                    pipe.close()
        self._ended()


class _Pickler(pickle.Pickler):
    """A pickler that refuses what is defined in the caller's `__main__`, which workers do not have."""

    def reducer_override(self, obj: Any) -> Any:
        if getattr(obj, "__module__", None) == "__main__" and hasattr(obj, "__qualname__"):
            raise pickle.PicklingError(f"{obj.__qualname__} is defined in __main__")
        return NotImplemented


def _pickled(value: Any) -> bytes:
    file = io.BytesIO()
    _Pickler(file, protocol=pickle.HIGHEST_PROTOCOL).dump(value)
    return file.getvalue()


def _asked_threads() -> int:
    """Return OMP_NUM_THREADS, or a large number."""
    text = os.environ.get("OMP_NUM_THREADS", "").split(",")[0].strip()
    return int(text) if text.isdecimal() and int(text) else sys.maxsize


def _cuda_devices() -> list[str]:
    """Return the names of the CUDA devices that this process may use, as CUDA_VISIBLE_DEVICES has them."""
    from hueprobe.activations.devices import n_cuda_devices

    n, visible = n_cuda_devices(), os.environ.get("CUDA_VISIBLE_DEVICES")
    names = [str(number) for number in range(n)] if visible is None else visible.split(",")
    return names[:n]
