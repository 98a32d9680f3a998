"""Data sets through the classes of torchvision, with their downloads."""

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

# CIFAR's files are pickles too, but have known checksums.
_UNPICKLING = ("LSUN", "LSUNClass")


def open_datasets(described: TorchvisionClass, root: Path, *, download: bool = False) -> dict[str, Any]:
    """Return the Dataset of each split, read from `root` in torchvision's own layout.

    Parameters
    ----------
    described : TorchvisionClass
        The class and its arguments.
    root : Path
        Folder that contains the data set's own.
    download : bool, default=False
        Whether to fetch missing files.

    Raises
    ------
    ManifestError
        If the installed torchvision has no such class, or if it does not accept these arguments.
    RuntimeError, OSError
        If torchvision raises them, because files are missing or a download fails.
    """
    make = getattr(torchvision.datasets, described.name, None)
    if not inspect.isclass(make):
        raise ManifestError(
            f"torchvision {torchvision.__version__} has no dataset {described.name!r}; upgrade torchvision"
        )
    if described.name in _UNPICKLING:
        raise ManifestError(
            f"torchvision's {described.name} unpickles files beside the data set, which can run any code; "
            "export its images to class folders, and use those"
        )
    calls = {
        split: {**arguments, **({"download": True} if download else {})}
        for split, arguments in described.calls.items()
    }
    for split, arguments in calls.items():
        if lacking := [name for name in arguments if not takes_argument(make, name)]:
            raise ManifestError(
                f"torchvision {torchvision.__version__}: {described.name} has no argument {lacking[0]!r} "
                f"(split {split!r}); upgrade torchvision or fix the manifest"
            )
    build: Any = make
    return {split: build(str(root), **arguments) for split, arguments in calls.items()}


def join_datasets(datasets: dict[str, Any]) -> Any:
    """Return one Dataset of all splits, in order."""
    return ConcatDataset(list(datasets.values()))


@contextlib.contextmanager
def torchvision_bars(enabled: bool) -> Iterator[None]:
    """Show torchvision's own progress bars on stderr, or suppress them."""
    if enabled:
        yield
    else:
        with contextlib.redirect_stderr(io.StringIO()), contextlib.redirect_stdout(io.StringIO()):
            yield


def takes_argument(cls: type, name: str) -> bool:
    """Whether the class's constructor, or one that it passes `**kwargs` to, has this parameter."""
    for owner in cls.__mro__:
        if "__init__" not in vars(owner):
            continue
        parameters = inspect.signature(vars(owner)["__init__"]).parameters
        if name in parameters:
            return True
        if not any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values()):
            return False
    return False
