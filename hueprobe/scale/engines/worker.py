"""The process of a local worker: a pickled job on stdin, its outcome on stdout. It ends with its parent."""

import os
import pickle
import struct
import sys
import threading
from typing import IO, Any

from hueprobe.scale.engines.outcomes import REFUSED, Outcome, run_logged

LENGTH = struct.Struct("<Q")  # of the pickle, before it


def main() -> None:
    """Do one job."""
    source, told = sys.stdin.buffer, os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what a module prints when it is imported goes to the log too
    (length,) = LENGTH.unpack(source.read(LENGTH.size))
    sent = source.read(length)
    threading.Thread(target=_end_with_parent, args=(source,), daemon=True).start()
    told.write(_outcome(sent).to_json())
    told.flush()
    os._exit(0)  # the other thread still reads


def _outcome(sent: bytes) -> Outcome:
    """Return how a job ended."""
    try:
        job: tuple[Any, ...] = pickle.loads(sent)  # from the parent's pipe, never from a file
    except Exception as error:
        return Outcome(
            REFUSED,
            f"a worker cannot load what was sent to it ({type(error).__name__}: {error}); give the network "
            "as 'package.module:callable', of a module that every worker can import",
            "InputError",
        )
    return run_logged(*job)


def _end_with_parent(source: IO[bytes]) -> None:
    """End this process when its parent is gone: finished work is on disk."""
    source.read()
    os._exit(1)


if __name__ == "__main__":
    main()
