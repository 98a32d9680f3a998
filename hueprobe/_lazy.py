"""Names handed out on first use (PEP 562), so that importing hueprobe loads nothing heavy."""

import importlib
import sys
from collections.abc import Callable, Mapping
from typing import Any


def lazy_exports(
    package: str, exports: Mapping[str, str]
) -> tuple[Callable[[str], Any], Callable[[], list[str]], list[str]]:
    """Return `__getattr__`, `__dir__` and `__all__` for a package whose names live in its modules.

    Parameters
    ----------
    package : str
        The package's `__name__`.
    exports : mapping of str to str
        Public name to the module that holds it, relative to the package (`".store"`); an empty
        module stands for a sub-module of that name itself.
    """

    def getattr_(name: str) -> Any:
        if name not in exports:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        if exports[name]:
            value = getattr(importlib.import_module(exports[name], package), name)
        else:
            value = importlib.import_module(f".{name}", package)
        setattr(sys.modules[package], name, value)
        return value

    names = sorted(exports)
    return getattr_, lambda: names, names
