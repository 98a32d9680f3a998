"""Every notebook runs on the demo, in a folder of its own, and is committed with small outputs."""

import os
import re
from pathlib import Path

import nbclient
import nbformat
import pytest

pytestmark = pytest.mark.slow

NOTEBOOKS = sorted((Path(__file__).parents[1] / "notebooks").glob("*.ipynb"))
LARGEST = 500 * 1024  # bytes: figures are more than 1,000 pixels wide
ABSOLUTE = re.compile(r"/(work|home|root|tmp|Users|usr|opt)/|[A-Z]:\\\\")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where notebooks run: they share the memory that the first of them builds in `out/`."""
    return tmp_path_factory.mktemp("notebooks")


@pytest.fixture
def repository_importable(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the kernel import this hueprobe, installed or not."""
    paths = [str(Path(__file__).parents[1]), os.environ.get("PYTHONPATH", "")]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, paths)))
    monkeypatch.delenv("PYTHONWARNINGS", raising=False)


def outputs_text(notebook) -> str:
    parts = []
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            parts.append(str(output.get("text", "")))
            parts += [str(text) for kind, text in output.get("data", {}).items() if kind.startswith("text/")]
    return "\n".join(parts)


def test_none_is_missing():
    assert [path.stem[:2] for path in NOTEBOOKS] == ["01", "02", "03", "04", "05", "06", "07", "08", "09"]


@pytest.mark.demo
@pytest.mark.filterwarnings("ignore::RuntimeWarning:zmq")
@pytest.mark.filterwarnings("ignore::DeprecationWarning:jupyter_client")
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_runs(path: Path, folder: Path, repository_importable: None):
    notebook = nbformat.read(path, as_version=4)
    resources = {"metadata": {"path": str(folder)}}
    client = nbclient.NotebookClient(notebook, timeout=300, kernel_name="python3", resources=resources)
    client.execute()  # a cell that raises, a failed assertion among them, raises here
    assert (folder / "out").is_dir()


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_is_committed_executed_small_and_without_machine_paths(path: Path):
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1))
    kinds = {output.output_type for cell in code for output in cell.outputs}
    assert "error" not in kinds
    assert any("image/png" in output.get("data", {}) for cell in code for output in cell.outputs)
    assert path.stat().st_size < LARGEST
    for text in (*(cell.source for cell in notebook.cells), outputs_text(notebook)):
        assert not ABSOLUTE.search(text), f"{path.name} names a path of one machine: {text[:200]}"


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_tells_its_story_first_and_holds_it_to_numbers_last(path: Path):
    cells = nbformat.read(path, as_version=4).cells
    assert cells[0].cell_type == "markdown"
    assert all(
        part in cells[0].source for part in ("**Question.**", "**Data.**", "**Run time.**", "**Finding.**")
    )
    assert cells[1].cell_type == "code" and cells[1].source.startswith('IMAGES = "demo"')
    assert cells[-1].source.startswith("if [IMAGES, BACKBONE") and cells[-1].source.count("assert ") >= 5
