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


# Modules that a package hands out whole, with all that they define.
MODULES = ("hueprobe.density", "hueprobe.observations.energy", "hueprobe.stats.circular")


def packages() -> list[str]:
    """Return every package with a typed public face and every public module, `hueprobe` first."""
    found = {
        ".".join(("hueprobe", *stub.parent.relative_to(ROOT).parts)) for stub in ROOT.rglob("__init__.pyi")
    }
    found.update(MODULES)
    return [name for name in FIRST if name in found] + sorted(found.difference(FIRST))


def exported(package: str) -> list[str]:
    """Return the names that a package exports, or the functions and classes that a module defines."""
    module = importlib.import_module(package)
    if package not in MODULES:
        return sorted(module.__all__)
    return sorted(
        name
        for name, value in vars(module).items()
        if not name.startswith("_") and getattr(value, "__module__", None) == package and callable(value)
    )


def public_names(package: str) -> dict[str, list[str]]:
    """Return a package's exported names under the headings Classes, Functions and Data."""
    module = importlib.import_module(package)
    found: dict[str, list[str]] = {"Classes": [], "Functions": [], "Data": []}
    for name in exported(package):
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
        if name in exported(other) and getattr(importlib.import_module(other), name) is value
    ]
    return max(homes, key=lambda home: home.count("."))


def page(package: str) -> str:
    """Return the reStructuredText of a package's page."""
    module = importlib.import_module(package)
    lines = [
        ":html_theme.sidebar_secondary.remove: true",
        "",
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
        "Names in examples", "-----------------", "",
        "Examples are run by the tests. They find these names and files, which the code below makes:", "",
        "- ``np`` and ``hp``, NumPy and hueprobe;",
        "- ``network`` and ``transform``, an untrained network of two convolutions and its transform;",
        "- ``memory``, a memory of twelve drawn images of three classes;",
        "- ``result`` and ``matches``, its leave-one-out classification and the matches of it;",
        "- ``runs``, made-up runs of a training comparison of two losses with three seeds each;",
        "- in the current folder ``images/``, ``others/`` (both with class folders), ``masks/`` (of ``images/``) and ``memory/``.", "",
        ".. dropdown:: How they are made", "", "   .. literalinclude:: ../../../conftest.py",
        "      :language: python", "", "Packages", "--------", "",
        ".. toctree::", "   :maxdepth: 1", "", *(f"   {name}" for name in names),
    ]  # fmt: skip
    write_page(folder / "index.rst", "\n".join(lines))


def aliases() -> dict[str, str]:
    """Return where each exported name is described, by every other full name that it has."""
    found = {}
    for package in packages():
        for names in public_names(package).values():
            for name in names:
                home = home_of(package, name)
                if home != package:
                    found[f"{package}.{name}"] = f"{home}.{name}"
    return found
