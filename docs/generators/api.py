"""One page per package with every public name, from the packages' own `__all__`."""

import importlib
import inspect
from pathlib import Path

import hueprobe
from generators.pages import write_page

ROOT = Path(hueprobe.__file__).parent
# In the order in which data flows upward; any other package follows by name.
FIRST = (
    "hueprobe",
    "hueprobe.images",
    "hueprobe.datasets",
    "hueprobe.activations",
    "hueprobe.memory",
    "hueprobe.search",
)


def packages() -> list[str]:
    """Return every package with a typed public face, `hueprobe` first."""
    found = {
        ".".join(("hueprobe", *stub.parent.relative_to(ROOT).parts)) for stub in ROOT.rglob("__init__.pyi")
    }
    return [name for name in FIRST if name in found] + sorted(found.difference(FIRST))


def public_names(package: str) -> dict[str, list[str]]:
    """Return a package's exported names under the headings Classes, Functions and Data."""
    module = importlib.import_module(package)
    found: dict[str, list[str]] = {"Classes": [], "Functions": [], "Data": []}
    for name in sorted(module.__all__):
        value = getattr(module, name)
        if inspect.ismodule(value):
            continue
        kind = "Classes" if inspect.isclass(value) else "Functions" if callable(value) else "Data"
        if kind != "Data" or not name.startswith("__"):
            found[kind].append(name)
    return {kind: names for kind, names in found.items() if names}


def home_of(package: str, name: str) -> str:
    """Return the package on whose page a name is described: the innermost that exports it."""
    value = getattr(importlib.import_module(package), name)
    homes = [
        other
        for other in packages()
        if getattr(importlib.import_module(other), "__all__", None) is not None
        and name in importlib.import_module(other).__all__
        and getattr(importlib.import_module(other), name) is value
    ]
    return max(homes, key=lambda home: home.count("."))


def page(package: str) -> str:
    """Return the reStructuredText of a package's page."""
    module = importlib.import_module(package)
    lines = [
        package,
        "=" * len(package),
        "",
        inspect.getdoc(module) or "",
        "",
        f".. currentmodule:: {package}",
        "",
    ]
    for kind, every in public_names(package).items():
        # What another package exports too has its page there.
        elsewhere = {name: home for name in every if (home := home_of(package, name)) != package}
        names = [name for name in every if name not in elsewhere]
        lines += [kind, "-" * len(kind), ""]
        links = [f"- :py:obj:`{name} <{home}.{name}>`, in :doc:`{home}`" for name, home in elsewhere.items()]
        lines += [*links, ""] if links else []
        if not names:
            continue
        if kind == "Data":
            lines += [text for name in names for text in (f".. autodata:: {name}", "   :no-value:", "")]
            continue
        template = ["   :template: class.rst"] if kind == "Classes" else []
        lines += [
            ".. autosummary::",
            "   :toctree: generated",
            *template,
            "",
            *(f"   {name}" for name in names),
            "",
        ]
    return "\n".join(lines)


def write(folder: Path) -> None:
    """Write a page for each package, and their table of contents."""
    names = packages()
    for package in names:
        write_page(folder / f"{package}.rst", page(package))
    lines = [
        "Python API", "==========", "",
        "Every public name. What is not listed here may change without notice.", "",
        ".. toctree::", "   :maxdepth: 1", "", *(f"   {name}" for name in names),
    ]  # fmt: skip
    write_page(folder / "index.rst", "\n".join(lines))
