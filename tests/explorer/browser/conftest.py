"""A real browser, pages made by the library, and what the library says about the same images."""

import importlib.util
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import hueprobe as hp

HOSTILE = (
    "</script><script>window.hacked=1</script>",
    "\"'><img src=x onerror=window.hacked=1>",
    "\u202etxt.exe",
    "&lt;b&gt;" + " long" * 30,
)
ARGUMENTS = ["--headless", "--no-sandbox", "--disable-background-networking", "--disable-gpu"]
K = 5


def _missing(reason):
    if os.environ.get("HUEPROBE_REQUIRE_BROWSER") == "1":
        pytest.fail(f"{reason}, and HUEPROBE_REQUIRE_BROWSER=1 requires it")
    pytest.skip(reason)


def pytest_collection_modifyitems(items):
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.slow)


# Of a module, not of the session: a running Playwright keeps an event loop, and other tests start their own.
@pytest.fixture(scope="module")
def chromium():
    program = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if program is None:
        _missing("no chromium is installed (apt-get install chromium)")
    if importlib.util.find_spec("playwright") is None:
        _missing("playwright is not installed; pip install '.[dev]'")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=program, args=ARGUMENTS)
        yield started
        started.close()


@pytest.fixture(scope="session")
def axe():
    """The text of axe-core, which finds what keeps people out of a page."""
    if importlib.util.find_spec("axe_playwright_python") is None:
        _missing("axe-playwright-python is not installed; pip install '.[dev]'")
    from axe_playwright_python.base import AXE_FILE_PATH

    return Path(AXE_FILE_PATH).read_text(encoding="utf-8")


@pytest.fixture
def tab(chromium):
    """Open a page from disk: `tab(path, "#q=1", **options of the context)`. Nothing else may be asked for."""
    problems, contexts = [], []

    def opened(path, fragment="", **options):
        options = {"viewport": {"width": 1280, "height": 720}, **options}
        context = chromium.new_context(**options)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(20_000)
        address = path.as_uri()
        context.on(
            "request",
            lambda asked: None if _own(asked.url, address) else problems.append(f"request {asked.url}"),
        )
        page.on("pageerror", lambda error: problems.append(f"error {error}"))
        page.on(
            "console", lambda told: problems.append(told.text) if told.type in ("error", "warning") else None
        )
        page.goto(address + fragment)
        page.wait_for_selector("main[data-view]")
        return page

    yield opened
    for context in contexts:
        context.close()
    assert problems == []


def _own(url, address):
    return url.split("#")[0] == address or url.startswith(("data:", "blob:"))


class Explored:
    """A page on disk, and the results that it shows, by query row."""

    def __init__(self, path, memory, result, other):
        self.path, self.memory, self.result, self.other = path, memory, result, other
        self.matches = result.matches

    def cell(self, row, cell):
        """Matches of a cell, nearest first."""
        chosen = (self.matches.query_image == self.result.rows[row]) & (self.matches.query_cell == cell)
        return self.matches.select(chosen)

    def ids(self, matches):
        return matches.image * self.memory.grid.n_cells + matches.match_cell


@pytest.fixture(scope="session")
def explored(drawn):
    """Leave-one-out of a small memory, beside a second memory of another layer."""
    memory, other = hp.open_memory(drawn / "a.memory"), hp.open_memory(drawn / "b.memory")
    results = [hp.KernelDensityClassifier(one, k=K).leave_one_out() for one in (memory, other)]
    path = drawn / "two memories.html"
    hp.explore(memory, memory_b=other, k=K).save(path)
    return Explored(path, memory, results[0], results[1])


@pytest.fixture(scope="session")
def outside(drawn):
    """Images that are not in the memory, of which some matched memory images cannot be opened."""
    memory = hp.open_memory(drawn / "a.memory")
    result = hp.KernelDensityClassifier(memory, k=K).classify(drawn / "others")
    path = drawn / "outside.html"
    hp.explore(memory, drawn / "others", k=K, max_images=len(result)).save(path)
    return Explored(path, memory, result, None)


@pytest.fixture(scope="session")
def hostile(tmp_path_factory):
    """A page of a memory with hostile classes and file names."""
    folder = tmp_path_factory.mktemp("hostile")
    rng = np.random.default_rng(0)
    rows = ["path,class"]
    for c, name in enumerate(HOSTILE):
        for i in range(2):
            path = folder / f"<img src=x onerror=hacked()>&'\u202e{'long' * 20}{c}{i}.png"
            Image.fromarray(rng.integers(0, 255, (24, 24, 3)).astype(np.uint8)).save(path)
            quoted = name.replace('"', '""')
            rows.append(f'"{path.name}","{quoted}"')
    (folder / "table.csv").write_text("\n".join(rows) + "\n")
    memory = hp.build_memory(
        folder / "h.memory", folder / "table.csv", backbone="tests.tiny_network:tiny", layer="3"
    )
    page = folder / "page.html"
    hp.explore(memory, k=3).save(page)
    return page
