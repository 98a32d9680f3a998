"""The rules of the house: imports go down only, heavy libraries stay in their rooms."""

import ast
from pathlib import Path

import pytest

import hueprobe

ROOT = Path(hueprobe.__file__).parent
# Bottom to top; a module imports from its own floor and those below it.
FLOORS = (
    ("_lazy", "allocation", "errors", "escapes", "files", "grid", "progress", "threads"),
    ("images",),
    ("activations",),
    ("memory", "training"),
    ("search",),
    ("density",),
    ("matches",),
    ("classification", "exclusion", "hulls", "queries", "classifier", "pooled_classifier"),
    ("observations",),
    ("plots",),
    ("studies",),
    ("cli", "__main__"),
)
HEAVY = {
    "torch": (
        "activations/",
        "images/loading.py",
        "images/transform.py",
        "images/manifests/torchvision_sets.py",
        "search/codebook.py",
        "search/exact.py",
        "search/rounded.py",
        "training/",
    ),
    "torchvision": ("activations/", "images/transform.py", "images/manifests/torchvision_sets.py"),
    "nibabel": ("images/manifests/volumes.py",),
    "annoy": ("search/annoy.py",),
    "faiss": ("search/faiss.py",),
    "matplotlib": ("plots/",),
    "click": ("cli/",),
    "rich": ("cli/",),
}
MODULES = sorted(p.relative_to(ROOT).as_posix() for p in ROOT.rglob("*.py") if p != ROOT / "__init__.py")


def imports_of(path, *, at_top_only):
    """Yield the names of imported modules, those for the type checker left out."""
    tree = ast.parse((ROOT / path).read_text())
    checker = {
        node
        for block in ast.walk(tree)
        if isinstance(block, ast.If) and "TYPE_CHECKING" in ast.dump(block.test)
        for node in ast.walk(block)
    }
    for node in tree.body if at_top_only else ast.walk(tree):
        if node in checker:
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"relative import in {path}"
            if node.module == "hueprobe":
                yield from (f"hueprobe.{alias.name}" for alias in node.names)
            else:
                yield node.module


def floor_of(part):
    return next((i for i, floor in enumerate(FLOORS) if part in floor), None)


@pytest.mark.parametrize("path", MODULES)
def test_imports_go_down_only(path):
    own = floor_of(path.split("/")[0].removesuffix(".py"))
    assert own is not None, f"{path} stands on no floor"
    for name in imports_of(path, at_top_only=False):
        if name.startswith("hueprobe."):
            below = floor_of(name.split(".")[1])
            assert below is None or below <= own, f"{path} imports {name} from above"


@pytest.mark.parametrize("library", HEAVY)
def test_heavy_libraries_stay_in_their_rooms(library):
    users = {p for p in MODULES if library in {n.split(".")[0] for n in imports_of(p, at_top_only=False)}}
    assert users, f"nothing imports {library}: is this test awake?"
    assert all(p.startswith(HEAVY[library]) for p in users), users
