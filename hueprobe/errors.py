"""All errors that hueprobe raises on purpose, and a helper that checks a choice.

Each class is also a built-in, so that a script may catch either. A message says what is wrong, the
value, what is allowed and what to do. The command line prints it unchanged, in one line.
"""

import difflib
from collections.abc import Iterable


class HueprobeError(Exception):
    """Base class of all errors that the user can fix; the message says how.

    Examples
    --------
    >>> try:
    ...     hp.open_memory("elsewhere")
    ... except hp.HueprobeError as error:
    ...     print(type(error).__name__, isinstance(error, ValueError))
    MemoryFormatError True
    """


class InputError(HueprobeError, ValueError):
    """An argument is out of its range or does not fit the others."""


class ShapeError(HueprobeError, ValueError):
    """An array's shape does not fit the memory, the grid or the other arrays."""


class BackboneError(HueprobeError, ValueError):
    """A network is unknown, or its activations are not a grid."""


class LayerError(HueprobeError, ValueError):
    """The network has no layer of this name."""


class WeightsError(HueprobeError, ValueError):
    """Weights are missing, unsafe to read, changed, or of another architecture."""


class ImageError(HueprobeError, OSError):
    """Images are missing or cannot be read."""


class ManifestError(HueprobeError, ValueError):
    """A data manifest is invalid or unknown."""


class DownloadError(HueprobeError, OSError):
    """A data set could not be downloaded, or not completely."""


class NumericsError(HueprobeError, ArithmeticError):
    """Activations are NaN or infinite."""


class MemoryFormatError(HueprobeError, ValueError):
    """Not a memory, or a memory that this version cannot read or that does not match the request."""


class MemoryDamagedError(HueprobeError, OSError):
    """The files of a memory differ from its ledger."""


class StorageError(HueprobeError, OSError):
    """A file could not be written: the disk is full or fails, or the folder is missing or read-only."""


class SearcherError(HueprobeError, ValueError):
    """A searcher or its setting is unknown, or an index belongs to another memory."""


class ForkedError(HueprobeError, RuntimeError):
    """The process was forked from one with running threads, and would wait for them forever."""


class WorkerError(HueprobeError, RuntimeError):
    """A process that does part of a work died, more often than it is started again."""


class MissingDependencyError(HueprobeError, ImportError):
    """An optional package is needed but not installed."""


class HueprobeWarning(UserWarning):
    """Something was done differently than requested, or should be checked.

    Examples
    --------
    >>> import warnings
    >>> with warnings.catch_warnings():
    ...     warnings.simplefilter("error", hp.HueprobeWarning)  # stop at the first warning
    ...     result = hp.KernelDensityClassifier(memory, k=5).leave_one_out()
    """


def nearest_names(name: str, names: Iterable[str], *, n: int = 3) -> list[str]:
    """Return the `n` names that are most similar to `name`, best first, ignoring case.

    Names that contain it come first. Others are ranked by the similarity of the whole name or of its
    beginning, so that the name of a family is near those of its members, which are longer.

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
