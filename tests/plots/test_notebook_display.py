"""A plot shows itself in a notebook that has not imported pyplot: a Figure, and an Axes."""

import nbformat
import pytest
from nbclient import NotebookClient

CELLS = (
    "import numpy as np\nimport hueprobe as hp\nfrom tests.small_memories import memory_of_noise\n"
    "import tempfile\nfolder = tempfile.TemporaryDirectory()\n"
    "memory = memory_of_noise(folder.name + '/m', 8, classes=['a', 'b'])\n"
    "energy = hp.observations.energy.measure(memory.energy(), memory.grid)",
    "hp.plots.energy_maps({'one': energy, 'other': energy})",
    "hp.plots.energy_map(energy);",
    "hp.plots.energy_map(energy)",
)


@pytest.mark.slow
def test_each_figure_is_displayed_once():
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in CELLS])
    NotebookClient(notebook, timeout=300, kernel_name="python3").execute()
    shown = [sum("image/png" in output.get("data", {}) for output in cell.outputs) for cell in notebook.cells]
    assert shown == [0, 1, 1, 1]
