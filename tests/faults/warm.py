"""A process that has everything imported and forks a child for each command that it is sent.

The child runs the real entry point with the given arguments, under `Points` where asked; the parent may send
it a signal after some time. So a trial costs what the work costs, without seconds of imports.
"""

import contextlib
import faulthandler
import importlib
import json
import os
import select
import signal
import sys
import tempfile
import threading
import time
import traceback

import pyarrow
import torch

from hueprobe import cli, open_memory
from hueprobe.memory import settings
from hueprobe.search import faiss_build, open_searcher
from hueprobe.search.exact import formats, searcher, self_check
from tests.faults.points import Points

MOST_SECONDS = 60
SHARD_IMAGES = 8


WHAT_COMMANDS_IMPORT = (
    "annoy", "faiss", "matplotlib.figure", "pyarrow.parquet", "scipy.optimize", "scipy.stats",
    "tests.tiny_network",
    "hueprobe.cli.index", "hueprobe.cli.join", "hueprobe.cli.search", "hueprobe.images.loading",
    "hueprobe.observations", "hueprobe.plots", "hueprobe.scale.build", "hueprobe.scale.joining",
    "hueprobe.scale.part_search",
    "hueprobe.search.annoy", "hueprobe.search.exact.searcher", "hueprobe.search.faiss_build",
    "hueprobe.studies.observing.memories",
)  # fmt: skip


def warm_up():
    """Import, and start no thread: a fork takes along only the one that forks."""
    for name in WHAT_COMMANDS_IMPORT:
        importlib.import_module(name)
    pyarrow.array(["pyarrow imports pandas with its first array, where there is pandas"])
    torch.set_num_threads(1)
    formats._TRIAL_SECONDS = 0
    self_check.sound_formats(torch.device("cpu"))  # looked at once a process
    settings.SHARD_IMAGES = SHARD_IMAGES
    faiss_build._PIECE_VECTORS = 1  # a piece for each block, of which a shard has one
    assert threading.active_count() == 1


def codes(memory):
    """Let exact search write the file of rounded vectors that a memory larger than its budget gets."""
    open_searcher(open_memory(memory), memory_budget=1, device="cpu")


def child(asked, ready, names):
    """Run one command, and leave with its exit code."""
    points = Points(**asked["points"] or {})
    if asked["points"] is not None:  # else its files are plain ones, in whose C no signal can strike
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
        if asked["argv"][0] == "search":  # its file names the format of products, which is measured
            searcher.fastest_format = lambda *_, **__: "float32"
        try:
            cli.main(asked["argv"])
            code = 0
        except SystemExit as stop:
            code = int(stop.code or 0)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    threading._shutdown()  # as the interpreter does: wait for threads
    with contextlib.suppress(OSError):
        os.write(names, "\n".join(points.names).encode())
    return code


class Running:
    """A child at work; `end` waits for it and says what happened."""

    def __init__(self, asked):
        self._asked = asked
        self._files = [tempfile.TemporaryFile() for _ in range(3)]  # noqa: SIM115
        self._waiting, ready = os.pipe()
        self._started = time.monotonic()
        self._pid = os.fork()
        if self._pid == 0:
            out, err, names = self._files
            os.dup2(out.fileno(), 1)
            os.dup2(err.fileno(), 2)
            faulthandler.enable(sys.__stderr__)  # says where it hangs
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

    def end(self):
        if self._asked["signal"]:
            os.read(self._waiting, 1)
            time.sleep(self._asked["after"])
            os.kill(self._pid, self._asked["signal"])
        code = self._exit_code()
        seconds = time.monotonic() - self._started
        os.close(self._waiting)
        texts = []
        for file in self._files:
            file.seek(0)
            texts.append(file.read().decode())
            file.close()
        out, err, points = texts
        return {"code": code, "out": out, "err": err, "points": points.splitlines(), "seconds": seconds}

    def _exit_code(self):
        descriptor = os.pidfd_open(self._pid)
        try:
            left = self._started + MOST_SECONDS - time.monotonic()
            if select.select([descriptor], [], [], left)[0]:
                return os.waitstatus_to_exitcode(os.waitpid(self._pid, 0)[1])
            os.kill(self._pid, signal.SIGABRT)
            os.waitpid(self._pid, 0)
            return "hung"
        finally:
            os.close(descriptor)


if __name__ == "__main__":
    warm_up()
    print("ready", flush=True)
    for line in sys.stdin:
        running = [Running(asked) for asked in json.loads(line)]
        print(json.dumps([one.end() for one in running]), flush=True)
