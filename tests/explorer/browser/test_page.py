"""The page itself: alone on disk, hostile names, keyboard, accessibility, phone, exports, notebooks."""

import struct
import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest

import hueprobe as hp
from tests.explorer.browser.conftest import HOSTILE, K
from tests.explorer.browser.screen import download, fragment, listed

VIEWS = {
    "wall": "", "image": "#q=0&c=7&off=3&no=1&brush=where:3", "reverse": "#view=reverse",
    "compare": "#q=0&c=7&view=compare",
}  # fmt: skip


@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_views_have_no_accessibility_violation(tab, explored, axe, view, scheme):
    page = tab(explored.path, VIEWS[view], color_scheme=scheme, bypass_csp=True)
    page.evaluate(axe)
    found = page.evaluate("axe.run(document, {resultTypes: ['violations', 'incomplete']})")
    told = [
        (rule["id"], node["html"][:120], node["failureSummary"])
        for rule in found["violations"]
        for node in rule["nodes"]
    ]
    assert told == []


def test_a_page_from_disk_asks_for_nothing(tab, explored):
    page = tab(explored.path)  # `tab` fails on any request, error or warning
    policy = page.locator('meta[http-equiv="Content-Security-Policy"]').get_attribute("content")
    assert "default-src 'none'" in policy and "connect-src 'none'" in policy
    assert page.locator(".wall .card").count() == len(explored.result)
    for view in VIEWS.values():
        page.evaluate(f"location.hash = '{view}'")
        page.wait_for_timeout(50)
    assert page.evaluate("performance.getEntriesByType('resource').length") == 0


def test_hostile_names_stay_text(tab, hostile):
    page = tab(hostile)
    told = page.locator(".wall").inner_text()
    assert "</script><script>window.hacked=1</script>" in told
    assert "\\u202etxt.exe" in told and "\u202e" not in page.locator("body").inner_text()
    for view in ("#q=0&c=7", "#view=reverse", "#q=2&no=0,1,2"):
        page.evaluate(f"location.hash = '{view}'")
        page.wait_for_selector("main[data-view]:not([data-view=wall])")
        assert page.evaluate("window.hacked === undefined")
        assert page.locator("main img[onerror], main script, main b").count() == 0
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), view
    assert HOSTILE[1] in page.locator(".likelihoods").inner_text()


def test_the_command_quotes_hostile_names(tab, hostile):
    page = tab(hostile, "#q=0")
    page.get_by_text("Export", exact=True).click()
    page.get_by_role("button", name="Copy command").click()
    command = page.locator("textarea.command").input_value()
    assert command.startswith("hueprobe query ")
    assert "\u202e" not in command and "$'" in command and "\\xe2\\x80\\xae" in command


def test_everything_is_reached_by_keyboard_alone(tab, explored):
    page = tab(explored.path)
    page.keyboard.press("Tab")  # the first card has the focus when the page opens
    page.keyboard.press("Shift+Tab")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    page.wait_for_selector('main[data-view="image"]')
    assert fragment(page)["q"] == "1"
    height, width = explored.memory.grid.shape
    middle = height // 2 * width + width // 2
    for key, cell in (
        ("ArrowRight", middle + 1),
        ("ArrowUp", middle + 1 - width),
        ("Home", (height // 2 - 1) * width),
    ):
        page.keyboard.press(key)
        assert fragment(page).get("c", "0") == str(cell)
    shown = [int(card["id"]) for card in listed(page)]
    assert shown == explored.ids(explored.cell(1, cell)).tolist()
    page.keyboard.press("x")
    assert fragment(page)["off"] == str(cell)
    page.keyboard.press("2")
    page.keyboard.press("Enter")
    page.wait_for_function("!location.hash.includes('q=1&')")
    n_cells = explored.memory.grid.n_cells
    assert int(fragment(page)["q"]) == explored.result.rows.tolist().index(shown[1] // n_cells)
    assert int(fragment(page).get("c", "0")) == shown[1] % n_cells
    page.keyboard.press("Escape")
    page.wait_for_function("location.hash.includes('q=1&')")
    page.keyboard.press("m")
    assert page.evaluate("document.activeElement.dataset.rank") == "1"
    page.keyboard.press("ArrowRight")
    assert page.evaluate("document.activeElement.dataset.rank") == "2"
    page.keyboard.press("?")
    assert page.locator("dialog.keys").is_visible()
    page.keyboard.press("Escape")
    assert not page.locator("dialog.keys").is_visible()
    page.keyboard.press("Escape")
    page.wait_for_selector('main[data-view="wall"]')
    assert page.evaluate("document.activeElement.dataset.row") == "1"  # where one was


def test_maps_are_brushed_by_keyboard(tab, explored):
    page = tab(explored.path, "#q=0")
    page.locator(".map-board").nth(2).focus()
    for key in ("ArrowRight", "Space", "Shift+ArrowRight"):
        page.keyboard.press(key)
    assert fragment(page)["brush"] == "where:1,2"
    assert page.locator(".brushed").is_visible()
    page.keyboard.press("Escape")
    assert "brush" not in fragment(page) and page.locator("main").get_attribute("data-view") == "image"


def test_the_focus_is_visible(tab, explored):
    page = tab(explored.path, "#q=0")
    page.keyboard.press("Tab")
    width = page.evaluate("getComputedStyle(document.activeElement).outlineWidth")
    assert float(width.removesuffix("px")) >= 2


def test_the_wall_filters_and_sorts(tab, explored):
    page = tab(explored.path)
    result = explored.result
    true = np.array([explored.memory.classes.index(name) for name in result.true_class])
    right = result.predicted == true
    judged = list(result.judged)
    ordered = np.sort(result.likelihood, axis=1)
    margin = ordered[:, -1] - ordered[:, -2]

    def rows():
        return page.locator(".wall .card").evaluate_all(
            "cards => cards.map(card => Number(card.dataset.row))"
        )

    assert f"{right[judged].sum()} of {len(judged)} right" in page.locator(".summary").inner_text()
    page.locator("#only").select_option("wrong")
    assert rows() == np.flatnonzero(~right).tolist()
    page.locator("#only").select_option("")
    page.locator("#of").select_option("1")
    assert rows() == np.flatnonzero(true == 1).tolist()
    page.locator("#of").select_option("")
    page.locator("#sort").select_option("margin-up")
    assert rows() == np.argsort(margin, kind="stable").tolist()
    page.locator("#find").fill("green/2")
    assert rows() == [i for i, path in enumerate(result.images) if "green/2" in path]
    assert fragment(page)["sort"] == "margin-up"


@pytest.mark.parametrize("view", VIEWS)
def test_a_phone_shows_each_view_without_sideways_scrolling(tab, explored, view):
    page = tab(
        explored.path, VIEWS[view], viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True
    )
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    if view == "image":
        page.locator('.query .cell[data-cell="9"]').tap()
        assert fragment(page)["c"] == "9"
        assert [int(card["id"]) for card in listed(page)] == explored.ids(explored.cell(0, 9)).tolist()


@pytest.mark.parametrize(
    "text",
    ["#q=99999", "#view=compare", "#m=7", "#q=-1&view=image", "#q=0&c=99999&off=abc&brush=where:77777,x"],
)
def test_a_wrong_fragment_is_said_or_ignored(tab, explored, text):
    page = tab(explored.path, text)
    if "99999&" in text:
        assert page.locator(".match-open").first.is_visible()
        return
    assert page.get_by_role("alert").is_visible()
    page.get_by_role("button", name="Back to the images").click()
    assert page.locator(".wall .card").count() == len(explored.result)


@pytest.mark.parametrize("view", VIEWS)
def test_views_are_saved_as_svg_and_png(tab, explored, view):
    page = tab(explored.path, VIEWS[view])
    page.get_by_text("Export", exact=True).click()
    with download(page) as saved:
        page.get_by_role("button", name="This view as SVG").click()
    drawing = ElementTree.fromstring(saved()[1])
    names = [node.tag.split("}")[1] for node in drawing.iter()]
    assert names.count("image") >= 3 and names.count("text") >= 5 and "foreignObject" not in names
    assert all(
        node.get("href").startswith("data:image/webp;base64,")
        for node in drawing.iter()
        if node.tag.endswith("}image")
    )
    page.get_by_text("Export", exact=True).click()
    with download(page) as saved:
        page.get_by_role("button", name="This view as PNG").click()
    name, content = saved()
    assert name.endswith(".png") and content.startswith(b"\x89PNG")
    size = struct.unpack(">II", content[16:24])
    assert size == (2 * int(drawing.get("width")), 2 * int(drawing.get("height")))


def test_a_notebook_s_frame_walks_and_returns(chromium, explored, tmp_path):
    frame = tmp_path / "notebook.html"
    frame.write_text(
        f"<!doctype html><p>cell</p>{hp.explore(explored.memory, k=K)._repr_html_()}", encoding="utf-8"
    )
    context = chromium.new_context(viewport={"width": 1280, "height": 800})
    page, errors = context.new_page(), []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto(frame.as_uri())
    inside = page.frame_locator("iframe")
    inside.locator(".card").first.click()
    first = inside.locator(".image-title").inner_text()
    inside.locator(".match-open").first.click()
    inside.locator("#status", has_text="row").wait_for()
    assert inside.locator(".match-open").first.is_visible()
    inside.get_by_role("button", name="← Back").click()
    inside.locator(".image-title", has_text=first).wait_for()
    inside.get_by_role("button", name="Images", exact=True).click()
    assert inside.locator(".card").count() == len(explored.result)
    assert errors == []
    context.close()
