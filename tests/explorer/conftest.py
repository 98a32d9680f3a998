"""A folder of drawn images with two memories, and the document inside a page."""

import json
from html.parser import HTMLParser

import numpy as np
import pytest
from PIL import Image

import hueprobe as hp
from tests.tiny_network import tiny

CLASSES = ("blue", "green", "hostile")


def draw(folder, seed, n_each=4):
    """Draw images of 40 x 24 pixels, of which the network sees the middle 24 x 24."""
    rng = np.random.default_rng(seed)
    for c, name in enumerate(CLASSES):
        (folder / name).mkdir(parents=True)
        for i in range(n_each):
            values = rng.integers(0, 120, (24, 40, 3))
            values[..., 2 - c] += 100
            Image.fromarray(values.astype(np.uint8)).save(folder / name / f"{i}.png")


@pytest.fixture(scope="session")
def drawn(tmp_path_factory):
    """`images/` (one file is broken), `others/`, `table.csv` with hostile names; `a.memory`, `b.memory`."""
    folder = tmp_path_factory.mktemp("drawn")
    draw(folder / "images", 0)
    draw(folder / "others", 1, n_each=2)
    (folder / "images" / "blue" / "broken.png").write_bytes(b"no image")
    rows = ["path,class,split"]
    for path in sorted((folder / "others").rglob("*.png")):
        name = '"</script><b>&"""' if path.parent.name == "hostile" else path.parent.name
        rows.append(f"others/{path.parent.name}/{path.name},{name},{'one' if path.stem == '0' else 'two'}")
    (folder / "table.csv").write_text("\n".join(rows) + "\n")
    for name, layer in (("a.memory", "3"), ("b.memory", "1")):
        hp.build_memory(folder / name, folder / "images", backbone="tests.tiny_network:tiny", layer=layer)
    return folder


@pytest.fixture(scope="session")
def transform():
    return tiny()[1]


class _Elements(HTMLParser):
    """Collects each element's attributes and text, as a browser reads them."""

    def __init__(self):
        super().__init__(convert_charrefs=True)
        self.found, self.inside = [], False

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs), []))
        self.inside = True

    def handle_endtag(self, tag):
        self.inside = False

    def handle_data(self, data):
        if self.inside:
            self.found[-1][2].append(data)


def elements(html):
    """Return (tag, attributes, text) of each element in order; text is that up to the next tag."""
    parser = _Elements()
    parser.feed(html)
    parser.close()
    return [(tag, attributes, "".join(text)) for tag, attributes, text in parser.found]


@pytest.fixture(scope="session")
def elements_of():
    return elements


@pytest.fixture(scope="session")
def explorer_document():
    def document(html):
        (text,) = [text for tag, attributes, text in elements(html) if attributes.get("id") == "data"]
        return json.loads(text)

    return document
