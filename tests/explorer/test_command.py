"""`hueprobe explore` and `hp.explore`: one file, refused when too large, and a server on request."""

import html
import importlib.util
import json
import re
import subprocess
import sys
import threading
import types

import numpy as np
import pytest
from click.testing import CliRunner

import hueprobe as hp
from hueprobe.cli import main
from hueprobe.errors import InputError
from hueprobe.explorer.typed_arrays import decoded


def run(*arguments, code=0):
    result = CliRunner().invoke(main, ["explore", *(str(a) for a in arguments)])
    assert result.exit_code == code, result.output + repr(result.exception)
    return result


def test_one_file_with_the_memorys_own_images(drawn, tmp_path, explorer_document):
    page = tmp_path / "page.html"
    result = run(drawn / "a.memory", "-o", page, "--k", "3")
    assert result.stdout == f"{page}: {page.stat().st_size / 1e6:.1f} MB, 12 queries\n"
    document = explorer_document(page.read_text("utf-8"))
    (one,) = document["memories"]
    assert one["path"] == str(drawn / "a.memory") and one["k"] == 3
    expected = hp.KernelDensityClassifier(hp.open_memory(drawn / "a.memory"), k=3).leave_one_out()
    assert one["queries"]["paths"] == list(expected.images)
    np.testing.assert_array_equal(decoded(one["queries"]["predicted"]), expected.predicted)


def test_the_command_and_the_function_write_the_same_page(drawn, tmp_path, monkeypatch):
    monkeypatch.chdir(drawn)
    run("a.memory", "others", "-o", tmp_path / "page.html", "--k", "3", "--thumbnail-size", "20")
    found = hp.explore("a.memory", "others", k=3, thumbnail_size=20)
    assert (tmp_path / "page.html").read_text("utf-8") == found.html
    found.save(tmp_path / "again.html")
    assert (tmp_path / "again.html").read_bytes() == (tmp_path / "page.html").read_bytes()
    size = f"{found.nbytes / 1e6:.1f} MB"
    assert repr(found) == f"Explorer(others in a.memory: 6 queries and 12 memory images, {size})"


def test_arguments_are_told_apart_by_what_they_are(drawn, tmp_path, explorer_document):
    def shown(*places):
        run(*places, "-o", tmp_path / "page.html", "--k", "2")
        document = explorer_document((tmp_path / "page.html").read_text("utf-8"))
        return document["title"], [one["queries"]["paths"] for one in document["memories"]]

    title, (first, second) = shown(drawn / "a.memory", drawn / "b.memory")
    assert title == "a.memory and b.memory" and first == second and len(first) == 12
    title, (first, second) = shown(drawn / "a.memory", drawn / "b.memory", drawn / "others")
    assert title == "others in a.memory and b.memory" and first == second and len(first) > 6
    title, (only,) = shown(drawn / "a.memory", drawn / "table.csv", "--split", "two")
    assert only[:3] == [f"others/{name}/1.png" for name in ("blue", "green", "hostile")]
    assert title == "table.csv in a.memory"


def test_hostile_class_names_are_text(drawn, tmp_path, explorer_document, elements_of):
    run(drawn / "a.memory", drawn / "table.csv", "-o", tmp_path / "page.html", "--k", "2")
    text = (tmp_path / "page.html").read_text("utf-8")
    names = explorer_document(text)["memories"][0]["queries"]["class_names"]
    assert '</script><b>&"' in names
    assert "b" not in [tag for tag, _, _ in elements_of(text)] and "</script><b>" not in text


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["a.memory", "b.memory", "a.memory"], "third memory"),
        (["a.memory", "others", "b.memory"], "cannot tell what b.memory is"),
        (["a.memory", "--split", "one"], "give IMAGES too"),
        (["a.memory", "--exclude", "none"], "--exclude image or group"),
        (["a.memory", "b.memory", "--weights", "w.pth"], "file of one memory"),
        (["a.memory", "--k", "1000"], "larger than the memory"),
    ],
)
def test_what_does_not_fit_together_is_refused(drawn, tmp_path, monkeypatch, arguments, message):
    monkeypatch.chdir(drawn)
    result = run(*arguments, "-o", tmp_path / "page.html", code=2)
    assert message in result.stderr and list(tmp_path.iterdir()) == []


def test_what_is_no_memory_is_named(drawn, tmp_path):
    result = run(drawn / "others", "-o", tmp_path / "page.html", code=1)
    assert "is not a memory" in result.stderr


@pytest.mark.parametrize("limit", ["0.0001", "0.06"])
def test_a_page_that_is_too_large_is_refused_with_advice(drawn, tmp_path, limit):
    """The first limit is below the matches alone, so nothing is searched; the second is not."""
    result = run(drawn / "a.memory", "-o", tmp_path / "page.html", "--max-mb", limit, code=1)
    assert f"{limit} are allowed" in result.stderr and ("at least" in result.stderr) == (limit == "0.0001")
    for word in ("--max-images", "--thumbnail-size", "--max-mb", "hueprobe explore MEMORY"):
        assert word in result.stderr
    assert list(tmp_path.iterdir()) == []


def test_refused_before_anything_is_searched(drawn, monkeypatch):
    monkeypatch.setattr(hp.KernelDensityClassifier, "leave_one_out", None)
    with pytest.raises(InputError, match="at least"):
        hp.explore(drawn / "a.memory", max_mb=1e-4)
    for asked in ({"max_mb": 0}, {"max_images": 0}, {"quality": 0}):
        with pytest.raises(InputError, match=r"max_mb|max_images|quality"):
            hp.explore(drawn / "a.memory", **asked)


def test_a_sample_is_stated(drawn, tmp_path):
    page = tmp_path / "page.html"
    result = run(drawn / "a.memory", "-o", page, "--max-images", "5")
    assert "5 queries (a random sample of 12)" in result.stdout
    result = run(drawn / "a.memory", drawn / "others", "-o", page, "--max-images", "8")
    assert "6 queries and 2 memory images among their matches" in result.stdout


def test_json_says_what_was_written(drawn, tmp_path):
    page = tmp_path / "page.html"
    result = run(drawn / "a.memory", drawn / "others", "-o", page, "--json")
    document = json.loads(result.stdout)
    assert document["bytes"] == page.stat().st_size and document["queries"] == 6
    assert document["memories"] == [str(drawn / "a.memory")] and document["missing"] == []
    assert "6 queries" in result.stderr


def test_moved_images_are_found_again(drawn, tmp_path):
    memory = hp.build_memory(tmp_path / "m", drawn / "images", backbone="tests.tiny_network:tiny", layer="3")
    page = tmp_path / "page.html"
    result = run(memory.path, "-o", page, "--images-root", drawn / "others", "--json")
    assert "warning: 6 images could not be read" in result.stderr
    assert len(json.loads(result.stdout)["missing"]) == 6  # others/ has half of the names
    result = run(memory.path, "-o", page, "--images-root", drawn / "images")
    assert "warning" not in result.stderr


def test_the_server_gets_the_exploration(drawn, monkeypatch):
    asked, seen, opened = [], [], threading.Event()
    fake = types.ModuleType("hueprobe.explorer.server")

    def serve(exploration, *, port, ready):
        asked.append((exploration, port))
        ready("http://127.0.0.1:1234/token/")

    fake.serve = serve
    monkeypatch.setitem(sys.modules, "hueprobe.explorer.server", fake)
    monkeypatch.setattr("hueprobe.cli.explore._SERVER_NEEDS", ())
    monkeypatch.setattr("webbrowser.open", lambda url: (seen.append(url), opened.set()))
    result = run(drawn / "a.memory", drawn / "others", "--port", "81", "--no-browser", "--quality", "50")
    assert "http://127.0.0.1:1234/token/" in result.stdout and seen == []
    ((exploration, port),) = asked
    assert port == 81 and exploration.thumbnails.quality == 50 and len(exploration.queries) == 6
    assert exploration.explored[0].path == str(drawn / "a.memory")
    run(drawn / "a.memory")
    assert opened.wait(10) and seen == ["http://127.0.0.1:1234/token/"]
    assert asked[1][1] == 0 and asked[1][0].queries is None
    for arguments in (["--max-images", "3"], ["--json"]):
        assert "give -o too" in run(drawn / "a.memory", *arguments, code=2).stderr


def test_without_the_extra_one_sentence_says_what_to_install(drawn, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    result = run(drawn / "a.memory", code=1)
    assert "pip install 'hueprobe[explore]'" in result.stderr and result.stderr.count("\n") == 1


def test_a_notebook_shows_the_page_in_a_frame_of_its_own(drawn):
    found = hp.explore(drawn / "a.memory", k=2)
    shown = found._repr_html_()
    assert re.match(
        r'<iframe srcdoc="[^"<>]*" sandbox="allow-scripts allow-downloads" title="a.memory"', shown
    )
    assert html.unescape(re.search(r'srcdoc="([^"]*)"', shown)[1]) == found.html


def test_nothing_of_a_server_or_a_plot_is_loaded_for_a_page(drawn, tmp_path):
    code = f"""
import sys
import hueprobe as hp
hp.explore({str(drawn / "a.memory")!r}, k=2)
print(sorted({{"starlette", "uvicorn", "matplotlib", "click"}} & set(sys.modules)))
"""
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout == "[]\n"


def test_explore_is_a_function_after_its_package_was_imported():
    import hueprobe.explorer.page_file

    assert callable(hp.explore) and hueprobe.explorer.Explorer is hp.explorer.Explorer
