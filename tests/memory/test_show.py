"""What a memory looks like in a terminal and in a notebook."""

import re
from html.parser import HTMLParser

import msgspec
import pytest

from hueprobe import open_memory
from hueprobe.memory.writer import MemoryWriter
from hueprobe.search import build_index

MANY = {"n": 70, "channels": 8, "grid": (3, 4)}


class Cells(HTMLParser):
    """The rows of a table as {heading: text}, and all tags."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.texts = [], []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        if tag in ("th", "td"):
            self.texts.append("")

    def handle_data(self, data):
        if self.texts:
            self.texts[-1] += data

    @property
    def rows(self):
        return dict(zip(self.texts[::2], self.texts[1::2], strict=True))


def test_a_memory_shows_what_it_holds(tmp_path, small_memory):
    memory = small_memory(tmp_path / "m", **MANY, classes="abcdefg")
    build_index(memory, "annoy:trees=2")
    assert Cells(memory._repr_html_()).rows == {
        "path": str(tmp_path / "m"), "backbone": "arrays", "layer": "", "grid": "3 x 4 cells",
        "channels": "8", "descriptor": "pixel", "dtype": "float16", "images": "70", "classes": "7",
        "complete": "yes", "indexes": "annoy:trees=2",
    }  # fmt: skip
    assert repr(memory) == f"<Memory {tmp_path / 'm'}: 70 images x 3x4 x 8, arrays:>"


def test_no_index_a_stale_and_a_damaged_one(tmp_path, small_memory):
    memory = small_memory(tmp_path / "m")
    assert Cells(memory._repr_html_()).rows["indexes"] == "none"
    for spec in ("annoy:trees=2", "faiss:Flat"):
        build_index(memory, spec)
    (tmp_path / "m" / "indexes" / "faiss-Flat" / "index.json").write_text("{")
    other = small_memory(tmp_path / "other", seed=1)
    (tmp_path / "m" / "indexes").rename(tmp_path / "other" / "indexes")
    assert Cells(other._repr_html_()).rows["indexes"] == "annoy:trees=2 (stale), faiss-Flat (damaged)"


def test_an_unfinished_memory_says_how_far_it_is(tmp_path, small_memory, monkeypatch):
    def dies(self):
        raise KeyboardInterrupt

    monkeypatch.setattr(MemoryWriter, "complete", dies)
    with pytest.raises(KeyboardInterrupt):
        small_memory(tmp_path / "m", **MANY, shard_images=32)
    memory = open_memory(tmp_path / "m")
    assert Cells(memory._repr_html_()).rows["complete"] == "no: 70 of 70 images are in"
    assert repr(memory).endswith(", not complete>")


def test_every_word_is_escaped(tmp_path, small_memory):
    folder = tmp_path / "<script>alert('x')<" / "&m"
    folder.parent.mkdir()
    memory = small_memory(folder)
    memory.settings = msgspec.structs.replace(memory.settings, backbone="<img src=x>", layer='"&lt;')
    shown = Cells(memory._repr_html_())
    assert set(shown.tags) == {"table", "caption", "tbody", "tr", "th", "td"}
    assert shown.rows["path"] == str(folder)
    assert (shown.rows["backbone"], shown.rows["layer"]) == ("<img src=x>", '"&lt;')


def test_a_repr_stays_short(tmp_path, small_memory):
    """However many images and classes there are."""
    few = small_memory(tmp_path / "few", **MANY | {"n": 2})
    many = small_memory(tmp_path / "many", **MANY, classes=[f"class {i}" for i in range(70)])
    assert len(repr(many)) <= len(repr(few)) + 2
    assert len(re.sub(r"\s+", "", many._repr_html_())) < 900
