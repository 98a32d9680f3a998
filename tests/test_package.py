"""Importing is light, every public name is there, and a wheel holds everything."""

import importlib
import pkgutil
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import hueprobe

HEAVY = ("torch", "torchvision", "matplotlib", "faiss", "annoy", "click")
PACKAGES = (
    "hueprobe",
    *(
        f"hueprobe.{p}"
        for p in (
            "activations",
            "images",
            "datasets",
            "memory",
            "observations",
            "plots",
            "search",
            "stats",
            "studies",
            "training",
        )
    ),
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


def test_the_test_above_can_fail():
    assert "torch" in loaded_by("import hueprobe\nhueprobe.load_backbone")


@pytest.mark.parametrize(
    "name", ["density", "matches", "classifier", "grid", "observations.locations.maps", "memory.store"]
)
def test_array_modules_do_without_torch(name):
    assert loaded_by(f"import hueprobe.{name}") == []


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


def test_a_wheel_works_elsewhere(tmp_path):
    root = Path(hueprobe.__file__).resolve().parents[1]
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check"]
    for name in ("hueprobe", "data_manifests"):
        shutil.copytree(root / name, tmp_path / "source" / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("setup.cfg", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(root / name, tmp_path / "source")
    build = [*pip, "wheel", "-q", "--no-deps", "--no-build-isolation", "-w", tmp_path, tmp_path / "source"]
    subprocess.run(build, check=True, cwd=tmp_path)
    (wheel,) = tmp_path.glob("hueprobe-*.whl")
    with zipfile.ZipFile(wheel) as file:
        names = set(file.namelist())
    sources = {
        p.relative_to(root).as_posix()
        for p in (root / "hueprobe").rglob("*.py")
        if "__pycache__" not in p.parts
    }
    assert sources <= names, sources - names
    assert {"hueprobe/py.typed", "hueprobe/data_manifests/README.md"} <= names
    subprocess.run(
        [*pip, "install", "--quiet", "--no-deps", "--target", tmp_path / "site", wheel], check=True
    )
    code = (
        "import hueprobe, importlib.resources as r; print(hueprobe.__file__)\n"
        "print((r.files('hueprobe.data_manifests') / 'README.md').is_file())\n"
        "from hueprobe.datasets import load_manifest, manifest_names\n"
        "print(len([load_manifest(name) for name in manifest_names()]) >= 17)"
    )
    shown = in_a_new_process(code, cwd=tmp_path, env={"PYTHONPATH": str(tmp_path / "site"), "PATH": ""})
    assert shown.stdout.split() == [str(tmp_path / "site" / "hueprobe" / "__init__.py"), "True", "True"], (
        shown.stderr
    )
