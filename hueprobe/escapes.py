r"""Safe display of names: file and class names come from others and may hold any characters.

Terminals execute escape sequences (ESC, and the C1 controls U+0080 to U+009F). Text engines obey marks that
reverse the direction of the following text (U+202E). A newline can fake an extra line. So every character
that is not printable, according to `str.isprintable`, is shown as Python's escape sequence for it.
"""

_MARKDOWN = frozenset("\\`*_{}[]()<>|#!~&")


def escape_controls(text: str) -> str:
    r"""Return one line of text for a terminal or a figure.

    >>> escape_controls("caf\u00e9\x1b[2J\n\u202e")
    'café\\x1b[2J\\n\\u202e'
    """
    return "".join(c if c.isprintable() else _escaped(c) for c in text)


def escape_json(text: str) -> str:
    r"""Return equivalent JSON text whose strings hold only printable characters.

    >>> escape_json('{"name": "\u202e\x9b"}')
    '{"name": "\\u202e\\u009b"}'
    """
    return "".join(c if c.isprintable() or c == "\n" else _utf_16(c) for c in text)


def escape_markdown(text: str) -> str:
    r"""Return one line that Markdown, and HTML made from it, display literally.

    >>> escape_markdown("<b>a_b|\n")
    '\\<b\\>a\\_b\\|\\\\n'
    """
    return "".join(f"\\{c}" if c in _MARKDOWN else c for c in escape_controls(text))


def _escaped(character: str) -> str:
    return character.encode("unicode_escape", "surrogatepass").decode("ascii")


def _utf_16(character: str) -> str:
    units = character.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[i : i + 2].hex()}" for i in range(0, len(units), 2))
