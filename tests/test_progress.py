"""A bar where one can be redrawn, plain lines elsewhere, nothing unless asked."""

import sys

import nbformat
import pytest
from nbclient import NotebookClient

from hueprobe import progress
from hueprobe.progress import progress_bar


def advance_in_steps(enabled=True):
    with progress_bar(6, label="index", done=2, enabled=enabled) as advance:
        advance(1)
        advance(3)


def test_nothing_is_shown_unless_asked(capsys):
    advance_in_steps(enabled=False)
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize(("seconds", "counts"), [(1e9, ["6/6"]), (0.0, ["3/6", "6/6"])])
def test_where_nothing_can_be_redrawn_there_are_lines(capsys, monkeypatch, seconds, counts):
    monkeypatch.setattr(progress, "SECONDS_BETWEEN_LINES", seconds)
    advance_in_steps()
    out, err = capsys.readouterr()
    assert out == "" and "\r" not in err
    assert [line.split(" images, ")[0] for line in err.splitlines()] == [f"index: {n}" for n in counts]


def test_on_a_terminal_there_is_a_bar(capsys, monkeypatch):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    advance_in_steps()
    out, err = capsys.readouterr()
    assert out == "" and err.split("\r")[1].startswith("index:  33%") and "index: 100%" in err
    assert "6/6" in err and "images" in err


def test_in_jupyter_there_is_a_bar():
    code = """
from hueprobe.progress import progress_bar
with progress_bar(6, label="index", done=2, enabled=True) as advance:
    advance(4)
"""
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(code)])
    NotebookClient(notebook, kernel_name="python3", timeout=60).execute()
    shown = str(notebook.cells[0].outputs)
    assert "100%" in shown and "index: 6/6 images" not in shown
