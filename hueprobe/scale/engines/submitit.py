"""Workers that submitit starts: jobs of SLURM, or processes of its own on this machine for a try."""

import contextlib
import shutil
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hueprobe.errors import InputError, MissingDependencyError
from hueprobe.scale.engines.engine import Job, Worker
from hueprobe.scale.engines.outcomes import DIED, Outcome, run_logged

_SHARED = (
    "name", "timeout_min", "mem_gb", "nodes", "cpus_per_task", "gpus_per_node", "tasks_per_node",
    "stderr_to_stdout",
)  # fmt: skip
_MINUTES = 24 * 60  # submitit's own default is five
_SECONDS_FOR_A_RESULT = {"slurm": 30.0, "local": 0.0}  # until a shared file system shows the file
_SECONDS_TO_END = 10.0
_MOST_TEXT = 300


class SubmititEngine:
    """Submits jobs; what comes first is one SLURM array.

    Parameters
    ----------
    cluster : str
        `slurm` or `local`.
    options : mapping of str to value
        Parameters of submitit's `update_parameters`, such as `timeout_min`, `cpus_per_task`, `mem_gb` or
        `gpus_per_node`; others are SLURM's own, such as `partition` or `time`.
    folder : Path
        Folder that submitit uses, which all machines see.
    work : str
        What is done, the default name of the jobs.

    Raises
    ------
    MissingDependencyError
        submitit is not installed.
    InputError
        There is no SLURM here, or it has no such option.
    """

    capacity: int | None = None
    n_parts: int | None = None
    decoders: int | None = None

    def __init__(self, cluster: str, options: Mapping[str, Any], folder: Path, *, work: str) -> None:
        try:
            import submitit
        except ImportError as error:
            raise MissingDependencyError(
                f"engine submitit needs the package {error.name or 'submitit'}: pip install "
                "'hueprobe[submitit]'"
            ) from None
        if cluster == "slurm" and shutil.which("srun") is None:
            raise InputError(
                "engine submitit finds no SLURM here (no srun); run this where jobs are submitted, or use "
                "local:N, or submitit:local to try it on this machine"
            )
        self._cluster = cluster
        self._executor = submitit.AutoExecutor(folder=folder, cluster=cluster)
        asked = {_known_as(name): value for name, value in options.items()}
        asked = {"name": f"hueprobe-{work}", **asked}
        if not {"timeout_min", "slurm_time"} & asked.keys():
            asked["timeout_min"] = _MINUTES
        try:
            self._executor.update_parameters(**asked)
        except (NameError, AssertionError, ValueError, TypeError) as error:
            said = (str(error).splitlines() or [type(error).__name__])[0]
            raise InputError(
                f"submitit refuses the options of a job ({said}); give those of its update_parameters or of "
                "sbatch, with _ for -"
            ) from None

    def require_sendable(self, task: Any) -> None:
        """Raise unless submitit can pickle a task."""
        import cloudpickle

        cloudpickle.dumps(task)

    def start(self, jobs: Sequence[Job]) -> list[Worker]:
        """Submit the jobs; several are one array."""
        from submitit.core.utils import FailedJobError

        try:
            with self._executor.batch() if len(jobs) > 1 else contextlib.nullcontext():
                submitted = [
                    self._executor.submit(run_logged, job.task, str(job.part), str(job.log), str(Path.cwd()))
                    for job in jobs
                ]
        except FailedJobError as error:
            said = " ".join(str(error).split())[-_MOST_TEXT:]
            raise InputError(f"SLURM refuses the jobs ({said}); give other options of the engine") from None
        return [SubmititWorker(job, _SECONDS_FOR_A_RESULT[self._cluster]) for job in submitted]


class SubmititWorker:
    """A job of submitit.

    Parameters
    ----------
    job : submitit.Job
        The job.
    patience : float
        Seconds to wait for the result of a job that has ended.
    """

    def __init__(self, job: Any, patience: float) -> None:
        self._job, self._patience = job, patience
        self._ended: float | None = None

    def poll(self) -> Outcome | None:
        """Return how the job ended, or None."""
        if not self._job.done():
            return None
        now = time.monotonic()
        self._ended = now if self._ended is None else self._ended
        if not self._job.paths.result_pickle.exists():
            if now - self._ended < self._patience:
                return None
            return Outcome(DIED, f"ended without a result (job {self._job.job_id}, {self._job.state})")
        error = self._job.exception()
        if error is not None:
            lines = [line for line in str(error).splitlines() if line.strip()]
            return Outcome(DIED, f"failed (job {self._job.job_id}): {lines[0] if lines else error!r}")
        outcome: Outcome = self._job.result()
        return outcome

    def stop(self) -> None:
        """Cancel the job."""
        with contextlib.suppress(OSError):
            self._job.cancel(check=False)
        until = time.monotonic() + _SECONDS_TO_END
        while self._patience == 0 and not self._job.done() and time.monotonic() < until:
            time.sleep(0.1)


def _known_as(name: str) -> str:
    """Return submitit's name of an option.

    >>> _known_as("partition"), _known_as("mem_gb"), _known_as("slurm_time")
    ('slurm_partition', 'mem_gb', 'slurm_time')
    """
    return name if name in _SHARED or name.startswith("slurm_") else f"slurm_{name}"
