"""Pages as Markdown and as HTML: names are shown literally, pictures are inside."""

import base64
import html
import re

from hueprobe.studies.pages import Heading, Items, Paragraph, Picture, Table, as_html, as_markdown

HOSTILE = 'a|b*c* <img src="x">\n\x1b[2J'
PARTS = [
    Heading("Title <1>", 1), Paragraph(HOSTILE, "Bold:"), Items((HOSTILE, "two")),
    Table(("name", "n"), ((HOSTILE, "3"), ("plain", "4"))), Heading("Figures"),
]  # fmt: skip


def test_markdown_keeps_its_form_whatever_the_names():
    text = as_markdown([*PARTS, Picture("a b_map.png", "What it *shows*."), Picture("c.pdf", "PDF")])
    assert text.startswith("# Title \\<1\\>\n\n**Bold:** ")
    (head, *rows) = [line for line in text.splitlines() if line.startswith("|")]
    # no cell of a hostile name adds a column, a line or an image
    assert len(rows) == 3 and all(len(re.findall(r"(?<!\\)\|", row)) == 3 for row in [head, *rows])
    assert "\x1b" not in text and "<img" not in text.replace("\\<img", "")
    assert "![a b\\_map.png](a%20b_map.png)\n\n*What it \\*shows\\*.*" in text
    assert "\n[c.pdf](c.pdf)" in text


def test_html_is_one_file_that_shows_names_literally(tmp_path):
    (tmp_path / "map.png").write_bytes(b"\x89PNG data")
    (tmp_path / "c.pdf").write_bytes(b"%PDF")
    page = as_html([*PARTS, Picture("map.png", 'Map "1" <b>'), Picture("c.pdf", "PDF")], tmp_path)
    assert "<title>Title &lt;1&gt;</title>" in page and page.count("<tr>") == 3
    assert page.count("<img") == 1 and "\x1b" not in page and "<b>" not in page
    source = re.search(r'src="data:image/png;base64,([^"]+)"', page)[1]
    assert base64.b64decode(source) == b"\x89PNG data"
    assert '<a href="c.pdf">c.pdf</a>' in page
    assert html.unescape(re.search(r'alt="([^"]*)"', page)[1]) == 'Map "1" <b>'
    assert not re.search(r'(src|href)="(?!data:|c\.pdf)', page)  # nothing from elsewhere
