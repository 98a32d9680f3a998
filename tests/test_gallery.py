"""Every plot is in the gallery of the documentation, whose pages are executed when it is built."""

import ast
import inspect
import re
from pathlib import Path

import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from hueprobe import plots

GALLERY = Path(__file__).parents[1] / "docs" / "gallery"
CELL = re.compile(r"^```\{code-cell\}[^\n]*\n(.*?)^```$", re.MULTILINE | re.DOTALL)
# What a function that draws returns; other public names, such as `visible_box`, draw nothing.
DRAWN = (Axes, Figure, dict[str, Figure])


def drawing_functions():
    """Return the names of the public functions that return Axes or figures."""
    functions = {name: getattr(plots, name) for name in plots.__all__}
    return sorted(
        name
        for name, value in functions.items()
        if inspect.isfunction(value) and inspect.signature(value).return_annotation in DRAWN
    )


def plots_called(page):
    """Return the names X of all calls of `hp.plots.X` or its methods in a page's code cells."""
    calls = [
        node.func
        for cell in CELL.findall(page)
        for node in ast.walk(ast.parse(cell))
        if isinstance(node, ast.Call)
    ]
    names = [ast.unparse(call).split(".") for call in calls]
    return {name[2] for name in names if name[:2] == ["hp", "plots"]}


@pytest.fixture(scope="module")
def shown():
    return set().union(*(plots_called(page.read_text()) for page in GALLERY.glob("*.md")))


@pytest.mark.parametrize("name", drawing_functions())
def test_every_plot_is_shown(shown, name):
    assert name in shown


def test_every_plot_shown_is_public(shown):
    assert shown <= set(plots.__all__)


def test_the_tests_above_can_fail():
    page = "`hp.plots.query(1)`\n\n```{code-cell}\nhp.plots.vote_map(votes, ax=hp.plots.x);\n```\n"
    assert plots_called(page) == {"vote_map"}
    assert len(drawing_functions()) == len(plots.__all__) - len({"SeenImage", "visible_box"})
