"""What torchvision does for data sets: its classes, and their downloads."""

import contextlib
import inspect
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torchvision
from torch.utils.data import ConcatDataset

from hueprobe.datasets.origin import TorchvisionClass
from hueprobe.errors import ManifestError

# CIFAR's are pickles too, but of known checksums.
_UNPICKLING = ("LSUN", "LSUNClass")


def open_datasets(described: TorchvisionClass, root: Path, *, download: bool = False) -> dict[str, Any]:
    """Return the Dataset of each split, read from `root` as torchvision lays it out there.

    Parameters
    ----------
    described : TorchvisionClass
    root : Path
        The folder above the set's own.
    download : bool
        Fetch what is absent.

    Raises
    ------
    ManifestError
        The installed torchvision has no such class, or it does not take these arguments.
    RuntimeError, OSError
        As torchvision raises them, where files are absent or a download fails.
    """
    make = getattr(torchvision.datasets, described.name, None)
    if not inspect.isclass(make):
        raise ManifestError(
            f"torchvision {torchvision.__version__} has no dataset {described.name!r}; upgrade torchvision"
        )
    if described.name in _UNPICKLING:
        raise ManifestError(
            f"torchvision's {described.name} unpickles what lies beside the set, which can run any program; "
            "export its images into class folders, and use those"
        )
    calls = {
        split: {**arguments, **({"download": True} if download else {})}
        for split, arguments in described.calls.items()
    }
    for split, arguments in calls.items():
        if lacking := [name for name in arguments if not takes_argument(make, name)]:
            raise ManifestError(
                f"torchvision {torchvision.__version__}: {described.name} takes no argument {lacking[0]!r} "
                f"(split {split!r}); upgrade torchvision or mend the manifest"
            )
    build: Any = make
    return {split: build(str(root), **arguments) for split, arguments in calls.items()}


def join_datasets(datasets: dict[str, Any]) -> Any:
    """Return one Dataset of all splits, in order."""
    return ConcatDataset(list(datasets.values()))


@contextlib.contextmanager
def torchvision_bars(enabled: bool) -> Iterator[None]:
    """Let torchvision's own progress bars through to stderr, or keep them back."""
    if enabled:
        yield
    else:
        with contextlib.redirect_stderr(io.StringIO()), contextlib.redirect_stdout(io.StringIO()):
            yield


def takes_argument(cls: type, name: str) -> bool:
    """Whether the class's constructor, or one that it passes `**kwargs` on to, has this parameter."""
    for owner in cls.__mro__:
        if "__init__" not in vars(owner):
            continue
        parameters = inspect.signature(vars(owner)["__init__"]).parameters
        if name in parameters:
            return True
        if not any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values()):
            return False
    return False
