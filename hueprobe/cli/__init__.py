"""The `hueprobe` command: arguments in, report and exit code out.

Only click is imported here. Each command's module is imported when it is called, and heavy modules inside
it when it runs, so that `hueprobe --help` is instant.
"""

import contextlib
import importlib
import os
import select
import signal
import sys
import threading
import traceback
import warnings
from collections.abc import Iterator
from functools import partial
from typing import Any

import click

from hueprobe import __version__
from hueprobe.errors import HueprobeError, HueprobeWarning
from hueprobe.escapes import escape_controls

# Command -> (module.function, description for --help).
_COMMANDS = {
    "audit": ("audit.audit", "Find duplicates and labels that are likely wrong."),
    "backbones": ("backbones.backbones", "List networks, or show a network's bottleneck, grid and weights."),
    "compare": ("compare.compare", "Train with several losses over paired seeds, and compare them."),
    "data": ("data.data", "List, show, fetch, verify and split data sets; draft manifests."),
    "demo": ("demo.demo", "Run the whole pipeline on real images in about a minute."),
    "evaluate": ("evaluate.evaluate", "Classify labeled images; report accuracy and confusion."),
    "explore": ("explore.explore", "Show matches in the browser: one file, or a local server."),
    "index": ("index.index", "Extract the activations of images into a memory."),
    "info": ("info.info", "Show the content of a memory."),
    "intervene": (
        "intervene.intervene",
        "Flip all images: are class positions of the content or the network?",
    ),
    "join": ("join.join", "Make one memory of its parts (index --part)."),
    "merge": ("merge.merge", "Merge all parts of a search into one match table."),
    "observe": ("observe.observe", "Measure where matches land and judge the paper's claims."),
    "plan": ("plan.plan", "Measure what a memory will take before it is built."),
    "query": ("query.query", "Classify images and show what their pixels match."),
    "search": ("search.search", "Search a memory in parts, by several processes or machines."),
    "train": ("train.train", "Train one network with one loss."),
    "tune": ("tune.tune", "Find the fastest searcher with a target recall for a memory."),
    "segment": ("segment.segment", "Label the pixels of images by a memory with masks."),
    "verify": ("verify.verify", "Check that the files of a memory are unchanged."),
}

_UNREAD = 128 + 13  # exit code of a command ended by SIGPIPE
# Commands that resume; `fetch` belongs to `data`.
_GO_ON = ("compare", "demo", "fetch", "index", "intervene", "join", "observe", "search", "train")
_ARGUMENTS = "hueprobe.arguments"  # of the command line, in click's context


class _Commands(click.Group):
    """Imports a command when it is called; reports errors in one line."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        ctx.meta[_ARGUMENTS] = tuple(args)
        return super().parse_args(ctx, args)

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(_COMMANDS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name not in _COMMANDS:
            return None
        module, function = _COMMANDS[name][0].split(".")
        command: click.Command = getattr(importlib.import_module(f"hueprobe.cli.{module}"), function)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in sorted(_COMMANDS.items())])

    def invoke(self, ctx: click.Context) -> Any:
        verbose = ctx.params.get("verbose", 0)
        with warnings.catch_warnings():
            # A warning is a line on stderr; warnings of libraries are shown with -v.
            warnings.simplefilter("default" if verbose else "ignore")
            warnings.simplefilter("always", HueprobeWarning)
            warnings.showwarning = partial(_show_warning, set())
            try:
                with _stopped_by_signals(_stopped(ctx)):
                    return super().invoke(ctx)
            except HueprobeError as error:
                _fail(str(error), verbose)
            except KeyboardInterrupt as stop:
                click.echo(_stopped(ctx), err=True)
                sys.exit(128 + (signal.SIGTERM if isinstance(stop, _Terminated) else signal.SIGINT))
            except BrokenPipeError as error:
                if not _nobody_reads():
                    _fail(error.strerror or "a pipe broke", verbose)
                sys.exit(_UNREAD)
            except OSError as error:
                where = f" ({error.filename})" if error.filename else ""
                _fail(f"{error.strerror or error}{where}", verbose)


class _Terminated(KeyboardInterrupt):
    """SIGTERM, which stops a command like Ctrl-C: files being written are left in order."""


def _stopped(ctx: click.Context) -> str:
    """Return the message of a stopped command: what is kept, and how to resume."""
    arguments = ctx.meta.get(_ARGUMENTS, ())
    named = [word for word in arguments if not word.startswith("-")][
        :2
    ]  # a command, and perhaps one below it
    if not set(named[: 2 if named[:1] == ["data"] else 1]) & set(_GO_ON):
        return "hueprobe: stopped"
    but = " (leave out --overwrite)" if "--overwrite" in arguments else ""
    return f"hueprobe: stopped; finished work is kept: run the same command again to resume{but}"


@contextlib.contextmanager
def _stopped_by_signals(text: str) -> Iterator[None]:
    """Raise exceptions on SIGINT and SIGTERM in the block, in the main thread; a second signal exits.

    The second signal prints the text and exits at once without cleanup; files on disk survive this like
    a SIGKILL.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    received: list[int] = []

    def stop(number: int, frame: Any) -> None:
        received.append(number)
        if len(received) > 1:
            os.write(2, f"\n{text}\n".encode())
            os._exit(128 + number)
        raise _Terminated if number == signal.SIGTERM else KeyboardInterrupt

    before = {}
    try:
        for number in (signal.SIGINT, signal.SIGTERM):
            if signal.getsignal(number) is not signal.SIG_IGN:  # ignored under nohup
                before[number] = signal.signal(number, stop)
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _show_warning(
    shown: set[str], message: Warning | str, category: type[Warning], *_: Any, **__: Any
) -> None:
    """Show a warning once per command: planning and running a job may issue the same warning."""
    if str(message) not in shown:
        shown.add(str(message))
        click.echo(f"warning: {escape_controls(str(message))}", err=True)


def _nobody_reads() -> bool:
    """Return whether the reader of our output has closed it, like `head`; further output is dropped."""
    gone = []
    for stream in (sys.stdout, sys.stderr):
        try:
            number = stream.fileno()
            poll = select.poll()
            poll.register(number, 0)
            if poll.poll(0):  # an error, or no reader; no other event was registered
                gone.append(number)
        except (OSError, ValueError, AttributeError):  # not a file, or a system without poll
            continue
    for number in gone:  # otherwise Python reports the error again at exit
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, number)
        os.close(nowhere)
    return bool(gone)


def _fail(text: str, verbose: int) -> None:
    if verbose >= 2:
        traceback.print_exc()
    click.echo(f"hueprobe: error: {escape_controls(' '.join(text.split()))}", err=True)
    sys.exit(1)


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="hueprobe")
@click.option("-v", "--verbose", count=True, help="Show warnings of libraries; -vv shows tracebacks too.")
def main(verbose: int) -> None:
    """Nearest-neighbor analysis of CNN activations."""
