"""The matches on screen are those of the match table; one can walk along them and look back from them."""

import csv
import io
import re

import numpy as np
import pytest

from tests.explorer.browser.screen import choose, document_of, download, fragment, likelihoods, listed


@pytest.mark.parametrize("row, cell", [(0, 0), (0, 35), (5, 14), (11, 7)])
def test_a_clicked_cell_lists_its_rows_of_the_match_table(tab, explored, row, cell):
    page = tab(explored.path, f"#q={row}")
    choose(page, cell)
    expected, found = explored.cell(row, cell), listed(page)
    assert [int(card["id"]) for card in found] == explored.ids(expected).tolist()
    assert [int(card["rank"]) for card in found] == expected.rank.tolist()
    assert [int(card["class"]) for card in found] == expected.match_class.tolist()
    np.testing.assert_allclose([float(card["distance"]) for card in found], expected.distance, atol=1e-6)
    np.testing.assert_allclose([float(card["weight"]) for card in found], expected.weight, atol=1e-6)


def test_the_matched_cell_is_marked_at_its_place(tab, explored):
    page = tab(explored.path, "#q=3&c=8")
    expected = explored.cell(3, 8)
    places = page.locator(".cell-matches .match:visible .mark-line").evaluate_all(
        "marks => marks.map(mark => [mark.getAttribute('y'), mark.getAttribute('x')].map(Number))"
    )
    assert places == np.stack([expected.y, expected.x], axis=1).tolist()
    for card, y, x in zip(
        page.locator(".cell-matches .match:visible").all(), expected.y, expected.x, strict=True
    ):
        image, mark = card.locator("img").bounding_box(), card.locator(".mark-line").bounding_box()
        height, width = explored.memory.grid.shape
        assert mark["x"] + mark["width"] / 2 == pytest.approx(
            image["x"] + (x + 0.5) * image["width"] / width, abs=1
        )
        assert mark["y"] + mark["height"] / 2 == pytest.approx(
            image["y"] + (y + 0.5) * image["height"] / height, abs=1
        )


def test_hovering_shows_a_cell_and_leaving_shows_the_chosen_one_again(tab, explored):
    page = tab(explored.path, "#q=1&c=0")
    page.locator('.query .cell[data-cell="21"]').hover()
    assert [int(card["id"]) for card in listed(page)] == explored.ids(explored.cell(1, 21)).tolist()
    assert fragment(page).get("c", "0") == "0"
    page.mouse.move(1270, 700)
    assert [int(card["id"]) for card in listed(page)] == explored.ids(explored.cell(1, 0)).tolist()


def test_a_match_becomes_the_query_and_the_back_button_returns(tab, explored):
    page = tab(explored.path, "#q=2&c=20")
    match = explored.cell(2, 20)
    to, cell = int(match.image[1]), int(match.match_cell[1])
    page.locator(".cell-matches .match-open").nth(1).click()
    row = explored.result.rows.tolist().index(to)
    page.wait_for_function(f"location.hash.includes('q={row}')")
    assert fragment(page)["q"] == str(row) and fragment(page).get("c", "0") == str(cell)
    assert [int(card["id"]) for card in listed(page)] == explored.ids(explored.cell(row, cell)).tolist()
    page.reload()
    page.wait_for_selector("main[data-view]")
    assert [int(card["id"]) for card in listed(page)] == explored.ids(explored.cell(row, cell)).tolist()
    page.go_back()
    page.wait_for_function("location.hash.includes('q=2')")
    assert [int(card["id"]) for card in listed(page)] == explored.ids(match).tolist()


def test_a_memory_image_that_is_not_in_the_file_is_said_to_be_missing(tab, outside):
    known = document_of(outside.path)["memories"][0]["queries"]
    assert len(known["paths"]) == len(outside.result)  # max_images left no room for memory images
    page = tab(outside.path, "#q=0&c=0")
    before = fragment(page)
    page.locator(".cell-matches .match-open").first.click()
    assert "not in this file" in page.locator("#status").inner_text()
    assert fragment(page) == before


def test_query_images_of_ones_own_are_listed_like_the_table(tab, outside):
    page = tab(outside.path, "#q=4")
    choose(page, 9)
    assert [int(card["id"]) for card in listed(page)] == outside.ids(outside.cell(4, 9)).tolist()
    found = likelihoods(page)
    np.testing.assert_allclose([found[c] for c in sorted(found)], outside.result.likelihood[4], atol=1e-6)


def test_reverse_counts_equal_those_of_numpy(tab, explored):
    ids = explored.ids(explored.matches)
    times = np.bincount(ids, minlength=len(explored.memory.images) * explored.memory.grid.n_cells)
    most = np.lexsort((np.arange(len(times)), -times))[:24]
    page = tab(explored.path, "#view=reverse")
    hubs = page.locator(".hubs li").evaluate_all("hubs => hubs.map(hub => ({...hub.dataset}))")
    assert [int(hub["id"]) for hub in hubs] == most.tolist()
    assert [int(hub["times"]) for hub in hubs] == times[most].tolist()
    mean = len(ids) / explored.memory.valid().sum()
    told = re.search(r"chosen ([\d.]+) times on average", page.locator(".reverse-view").inner_text())
    assert float(told[1]) == pytest.approx(mean, abs=0.005)
    for hub in (0, 5):
        page.locator(".hub-open").nth(hub).click()
        chosen = explored.matches.select(ids == most[hub])
        page.wait_for_selector(f'.reverse-view[data-chosen="{len(chosen)}"]')
        found = page.locator(".choosers li").evaluate_all(
            "all => all.map(one => [one.dataset.row, one.dataset.cell].map(Number))"
        )
        order = np.lexsort((chosen.query_cell, chosen.query_image, chosen.distance.astype(np.float32)))[:40]
        rows = np.searchsorted(explored.result.rows, chosen.query_image)
        assert found == np.stack([rows, chosen.query_cell], axis=1)[order].tolist()


def test_csv_holds_the_rows_of_the_match_table(tab, explored):
    page = tab(explored.path, "#q=6&c=17")
    with download(page) as saved:
        page.get_by_role("button", name="save the matches of this cell as CSV").click()
    name, content = saved()
    assert name.endswith(".csv")
    rows = list(csv.DictReader(io.StringIO(content.decode())))
    expected = explored.cell(6, 17).to_arrow(with_images=False).to_pylist()
    assert list(rows[0]) == list(expected[0])
    for row, wanted in zip(rows, expected, strict=True):
        for column, value in wanted.items():
            if isinstance(value, float):
                assert float(row[column]) == pytest.approx(value, abs=1e-6)
            elif column == "query_image":
                assert explored.result.rows[int(row[column])] == value
            else:
                assert row[column] == ("" if value is None else str(value))


def test_brushed_cells_list_the_matches_behind_them(tab, explored):
    page = tab(explored.path, "#q=7&map=all&brush=where:3,4")
    cells = explored.matches.match_cell
    expected = explored.matches.select(np.isin(cells, [3, 4]))
    note = page.locator(".brushed .note").inner_text()
    assert note.startswith(f"{len(expected):,} matches of {len(explored.matches):,}")
    base = 2 / explored.memory.grid.n_cells
    assert f"base rate {base:.1%}".replace("%", " %") in note
    while page.locator(".brushed > button").is_visible():
        page.locator(".brushed > button").click()
    found = page.locator(".brushed .pair").evaluate_all("all => all.map(one => Number(one.dataset.id))")
    assert sorted(found) == sorted(explored.ids(expected).tolist())


@pytest.mark.parametrize("side", ["same", "other"])
def test_brushing_a_conditional_map_lists_matches_from_the_chosen_cell(tab, explored, side):
    page = tab(explored.path, f"#q=7&c=14&brush={side}:13,14,15")
    matches = explored.matches
    chosen = (matches.query_cell == 14) & np.isin(matches.match_cell, [13, 14, 15])
    expected = matches.select(chosen & (matches.same_class == (side == "same")))
    assert len(expected)
    assert page.locator(".brushed .note").inner_text().startswith(f"{len(expected)} match")


def test_the_mouse_brushes_a_rectangle(tab, explored):
    page = tab(explored.path, "#q=7")
    board = page.locator(".map", has=page.locator("h3", has_text="Where matches land")).locator(".map-board")
    board.scroll_into_view_if_needed()
    box, wide = board.bounding_box(), explored.memory.grid.width
    step = box["width"] / wide
    page.mouse.move(box["x"] + 1.5 * step, box["y"] + 0.5 * step)
    page.mouse.down()
    page.mouse.move(box["x"] + 2.5 * step, box["y"] + 1.5 * step, steps=4)
    page.mouse.up()
    assert fragment(page)["brush"] == f"where:1,2,{wide + 1},{wide + 2}"


def test_overlap_of_two_memories_equals_that_of_sets(tab, explored):
    page = tab(explored.path, "#q=4&c=10&view=compare")
    grid = explored.memory.grid
    assert explored.other.matches.grid == grid  # else cells would have to be paired
    overlap = []
    for cell in range(grid.n_cells):
        images = []
        for result in (explored.result, explored.other):
            of_cell = (result.matches.query_image == result.rows[4]) & (result.matches.query_cell == cell)
            images.append({result.matches.image_paths[row] for row in result.matches.image[of_cell]})
        overlap.append(len(images[0] & images[1]) / len(images[0] | images[1]))
    assert float(page.locator(".compare-view").get_attribute("data-overlap")) == pytest.approx(
        np.mean(overlap), abs=1e-9
    )
    described = page.locator('.overlap .map-cell[data-cell="10"]').get_attribute("aria-label")
    assert f"{overlap[10]:.1%}".replace("%", " %") in described
    for place, result in enumerate((explored.result, explored.other)):
        of_cell = (result.matches.query_image == result.rows[4]) & (result.matches.query_cell == 10)
        found = (
            page.locator(".side")
            .nth(place)
            .locator(".match:visible .match-open")
            .evaluate_all("all => all.map(one => Number(one.dataset.id))")
        )
        assert found == (result.matches.image * grid.n_cells + result.matches.match_cell)[of_cell].tolist()
