"""What stands on the screen of a page, read as a person would."""

import json
from contextlib import contextmanager
from pathlib import Path


def choose(page, cell):
    """Click a cell of the query image."""
    page.locator(f'.query .cell[data-cell="{cell}"]').click()


def listed(page):
    """The shown matches in order: vector id, image, cell, class, distance and weight of each."""
    cards = page.locator(".cell-matches .match:visible .match-open")
    return cards.evaluate_all("cards => cards.map(card => ({...card.dataset}))")


def likelihoods(page):
    """The normalized likelihood of each class, by class id."""
    if (more := page.locator(".likelihoods > button")).is_visible():
        more.click()
    bars = page.locator(".likelihoods .bar").evaluate_all("bars => bars.map(bar => ({...bar.dataset}))")
    return {int(bar["class"]): float(bar["likelihood"]) for bar in bars}


def fragment(page):
    """The state in the address, as a dict."""
    text = page.evaluate("location.hash.slice(1)")
    return dict(part.split("=", 1) for part in text.split("&") if part)


@contextmanager
def download(page):
    """Give a function that returns name and bytes of the file that the block saves."""
    with page.expect_download() as info:
        yield lambda: (info.value.suggested_filename, Path(info.value.path()).read_bytes())


def document_of(path):
    """The data in a page on disk."""
    text = path.read_text(encoding="utf-8")
    start = text.index('id="data">') + len('id="data">')
    return json.loads(text[start : text.index("</script>", start)])
