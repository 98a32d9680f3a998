"""`hueprobe verify`: check every hash of a memory."""

import sys
from pathlib import Path

import click

from hueprobe.cli.options import json_option, memory_argument, print_json, say


@click.command()
@memory_argument
@json_option
def verify(memory: Path, as_json: bool) -> None:
    """Check every file of MEMORY against its ledger.

    The exit code is 1 if a file is damaged, or if the memory is not finished.
    """
    from hueprobe.memory import verify_memory

    found = verify_memory(memory, progress=not as_json)
    if as_json:
        print_json(
            {
                "memory": memory,
                "files": found.n_files,
                "bytes": found.n_bytes,
                "problems": list(found.problems),
                "unfinished": found.unfinished,
            }
        )
    elif found.ok:
        say(f"{memory}: {found.n_files} files, {found.n_bytes / 1e6:,.1f} MB, all unchanged")
    for problem in found.problems:
        say(f"damaged: {problem}", err=True)
    if found.unfinished:
        say(f"not finished: {found.unfinished}", err=True)
    sys.exit(0 if found.ok else 1)
