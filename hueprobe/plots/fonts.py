"""Fonts for names in any script: a fallback where one is installed, a word where none is."""

import unicodedata
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import cache

from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.font_manager import FontEntry, FontProperties, findfont, fontManager, get_font
from matplotlib.text import Text

from hueprobe.errors import HueprobeWarning

_SHOWN = 10  # characters that a warning names
# Fonts that have a sign for every character and a letter for none.
_EMPTY_FONTS = ("lastresort", "last resort", "adobe blank")
_PLAIN = ("normal", "Regular", "regular", 400)

_told: set[str] = set()


def cover_scripts(figure: Figure) -> None:
    """Give every text of a figure the fonts that its characters need, where such fonts are installed.

    Parameters
    ----------
    figure : Figure

    Warns
    -----
    HueprobeWarning
        No installed font has some characters; once for each character in a process.
    """
    texts = [text for text in figure.findobj(Text) if _unusual(text.get_text())]
    lacking = {text: chars for text in texts if (chars := _lacking(text))}
    if not lacking:
        return
    wanted = frozenset().union(*lacking.values())
    families, left = _fallbacks(wanted, tuple(fontManager.ttflist))
    if families:
        for text in lacking:
            text.set_fontfamily([*text.get_fontfamily(), *families])
        for axis in figure.findobj(Axis):
            assert isinstance(axis, Axis)
            labels = lacking.keys() & set(axis.get_ticklabels())
            if labels:  # tick labels are made anew when they are drawn
                axis.set_tick_params(labelfontfamily=next(iter(labels)).get_fontfamily())
    _tell(left)


@contextmanager
def missing_told() -> Iterator[None]:
    """Keep back matplotlib's own warning on each missing character: `cover_scripts` has told of all."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", r"Glyph \d+ .* missing from", UserWarning)
        yield


def _unusual(text: str) -> set[str]:
    return {
        char for char in text if ord(char) > 0x7F and not unicodedata.category(char).startswith(("Z", "C"))
    }


def _lacking(text: Text) -> set[str]:
    """Return the characters that none of a text's own fonts has."""
    lacking = _unusual(text.get_text())
    for family in text.get_fontfamily():
        path = findfont(FontProperties(family=[family], style=text.get_fontstyle()))
        lacking = {char for char in lacking if ord(char) not in _characters(path)}
    return lacking


@cache
def _characters(path: str) -> frozenset[int]:
    try:
        return frozenset(get_font(path).get_charmap())
    except (OSError, RuntimeError):  # damaged, or of a kind that FreeType does not draw
        return frozenset()


@cache
def _fallbacks(
    wanted: frozenset[str], fonts: tuple[FontEntry, ...]
) -> tuple[tuple[str, ...], frozenset[str]]:
    """Return the fewest families, greedily, that have the wanted characters, and what none has."""
    left = {ord(char) for char in wanted}
    plain = [
        font
        for font in fonts
        if font.style == "normal" and font.weight in _PLAIN
        and not any(name in font.name.lower() for name in _EMPTY_FONTS)
    ]  # fmt: skip
    # Of equals the one that reads best small: without serifs, not of fixed width.
    plain.sort(key=lambda font: ("Sans" not in font.name, "Mono" in font.name, font.name, font.fname))
    families: list[str] = []
    while left and plain:
        best = max(plain, key=lambda font: len(left & _characters(font.fname)))
        found = left & _characters(best.fname)
        if not found:
            break
        families.append(best.name)
        left -= found
    return tuple(families), frozenset(map(chr, left))


def _tell(chars: Iterable[str]) -> None:
    new = sorted(set(chars) - _told)
    if not new:
        return
    _told.update(new)
    scripts = sorted({unicodedata.name(char, "unnamed").split()[0].capitalize() for char in new})
    scripts = ["CJK" if name == "Cjk" else name for name in scripts]
    some = ", ".join(map(repr, new[:_SHOWN])) + (f" and {len(new) - _SHOWN} more" if new[_SHOWN:] else "")
    warnings.warn(
        f"no installed font has {some} ({', '.join(scripts)}): figures show boxes there; install a font of "
        "that script, such as one of the Noto fonts, and draw again",
        HueprobeWarning,
        stacklevel=4,
    )
