"""The rules of the house: imports go down only, in no circle, and heavy libraries stay in their rooms."""

import ast
import importlib
import pkgutil
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from types import ModuleType

import pytest

import hueprobe

ROOT = Path(hueprobe.__file__).parent
# Bottom to top; a module imports from its own floor and those below it. Of two names the longer counts.
FLOORS = (
    (
        "allocation",
        "errors",
        "escapes",
        "files",
        "frames",
        "grid",
        "json_documents",
        "processes",
        "progress",
        "threads",
    ),
    ("archives", "arguments", "html_tables"),
    ("stats",),
    ("images",),
    ("datasets",),
    ("images/resolve", "images/mask_pairing"),
    ("activations",),
    ("memory", "training"),
    ("search",),
    ("density",),
    ("match_files", "match_images", "match_reading", "matches"),
    (
        "classification",
        "exclusion",
        "queries",
        "query_source",
        "classifier",
        "layered_classifier",
        "pooled_classifier",
        "neighbor_tables",
    ),
    ("scale",),
    ("observations/verdicts/claims",),
    ("observations/verdicts/findings",),
    ("observations/verdicts/rules", "observations/verdicts/documents"),
    ("observations/verdicts/evidence", "observations/table", "observations/units"),
    ("observations/energy", "observations/accuracy", "observations/locations", "observations/conditional"),
    ("observations/hue", "observations/interventions"),
    ("dense",),
    ("observations/verdicts/selftest",),
    ("trust",),
    (
        "studies/comparison/loss_comparison",
        "studies/comparison/loss_run",
        "studies/comparison/trained_networks",
    ),
    ("plots",),
    ("studies",),
    ("explorer",),
    ("cli", "__main__"),
)
HEAVY = {
    "torch": (
        "activations/",
        "datasets/torchvision_sets.py",
        "images/loading.py",
        "images/transform.py",
        "search/exact/",
        "training/",
    ),
    "torchvision": ("activations/", "images/transform.py", "datasets/torchvision_sets.py"),
    "nibabel": ("datasets/volumes.py",),
    "platformdirs": ("datasets/roots.py", "explorer/thumbnail_cache.py", "images/demo_images.py"),
    "pooch": ("datasets/downloads.py",),
    "ray": ("scale/engines/ray.py",),
    "submitit": ("scale/engines/submitit.py",),
    "annoy": ("search/annoy.py",),
    "faiss": ("search/faiss.py",),
    "matplotlib": ("plots/",),
    "starlette": ("explorer/guard.py", "explorer/server.py", "explorer/uploads.py"),
    "uvicorn": ("explorer/server.py",),
    "click": ("cli/",),
    "rich": ("cli/",),
}
# A package's __init__ names what is in it and loads none of it.
MODULES = sorted(
    p.relative_to(ROOT).as_posix()
    for p in ROOT.rglob("*.py")
    if p.name != "__init__.py" or p.parent.name == "cli"
)


def module_name(path):
    return ".".join(("hueprobe", *Path(path).with_suffix("").parts)).removesuffix(".__init__")


NAMES = {module_name(path): path for path in MODULES}


@cache
def imports_of(path, *, for_checker=True):
    """Return the names of imported modules, also those in functions and, if wanted, for the type checker."""
    return tuple(_imports_of(path, for_checker))


def _imports_of(path, for_checker):
    tree = ast.parse((ROOT / path).read_text())
    checker = {
        node
        for block in ast.walk(tree)
        if isinstance(block, ast.If) and "TYPE_CHECKING" in ast.dump(block.test)
        for node in ast.walk(block)
    }
    for node in ast.walk(tree):
        if node in checker and not for_checker:
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"relative import in {path}"
            inside = [f"{node.module}.{alias.name}" for alias in node.names]
            modules = [
                name for name in inside if name in NAMES or (ROOT.parent / name.replace(".", "/")).is_dir()
            ]
            yield from modules
            if len(modules) < len(inside):
                yield node.module


def floor_of(path):
    """Return the number of the floor on which a module stands, by the longest name that fits."""
    place = path.removesuffix(".py")
    fits = [
        (len(name), number)
        for number, floor in enumerate(FLOORS)
        for name in floor
        if place == name or place.startswith(name + "/")
    ]
    return max(fits)[1] if fits else None


def room_of(name):
    return "/".join(name.split(".")[1:])


@pytest.mark.parametrize("path", MODULES)
def test_imports_go_down_only(path):
    own = floor_of(path)
    assert own is not None, f"{path} stands on no floor"
    for name in imports_of(path):
        if name.startswith("hueprobe."):
            below = floor_of(room_of(name))
            assert below is None or below <= own, f"{path} imports {name} from above"


def circle_in(graph):
    """Return the nodes of a circle of a graph of names, [] where there is none."""
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return error.args[1]
    return []


def test_no_two_files_import_each_other_not_even_through_others():
    graph = {
        name: {found for found in imports_of(path) if found in NAMES} - {name} for name, path in NAMES.items()
    }
    assert sum(map(len, graph.values())) > len(graph), "too few imports found: is this test awake?"
    assert circle_in(graph) == []
    assert circle_in({**graph, "hueprobe.errors": {"hueprobe.classifier"}}) != []


def test_no_name_stands_for_two_things():
    """What a package offers never has the name of a module beside it, unless it is that module."""
    inits = [path for path in ROOT.rglob("__init__.py") if path.parent.name != "cli"]
    assert len(inits) > 10
    for init in inits:
        package = importlib.import_module(".".join(init.parent.relative_to(ROOT.parent).parts))
        modules = {found.name for found in pkgutil.iter_modules([str(init.parent)])}
        for name in set(getattr(package, "__all__", ())) & modules:
            assert isinstance(getattr(package, name), ModuleType), f"{package.__name__}.{name}"


@pytest.mark.parametrize("library", HEAVY)
def test_heavy_libraries_stay_in_their_rooms(library):
    users = {p for p in MODULES if library in {n.split(".")[0] for n in imports_of(p, for_checker=False)}}
    assert users, f"nothing imports {library}: is this test awake?"
    assert all(p.startswith(HEAVY[library]) for p in users), users
