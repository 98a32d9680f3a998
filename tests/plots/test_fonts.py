"""Names in any script: the installed font that has their letters, or one warning that names them."""

import warnings

import pytest
from fontTools.fontBuilder import FontBuilder  # type: ignore[import-untyped]
from fontTools.pens.ttGlyphPen import TTGlyphPen  # type: ignore[import-untyped]
from matplotlib.figure import Figure
from matplotlib.font_manager import fontManager
from matplotlib.text import Text

from hueprobe import plots
from hueprobe.errors import HueprobeWarning
from hueprobe.plots import fonts
from hueprobe.plots.style import composing, drawing
from tests.plots.test_directions import positions

NAMES = ("Ꭰ猫", "犬")  # Cherokee and CJK


@pytest.fixture(autouse=True)
def only_these_fonts(monkeypatch):
    """Take from the machine all fonts but matplotlib's own, and forget what was told."""
    own = [font for font in fontManager.ttflist if "mpl-data" in font.fname]
    monkeypatch.setattr(fontManager, "ttflist", own)
    monkeypatch.setattr(fonts, "_told", set())


def install(folder, family, characters):
    """Make a font in which each of these characters is a box 700 units wide, and let matplotlib know."""
    glyphs = {".notdef": None, **{f"u{ord(char):X}": char for char in characters}}
    pen = TTGlyphPen(None)
    for i, corner in enumerate([(50, 0), (50, 600), (650, 600), (650, 0)]):
        (pen.lineTo if i else pen.moveTo)(corner)
    pen.closePath()
    box = pen.glyph()
    builder = FontBuilder(1000, isTTF=True)
    builder.setupGlyphOrder(list(glyphs))
    builder.setupCharacterMap({ord(char): name for name, char in glyphs.items() if char})
    builder.setupGlyf(dict.fromkeys(glyphs, box))
    builder.setupHorizontalMetrics(dict.fromkeys(glyphs, (700, 50)))
    builder.setupHorizontalHeader(ascent=800, descent=-200)
    builder.setupNameTable({"familyName": family, "styleName": "Regular", "fullName": family})
    builder.setupOS2(usWeightClass=400)
    builder.setupPost()
    path = folder / f"{family}.ttf"
    builder.save(path)
    fontManager.addfont(path)


def missing_when_drawn(figure):
    """What matplotlib itself finds missing when it draws."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        figure.canvas.draw()
    return [str(warning.message) for warning in caught if "missing from" in str(warning.message)]


def test_an_installed_font_that_has_the_letters_is_taken(tmp_path):
    install(tmp_path, "Test Last Resort", "猫犬Ꭰ")  # has a sign for all and a letter for none
    install(tmp_path, "Test CJK", "猫犬")
    install(tmp_path, "Test Cherokee", "Ꭰ")
    found = positions([(0.1, 0.2), (-0.3, 0.1)], classes=NAMES)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        ax = plots.class_directions(found)
    assert missing_when_drawn(ax.figure) == []
    families = {family for text in ax.texts for family in text.get_fontfamily()}
    assert {"Test CJK", "Test Cherokee"} <= families and "Test Last Resort" not in families


def test_latin_text_keeps_its_font_and_tick_labels_have_theirs(tmp_path):
    install(tmp_path, "Test CJK", "猫犬")
    with drawing(None) as ax:
        ax.barh([0, 1], [1, 2])
        ax.set_yticks([0, 1], ["犬", "dog"])
        ax.set_title("plain ρ…")
    assert missing_when_drawn(ax.figure) == []
    assert "Test CJK" not in ax.title.get_fontfamily()


def test_a_missing_script_is_named_once(tmp_path):
    def draw():
        with composing(3, 2) as figure:
            figure.suptitle("猫犬 and ก")
            figure.add_subplot().set_title("猫")
        return figure

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        draw()
        draw()
        plots.class_directions(positions([(0.1, 0.2), (-0.3, 0.1)], classes=("犬", "猫")))
    assert [warning.category for warning in caught] == [HueprobeWarning]
    said = str(caught[0].message)
    assert all(part in said for part in ("'犬', '猫'", "'ก'", "CJK", "Thai", "install a font"))


def test_a_figure_drawn_into_the_callers_axes_has_them_too(tmp_path):
    install(tmp_path, "Test CJK", "猫犬")
    figure = Figure()
    ax = figure.add_subplot()
    plots.class_directions(positions([(0.1, 0.2), (-0.3, 0.1)], classes=("犬", "猫")), ax=ax)
    assert missing_when_drawn(figure) == []
    assert {"犬", "猫"} <= {text.get_text() for text in figure.findobj(Text)}
