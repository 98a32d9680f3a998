"""Importing is light and changes nothing, every public name is there and typed, a wheel holds everything."""

import importlib
import json
import os
import pkgutil
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import venv
import zipfile
from pathlib import Path

import pytest

import hueprobe

ROOT = Path(hueprobe.__file__).resolve().parents[1]
HEAVY = (
    "torch",
    "torchvision",
    "matplotlib",
    "faiss",
    "annoy",
    "click",
    "starlette",
    "uvicorn",
    "ray",
    "submitit",
)
PACKAGES = sorted(
    ".".join(stub.parent.relative_to(ROOT).parts) for stub in (ROOT / "hueprobe").rglob("__init__.pyi")
)


def in_a_new_process(code, **options):
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, **options
    )


def loaded_by(code):
    shown = in_a_new_process(f"{code}\nimport sys; print(*sorted({set(HEAVY)!r} & set(sys.modules)))")
    assert shown.returncode == 0, shown.stderr
    return shown.stdout.split()


@pytest.mark.parametrize("package", PACKAGES)
def test_importing_a_package_loads_nothing_heavy(package):
    assert loaded_by(f"import {package}") == []


@pytest.mark.slow
def test_the_test_above_can_fail():
    assert "torch" in loaded_by("import hueprobe\nhueprobe.load_backbone")


def test_every_package_that_offers_names_has_a_stub():
    assert len(PACKAGES) > 15 and "hueprobe.observations.hue" in PACKAGES
    for init in (ROOT / "hueprobe").rglob("__init__.py"):
        if "__all__" in init.read_text():
            assert init.with_suffix(".pyi").is_file(), init


def test_unknown_names_are_refused_as_by_any_module():
    with pytest.raises(AttributeError, match="nonsense"):
        hueprobe.nonsense  # noqa: B018
    with pytest.raises(ImportError, match="cannot import name 'nonsense' from 'hueprobe'"):
        from hueprobe import nonsense  # noqa: F401
    assert {"Memory", "open_memory", "plots"} <= set(dir(hueprobe))


@pytest.mark.slow
def test_importing_and_using_the_package_changes_nothing_in_the_process(tmp_path):
    code = """
import os, random, signal, sys, threading, warnings
import numpy as np

def state():
    return {
        "environment": dict(os.environ),
        "warnings": list(warnings.filters),
        "signals": [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)],
        "threads": threading.active_count(),
        "random": (random.getstate(), np.random.get_state()[1].tolist()),
        "output": (sys.stdout, sys.stderr, sys.excepthook),
    }

import scipy.stats, torch  # what these set is not ours
before = state()
import hueprobe as hp
assert state() == before
activations = np.random.default_rng(0).random((4, 3, 2, 2), np.float32)
memory = hp.memory_from_arrays("some.memory", activations, classes=list("aabb"))
result = hp.KernelDensityClassifier(memory, k=2).leave_one_out()
hp.observations.energy.measure(memory.energy(), memory.grid)
after = state()
print([name for name in before if before[name] != after[name]], result.predicted_class is not None)
"""
    shown = in_a_new_process(code, cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(ROOT)})
    assert shown.stdout.split() == ["[]", "True"], shown.stderr


@pytest.mark.parametrize(
    "name", ["density", "matches", "classifier", "grid", "observations.locations.maps", "memory.store"]
)
def test_array_modules_do_without_torch(name):
    assert loaded_by(f"import hueprobe.{name}") == []


@pytest.mark.slow
@pytest.mark.parametrize("package", PACKAGES)
def test_every_public_name_is_what_it_says_even_after_all_modules_are_loaded(package):
    module = importlib.import_module(package)
    for found in pkgutil.iter_modules(module.__path__):
        if found.name != "__main__":
            importlib.import_module(f"{package}.{found.name}")
    for name in module.__all__:
        value = getattr(module, name)
        if getattr(value, "__name__", name).startswith("hueprobe."):
            assert name in {found.name for found in pkgutil.iter_modules(module.__path__)}
        else:
            assert getattr(value, "__name__", name) == name
    with pytest.raises(AttributeError, match="nonsense"):
        module.nonsense  # noqa: B018


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """A fresh environment into which a wheel made from the source archive was installed: its Python.

    What hueprobe needs comes from the environment that runs the tests.
    """
    folder = tmp_path_factory.mktemp("installed")
    source = folder / "source"
    for name in ("hueprobe", "data_manifests"):
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__", "*.so"))
    for name in ("setup.cfg", "setup.py", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    archive = f"from setuptools import build_meta; build_meta.build_sdist({str(folder)!r})"
    subprocess.run([sys.executable, "-c", archive], check=True, cwd=source, capture_output=True)
    (sdist,) = folder.glob("hueprobe-*.tar.gz")
    with tarfile.open(sdist) as file:
        for name in ("_native.c", "_sparse.c"):
            assert any(found.endswith(f"/{name}") for found in file.getnames())
        file.extractall(folder / "unpacked", filter="data")
    (unpacked,) = (folder / "unpacked").iterdir()
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check"]
    build = [*pip, "wheel", "-q", "--no-deps", "--no-build-isolation", "-w", folder, unpacked]
    subprocess.run(build, check=True, cwd=folder)
    (wheel,) = folder.glob("hueprobe-*.whl")
    venv.create(folder / "venv", with_pip=False)
    python = folder / "venv" / "bin" / "python"
    asked = [python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"]
    packages = Path(subprocess.run(asked, check=True, capture_output=True, text=True).stdout.strip())
    subprocess.run([*pip, "install", "--quiet", "--no-deps", "--target", packages, wheel], check=True)
    (packages / "needed.pth").write_text(f"{sysconfig.get_path('purelib')}\n")
    return python


@pytest.mark.slow
def test_a_wheel_works_elsewhere(installed, tmp_path):
    (wheel,) = installed.parents[2].glob("hueprobe-*.whl")
    with zipfile.ZipFile(wheel) as file:
        names = set(file.namelist())
    sources = {
        path.relative_to(ROOT).as_posix()
        for pattern in ("*.py", "*.pyi", "page/*")
        for path in (ROOT / "hueprobe").rglob(pattern)
    }
    assert sources <= names, sources - names
    assert {"hueprobe/py.typed", "hueprobe/data_manifests/README.md"} <= names
    code = (
        "import hueprobe, importlib.resources as r; print(hueprobe.__file__)\n"
        "print((r.files('hueprobe.data_manifests') / 'README.md').is_file())\n"
        "from hueprobe.datasets import load_manifest, manifest_names\n"
        "print(len([load_manifest(name) for name in manifest_names()]) >= 17)"
    )
    shown = subprocess.run(
        [installed, "-c", code], capture_output=True, text=True, check=False, cwd=tmp_path, env={"PATH": ""}
    )
    where, *rest = shown.stdout.split()
    assert Path(where).is_relative_to(installed.parents[1]) and rest == ["True", "True"], shown.stderr


@pytest.mark.slow
def test_the_command_alone_asks_for_huge_pages(installed):
    code = """
import importlib.metadata, os, sys
(script,) = importlib.metadata.entry_points(group="console_scripts", name="hueprobe")
run = script.load()
sys.argv[:] = ["hueprobe", "--version"]
print(os.environ.get("THP_MEM_ALLOC_ENABLE"))
try:
    run()
finally:
    print(os.environ.get("THP_MEM_ALLOC_ENABLE"))
"""
    for before, after in ((None, "1"), ("0", "0")):
        environment = {} if before is None else {"THP_MEM_ALLOC_ENABLE": before}
        shown = subprocess.run(
            [installed, "-c", code], capture_output=True, text=True, check=True, env=environment
        )
        version = f"hueprobe, version {hueprobe.__version__}"
        assert shown.stdout.splitlines() == [str(before), version, after]


RIGHT = """
# pyright: strict
from pathlib import Path

import numpy as np

import hueprobe as hp
from hueprobe.images import from_folder

table = from_folder("images")
memory: hp.Memory = hp.build_memory(Path("some.memory"), table, backbone="resnet18")
reopened = hp.open_memory("some.memory")
neighbors = hp.open_searcher(reopened, "exact").search(np.zeros((2, 512), np.float32), 10)
result: hp.Classification = hp.KernelDensityClassifier(reopened).classify(table)
grid: hp.Grid = reopened.grid
try:
    energy = hp.observations.energy.measure(reopened.energy(), grid)
    ax = hp.plots.energy_map(energy)
except hp.HueprobeError as error:
    print(hp.__version__, error, neighbors.distances.shape, result.predicted_class)
"""
WRONG = """
import hueprobe as hp
import hueprobe.no_such_module

reveal_type(hp.open_memory)
reveal_type(hp.training.HueLoss)
hp.does_not_exist()
hp.build_memory(nonsense=3)
"""
WRONG_LINES = {3, 7, 8}


@pytest.fixture(scope="module")
def snippets(tmp_path_factory):
    folder = tmp_path_factory.mktemp("snippets")
    (folder / "right.py").write_text(RIGHT)
    (folder / "wrong.py").write_text(WRONG)
    return folder


@pytest.mark.slow
def test_mypy_sees_the_types_of_an_installed_hueprobe(installed, snippets):
    # torch's own types take it most of a minute, and say nothing about hueprobe's.
    (snippets / "mypy.ini").write_text(
        "[mypy]\nstrict = true\ncache_dir = /dev/null\n[mypy-torch.*]\nfollow_imports = skip\n"
    )
    command = [sys.executable, "-m", "mypy", "--config-file", "mypy.ini", "--python-executable", installed]
    shown = subprocess.run(
        [*command, "right.py", "wrong.py"], capture_output=True, text=True, check=False, cwd=snippets
    )
    found = [line.split(":", 3) for line in shown.stdout.splitlines() if line.count(":") > 2]
    errors = {(file, int(line)) for file, line, kind, _ in found if kind == " error"}
    assert errors == {("wrong.py", line) for line in WRONG_LINES}, shown.stdout + shown.stderr
    revealed = [text for _, _, kind, text in found if kind == " note" and "Revealed type" in text]
    assert len(revealed) == 2
    assert "-> hueprobe.memory.store.Memory" in revealed[0] and "Any" not in revealed[0]
    assert "hueprobe.training.losses.HueLoss" in revealed[1]


@pytest.mark.slow
def test_pyright_sees_the_types_of_an_installed_hueprobe(installed, snippets):
    command = [sys.executable, "-m", "pyright", "--outputjson", "--pythonpath", installed]
    shown = subprocess.run(
        [*command, "right.py", "wrong.py"], capture_output=True, text=True, check=False, cwd=snippets
    )
    found = [
        (Path(one["file"]).name, one["range"]["start"]["line"] + 1, one["severity"], one["message"])
        for one in json.loads(shown.stdout)["generalDiagnostics"]
    ]
    errors = {(file, line) for file, line, kind, _ in found if kind == "error"}
    assert errors == {("wrong.py", line) for line in WRONG_LINES}, found
    revealed = [message for _, _, kind, message in found if kind == "information"]
    assert len(revealed) == 2
    assert "-> Memory" in revealed[0] and "type[HueLoss]" in revealed[1]
