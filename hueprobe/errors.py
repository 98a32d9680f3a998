"""Every error hueprobe raises on purpose, and the one helper that words a wrong choice.

Each class is also a built-in, so that a script may catch either. A message says what is wrong, the
value, what is allowed and what to do; the command line prints it as it is, in one line.
"""

import difflib
from collections.abc import Iterable


class HueprobeError(Exception):
    """Something the user can mend; its text is complete as it stands."""


class InputError(HueprobeError, ValueError):
    """An argument is out of its range or does not fit the others."""


class ShapeError(HueprobeError, ValueError):
    """An array has another shape than the memory, the grid or its neighbors ask for."""


class BackboneError(HueprobeError, ValueError):
    """An unknown network, or one that gives no grid of activations."""


class LayerError(HueprobeError, ValueError):
    """A layer name that the network does not have."""


class WeightsError(HueprobeError, ValueError):
    """Weights that are missing, unsafe to read, changed, or of another architecture."""


class ImageError(HueprobeError, OSError):
    """Images that are not there or cannot be read."""


class ManifestError(HueprobeError, ValueError):
    """A data manifest that is not valid, or none of that name."""


class DownloadError(HueprobeError, OSError):
    """A data set that could not be fetched, or not whole."""


class NumericsError(HueprobeError, ArithmeticError):
    """Activations that are NaN or infinite."""


class MemoryFormatError(HueprobeError, ValueError):
    """Not a memory, or one that this version cannot read or does not match the request."""


class MemoryDamagedError(HueprobeError, OSError):
    """A memory whose files are not what its ledger says."""


class StorageError(HueprobeError, OSError):
    """A file that could not be written: the disk is full or fails, the folder is gone or read-only."""


class SearcherError(HueprobeError, ValueError):
    """An unknown searcher, a bad setting of one, or an index of another memory."""


class ForkedError(HueprobeError, RuntimeError):
    """A process that was forked from one with threads at work, and would wait for them without end."""


class MissingDependencyError(HueprobeError, ImportError):
    """An optional package is needed and not installed."""


class HueprobeWarning(UserWarning):
    """Something went another way than asked, or deserves a second look."""


def nearest_names(name: str, names: Iterable[str], *, n: int = 3) -> list[str]:
    """Return the `n` of `names` that look most like `name`, best first; case does not count.

    Names that hold it come first, then those that are alike as a whole or in their beginning: a family's name
    is near its members, which have longer ones.

    >>> nearest_names("densnet201", ["resnet50", "densenet201", "densenet121"], n=1)
    ['densenet201']
    >>> nearest_names("regnet", ["resnet18", "resnext50_32x4d", "regnet_y_400mf"], n=1)
    ['regnet_y_400mf']
    """
    wanted = name.casefold()

    def likeness(known: str) -> tuple[bool, float, float]:
        other = known.casefold()
        whole, beginning = (
            difflib.SequenceMatcher(None, other_part, wanted).ratio()
            for other_part in (other, other[: len(wanted)])
        )
        return wanted in other, max(whole, beginning), whole

    return sorted(names, key=likeness, reverse=True)[:n]


def require_choice(what: str, value: str, allowed: Iterable[str]) -> None:
    """Raise InputError unless `value` is one of `allowed`; the message lists every choice.

    >>> require_choice("descriptor", "max", ["pixel", "gap"])
    Traceback (most recent call last):
    hueprobe.errors.InputError: unknown descriptor 'max'; choose one of: pixel, gap
    """
    choices = list(allowed)
    if value not in choices:
        raise InputError(f"unknown {what} {value!r}; choose one of: {', '.join(choices)}")
