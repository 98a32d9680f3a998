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


@pytest.mark.parametrize(("seconds", "speed"), [
    (4.0, "4.0 s each, ETA 8 s"), (30.0, "30.0 s each, ETA 60 s"), (0.25, "4.0 epochs/s, ETA 0 s"),
])  # fmt: skip
def test_slow_units_are_told_in_seconds_each_with_a_word_on_the_last(capsys, monkeypatch, seconds, speed):
    clock = [0.0]
    monkeypatch.setattr(progress, "SECONDS_BETWEEN_LINES", 0.0)
    monkeypatch.setattr(progress.time, "monotonic", lambda: clock[0])
    with progress_bar(3, label="training", unit="epochs", enabled=True) as advance:
        clock[0] = seconds
        advance(1, "loss 0.7448")
        assert capsys.readouterr().err == f"training: 1/3 epochs, {speed}; loss 0.7448\n"


def test_on_a_terminal_there_is_a_bar(capsys, monkeypatch):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    advance_in_steps()
    out, err = capsys.readouterr()
    assert out == "" and err.split("\r")[1].startswith("index:  33%") and "index: 100%" in err
    assert "6/6" in err and "images" in err
    with progress_bar(2, label="training", unit="epochs", enabled=True) as advance:
        advance(1, "loss 0.7448")
    assert "loss 0.7448" in capsys.readouterr().err


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
