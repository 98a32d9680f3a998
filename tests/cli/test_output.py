"""What people see: quiet where nobody reads on, words where nothing could be measured, paths whole."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest
from click.testing import CliRunner

import hueprobe as hp
from hueprobe import progress
from hueprobe.cli import main
from hueprobe.cli.options import print_table
from tests.small_memories import noise


@pytest.fixture(scope="module")
def memory(small_memory):
    return small_memory(n=12, channels=8, grid=(3, 3), classes=("a", "b"))


def piped(*arguments, reads=0):
    """Run a command whose reader goes away after so many bytes; return its exit code and its stderr."""
    reader, writer = os.pipe()
    if not reads:
        os.close(reader)
    command = [sys.executable, "-m", "hueprobe", *map(str, arguments)]
    with subprocess.Popen(command, stdout=writer, stderr=subprocess.PIPE, text=True) as process:
        os.close(writer)
        if reads:
            os.read(reader, reads)
            os.close(reader)
        said = process.stderr.read()
        return process.wait(), said


@pytest.mark.parametrize(
    "arguments",
    [
        pytest.param(["backbones"], marks=pytest.mark.slow),
        ["data", "list"],
        ["data", "list", "--json"],
        ["info", None],
        ["info", None, "--json"],
    ],
    ids=lambda arguments: " ".join(filter(None, arguments)),
)
def test_a_reader_that_goes_away_ends_a_command_quietly(memory, arguments):
    code, said = piped(*(memory.path if part is None else part for part in arguments))
    assert said == "" and code == 141


def test_a_pipe_that_breaks_inside_is_still_an_error(memory, monkeypatch):
    def broken(*_, **__):
        raise BrokenPipeError(32, "Broken pipe")

    monkeypatch.setattr("hueprobe.memory.open_memory", broken)
    result = CliRunner().invoke(main, ["info", str(memory.path)])
    assert result.exit_code == 1 and "Broken pipe" in result.stderr


def test_a_table_on_a_narrow_terminal_leaves_out_middles_and_breaks_no_word(capsys, monkeypatch):
    path = "pictures/of/a/long/way/down/image_0006.jpg"
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    monkeypatch.setenv("COLUMNS", "40")
    print_table(f"{path}: brain", ["image", "likelihood"], [[path, "0.6197"], ["short.png", "0.1"]])
    title, _head, row, short = capsys.readouterr().out.splitlines()
    assert title == f"{path}: brain"
    assert len(row) <= 40 and row.startswith("pictures") and "…" in row and "0006.jpg  " in row
    assert row.endswith("0.6197") and short.startswith("short.png")


def test_a_table_in_a_pipe_is_whole(capsys):
    path = "d/" * 150 + "image.jpg"
    print_table("", ["image", "n"], [[path, "1"]])
    assert path in capsys.readouterr().out


def test_a_query_shows_what_tells(memory, tmp_path):
    from PIL import Image

    for name in ("a", "b"):
        (tmp_path / "p" / name).mkdir(parents=True)
        for i in range(3):
            Image.fromarray((noise(1, channels=24, grid=(24, 3), seed=i)[0] * 255).astype(np.uint8)).save(
                tmp_path / "p" / name / f"{name}{i}.png"
            )
    built = [
        "index", str(tmp_path / "p"), "-o", str(tmp_path / "m"),
        "--backbone", "tests.tiny_network:tiny", "--layer", "3",
    ]  # fmt: skip
    assert CliRunner().invoke(main, built).exit_code == 0
    asked = str(tmp_path / "p" / "a" / "a0.png")
    shown = CliRunner().invoke(main, ["query", str(tmp_path / "m"), asked, "--k", "3"]).stdout
    assert asked in shown.split("\n")[0] and "cells led" in shown and "most telling images" in shown
    (found,) = json.loads(
        CliRunner().invoke(main, ["query", str(tmp_path / "m"), asked, "--k", "3", "--json"]).stdout
    )["queries"]
    telling = found["telling"]
    assert telling[0]["image"] in shown and f"{telling[0]['share']:.1%}" in shown
    assert len({image["image"] for image in telling}) == len(telling) == 3
    assert sum(found["cells"].values()) > 0


def test_what_cannot_be_measured_is_said_in_words(small_memory, tmp_path):
    few = small_memory(n=4, channels=6, grid=(3, 3), classes=("a", "b"))
    result = CliRunner().invoke(
        main, ["observe", "locations", str(few.path), "-o", str(tmp_path), "--k", "2"]
    )
    assert result.exit_code == 0, result.output
    page = (tmp_path / "report.md").read_text().replace("\\", "")  # Markdown's escapes
    document = json.loads((tmp_path / "verdicts.json").read_text())
    assert any(verdict["effect"] is None for verdict in document["verdicts"])  # or this shows nothing
    for text in (result.stdout, result.stderr, page):
        words = text.replace("|", " ").replace("[", " ").replace(",", " ").split()
        assert not {"nan", "None", "nan-nan"} & set(words)
    assert all("not measurable (n = " in text for text in (result.stdout, page))


def test_bars_of_one_command_say_which_pass_they_are_of(memory, tmp_path, capsys):
    hp.observe(
        memory, ["accuracy", "conditional"], settings=hp.studies.observing.settings.ObserveSettings(k=2),
        folder=tmp_path, progress=True,
    )  # fmt: skip
    shown = [line for line in capsys.readouterr().err.splitlines() if "images/s" in line]
    passes = [line.split(" images")[0].rsplit(":", 1)[0] for line in shown]
    assert len(passes) >= 6 and len(set(passes)) == len(passes), passes
    assert any("matches" in name for name in passes) and any("accuracy, gap" in name for name in passes)
    assert all(name.startswith(f"{memory.path.name}, ") for name in passes)


def test_a_pass_is_named_within_another_and_forgotten_after(capsys):
    with (
        progress.named_pass("m"),
        progress.named_pass("mirror"),
        progress.progress_bar(1, label="classify", enabled=True) as advance,
    ):
        advance(1)
    with progress.progress_bar(1, label="classify", enabled=True) as advance:
        advance(1)
    lines = capsys.readouterr().err.splitlines()
    assert lines[0].startswith("m, mirror: classify: 1/1") and lines[1].startswith("classify: 1/1")
