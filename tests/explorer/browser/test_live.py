"""The page of the local server: live answers, images that are opened, and errors said in the page."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import hueprobe as hp
from tests.explorer.browser.conftest import K
from tests.explorer.browser.screen import fragment, likelihoods, listed

pytest.importorskip("starlette", reason="the explore extra is not installed; pip install '.[explore]'")
pytest.importorskip("uvicorn", reason="the explore extra is not installed; pip install '.[explore]'")
ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def address(drawn):
    """Address of `hueprobe explore` on two memories."""
    command = [sys.executable, "-m", "hueprobe", "explore", drawn / "a.memory", drawn / "b.memory"]
    process = subprocess.Popen(
        [*command, "--no-browser", "--k", str(K)], cwd=ROOT, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    for line in process.stdout:
        if "http://" in line:
            break
    yield "http://" + line.split("http://")[1].strip()
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)
    assert process.returncode == 0


@pytest.fixture
def live(chromium, address):
    context = chromium.new_context(viewport={"width": 1280, "height": 720})
    page, problems = context.new_page(), []
    page.set_default_timeout(30_000)
    context.on(
        "request",
        lambda asked: asked.url.startswith((address, "data:", "blob:")) or problems.append(asked.url),
    )
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.goto(address)
    page.wait_for_selector("main[data-view]")
    yield page
    context.close()
    assert problems == []


def test_a_live_cell_lists_the_match_table_and_walks_on(live, explored):
    live.locator(".card").nth(3).click()
    live.wait_for_selector(".image-view")
    cell = int(fragment(live)["c"])
    expected = explored.cell(3, cell)
    found = listed(live)
    assert [int(card["id"]) for card in found] == explored.ids(expected).tolist()
    np.testing.assert_allclose([float(card["distance"]) for card in found], expected.distance, atol=1e-6)
    live.locator(".match-open").nth(2).click()
    row, to = explored.result.rows.tolist().index(int(expected.image[2])), int(expected.match_cell[2])
    live.wait_for_function(f"location.hash.includes('q={row}')")
    live.wait_for_function("!document.querySelector('main').ariaBusy")
    assert [int(card["id"]) for card in listed(live)] == explored.ids(explored.cell(row, to)).tolist()
    live.go_back()
    live.wait_for_function("location.hash.includes('q=3')")


def test_the_wall_learns_what_is_right(live, explored):
    result = explored.result
    right = sum(
        name == predicted for name, predicted in zip(result.true_class, result.predicted_class, strict=True)
    )
    live.locator(".summary", has_text=f"{right} of {len(result)} right").wait_for()
    assert live.locator(".card.pending").count() == 0
    assert live.evaluate("document.activeElement.className").startswith("card")  # not lost by the redrawing


def test_an_opened_image_is_classified_like_any_query(live, drawn, explored):
    file = drawn / "others" / "green" / "1.png"
    expected = hp.KernelDensityClassifier(explored.memory, k=K).classify([file])
    live.locator("input[type=file]").set_input_files(file)
    live.wait_for_selector(".image-view")
    assert fragment(live)["u"] == "0"
    found = likelihoods(live)
    np.testing.assert_allclose([found[c] for c in sorted(found)], expected.likelihood[0], atol=1e-6)
    live.get_by_role("button", name="Compare").click()
    live.wait_for_selector(".compare-view")
    assert live.locator(".side").count() == 2


def test_a_file_that_is_no_image_is_refused_in_the_page(live, drawn):
    live.locator("input[type=file]").set_input_files(drawn / "images" / "blue" / "broken.png")
    live.locator("#status", has_text="Error:").wait_for()
    assert live.locator("main").get_attribute("data-view") == "wall"


def test_live_reverse_counts_equal_those_of_numpy(live, explored):
    live.locator(".summary", has_text="right").wait_for()
    ids = explored.ids(explored.matches)
    times = np.bincount(ids, minlength=len(explored.memory.images) * explored.memory.grid.n_cells)
    live.get_by_role("button", name="Reverse").click()
    live.wait_for_selector(".hubs li")
    hubs = live.locator(".hubs li").evaluate_all(
        "hubs => hubs.map(hub => [hub.dataset.id, hub.dataset.times].map(Number))"
    )
    most = np.lexsort((np.arange(len(times)), -times))[: len(hubs)]
    assert hubs == np.stack([most, times[most]], axis=1).tolist()
    live.wait_for_selector(f'.reverse-view[data-chosen="{times[most[0]]}"]')
