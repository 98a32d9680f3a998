"""What a memory looks like in a terminal and in a notebook."""

import re
from html.parser import HTMLParser

import msgspec
import numpy as np
import pytest

from hueprobe import memory_from_arrays, open_memory
from hueprobe.memory.writer import MemoryWriter
from hueprobe.search import build_index

VALUES = np.random.default_rng(0).random((70, 8, 3, 4)).astype(np.float32)


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


def test_a_memory_shows_what_it_holds(tmp_path):
    memory = memory_from_arrays(tmp_path / "m", VALUES, list("abcdefg") * 10)
    build_index(memory, "annoy:trees=2")
    assert Cells(memory._repr_html_()).rows == {
        "path": str(tmp_path / "m"), "backbone": "arrays", "layer": "", "grid": "3 x 4 cells",
        "channels": "8", "descriptor": "pixel", "dtype": "float16", "images": "70", "classes": "7",
        "complete": "yes", "indexes": "annoy:trees=2",
    }  # fmt: skip
    assert repr(memory) == f"<Memory {tmp_path / 'm'}: 70 images x 3x4 x 8, arrays:>"


def test_no_index_a_stale_and_a_damaged_one(tmp_path):
    memory = memory_from_arrays(tmp_path / "m", VALUES)
    assert Cells(memory._repr_html_()).rows["indexes"] == "none"
    for spec in ("annoy:trees=2", "faiss:Flat"):
        build_index(memory, spec)
    (tmp_path / "m" / "indexes" / "faiss-Flat" / "index.json").write_text("{")
    other = memory_from_arrays(tmp_path / "other", VALUES[1:])
    (tmp_path / "m" / "indexes").rename(tmp_path / "other" / "indexes")
    assert Cells(other._repr_html_()).rows["indexes"] == "annoy:trees=2 (stale), faiss-Flat (damaged)"


def test_an_unfinished_memory_says_how_far_it_is(tmp_path, monkeypatch):
    def dies(self):
        raise KeyboardInterrupt

    monkeypatch.setattr(MemoryWriter, "complete", dies)
    with pytest.raises(KeyboardInterrupt):
        memory_from_arrays(tmp_path / "m", VALUES, shard_images=32)
    memory = open_memory(tmp_path / "m")
    assert Cells(memory._repr_html_()).rows["complete"] == "no: 70 of 70 images are in"
    assert repr(memory).endswith(", not complete>")


def test_every_word_is_escaped(tmp_path):
    folder = tmp_path / "<script>alert('x')<" / "&m"
    folder.parent.mkdir()
    memory = memory_from_arrays(folder, VALUES)
    memory.settings = msgspec.structs.replace(memory.settings, backbone="<img src=x>", layer='"&lt;')
    shown = Cells(memory._repr_html_())
    assert set(shown.tags) == {"table", "caption", "tbody", "tr", "th", "td"}
    assert shown.rows["path"] == str(folder)
    assert (shown.rows["backbone"], shown.rows["layer"]) == ("<img src=x>", '"&lt;')


def test_a_repr_stays_short(tmp_path):
    """However many images and classes there are."""
    few = memory_from_arrays(tmp_path / "few", VALUES[:2])
    many = memory_from_arrays(tmp_path / "many", VALUES, [f"class {i}" for i in range(70)])
    assert len(repr(many)) <= len(repr(few)) + 2
    assert len(re.sub(r"\s+", "", many._repr_html_())) < 900
