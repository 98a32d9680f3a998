"""A process that has everything imported and forks a child for each command it is sent, one JSON a line.

The child runs the real entry point with the given arguments, under `Points` where asked; the parent may send it
a signal after some time. So a trial costs what the work costs, without seconds of imports.
"""

import contextlib
import json
import os
import select
import signal
import sys
import tempfile
import threading
import time
import traceback

import torch

from hueprobe import cli, open_memory
from hueprobe.memory import recipe
from hueprobe.search import open_searcher
from tests.faults.points import Points

MOST_SECONDS = 120
SHARD_IMAGES = 8


def warm_up():
    """Import what commands import, and start no thread: a fork takes along only the one that forks."""
    import annoy  # noqa: F401
    import faiss  # noqa: F401
    import matplotlib.figure  # noqa: F401
    import pyarrow.parquet  # noqa: F401
    import scipy.optimize  # noqa: F401
    import scipy.stats  # noqa: F401

    import hueprobe.cli.index
    import hueprobe.images.loading
    import hueprobe.observations
    import hueprobe.plots
    import hueprobe.search.annoy
    import hueprobe.search.exact
    import hueprobe.search.faiss
    import hueprobe.studies.observing
    import tests.tiny_network  # noqa: F401

    torch.set_num_threads(1)
    recipe._SHARD_IMAGES = SHARD_IMAGES
    assert threading.active_count() == 1


def codes(memory):
    """Let exact search write the file of rounded vectors that a memory larger than its budget gets."""
    open_searcher(open_memory(memory), memory_budget=1)


def child(asked, ready, names):
    """Run one command, and leave with its exit code."""
    if asked.get("mask") is not None:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, asked["mask"])
    points = Points(**asked.get("points") or {})
    points.install()
    if asked["argv"][0] == "codes":
        os.write(ready, b"x")
        codes(*asked["argv"][1:])
        code = 0
    else:
        get_command = cli._Commands.get_command

        def says_ready(*args):  # from here on, signals are the command's
            os.write(ready, b"x")
            return get_command(*args)

        cli._Commands.get_command = says_ready
        try:
            cli.main(asked["argv"])
            code = 0
        except SystemExit as stop:
            code = int(stop.code or 0)
    threading._shutdown()  # as the interpreter does: wait for threads
    with contextlib.suppress(OSError):
        os.write(names, "\n".join(points.names).encode())
    return code


def serve(asked):
    """Fork, perhaps send a signal, wait; return what happened."""
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err, tempfile.TemporaryFile() as names:
        waiting, ready = os.pipe()
        started = time.monotonic()
        pid = os.fork()
        if pid == 0:
            os.dup2(out.fileno(), 1)
            os.dup2(err.fileno(), 2)
            code = 70
            try:
                code = child(asked, ready, names.fileno())
            except BaseException:
                traceback.print_exc()
            finally:
                sys.stdout.flush()
                sys.stderr.flush()
                os._exit(code)
        os.close(ready)
        if asked.get("signal"):
            os.read(waiting, 1)
            time.sleep(asked["after"])
            os.kill(pid, asked["signal"])
        status = _wait(pid, started + MOST_SECONDS)
        os.close(waiting)
        texts = []
        for file in (out, err, names):
            file.seek(0)
            texts.append(file.read().decode())
        return {
            "code": os.waitstatus_to_exitcode(status) if status is not None else "hung",
            "out": texts[0],
            "err": texts[1],
            "points": texts[2].splitlines(),
            "seconds": time.monotonic() - started,
        }


def _wait(pid, deadline):
    descriptor = os.pidfd_open(pid)
    try:
        if not select.select([descriptor], [], [], deadline - time.monotonic())[0]:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            return None
        return os.waitpid(pid, 0)[1]
    finally:
        os.close(descriptor)


if __name__ == "__main__":
    warm_up()
    print("ready", flush=True)
    for line in sys.stdin:
        print(json.dumps(serve(json.loads(line))), flush=True)
