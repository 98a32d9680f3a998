"""Logs of a run, one row per epoch: CSV while it runs, Parquet at its end, and TensorBoard on request."""

import csv
import io
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from hueprobe.errors import InputError
from hueprobe.files import written_whole

LOG = "log.csv"


def write_log(folder: Path, log: list[dict[str, float]], *, finished: bool) -> None:
    """Write `log.csv`, and `log.parquet` for a finished run, atomically."""
    names = list(dict.fromkeys(name for row in log for name in row))
    text = io.StringIO()
    writer = csv.DictWriter(text, names, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(log)
    with written_whole(folder / LOG) as file:
        file.write(text.getvalue().encode())
    if finished:
        import pyarrow as pa
        import pyarrow.parquet as pq

        with written_whole(folder / LOG.replace(".csv", ".parquet")) as file:
            pq.write_table(pa.table({name: [row.get(name) for row in log] for name in names}), file)


def require_tensorboard() -> None:
    """Raise InputError unless TensorBoard is installed."""
    try:
        import torch.utils.tensorboard  # noqa: F401
    except ImportError as error:
        raise InputError(
            "TensorBoard is not installed; run `pip install tensorboard`, or leave the option out: log.csv "
            "has the same numbers"
        ) from error


@contextmanager
def tensorboard_log(folder: Path, *, epochs_done: int) -> Iterator[Callable[[dict[str, float]], None]]:
    """Give a function that writes a row of the log to TensorBoard's event files in a folder.

    Parameters
    ----------
    folder : Path
        Folder of the event files.
    epochs_done : int
        Epochs finished before the run resumes; TensorBoard no longer shows later epochs logged before.
    """
    from torch.utils.tensorboard import SummaryWriter

    with SummaryWriter(str(folder), purge_step=epochs_done + 1) as writer:

        def add(row: dict[str, float]) -> None:
            for name, value in row.items():
                if name != "epoch" and not math.isnan(value):
                    writer.add_scalar(name, value, int(row["epoch"]))
            writer.flush()

        yield add
