r"""Names as they may be shown: file and class names come from others, and may hold anything.

A terminal obeys escape sequences (ESC, and the C1 controls U+0080 to U+009F); text engines obey marks that
turn the direction of what follows (U+202E); a newline forges a line of its own. Whatever is not printable, as
`str.isprintable` says, is shown as the escape that Python would write.
"""

_MARKDOWN = frozenset("\\`*_{}[]()<>|#!~&")


def escape_controls(text: str) -> str:
    r"""Return one line of text for a terminal or a figure.

    >>> escape_controls("caf\u00e9\x1b[2J\n\u202e")
    'café\\x1b[2J\\n\\u202e'
    """
    return "".join(c if c.isprintable() else _escaped(c) for c in text)


def escape_json(text: str) -> str:
    r"""Return JSON text whose strings hold printable characters alone; it means what it meant.

    >>> escape_json('{"name": "\u202e\x9b"}')
    '{"name": "\\u202e\\u009b"}'
    """
    return "".join(c if c.isprintable() or c == "\n" else _utf_16(c) for c in text)


def escape_markdown(text: str) -> str:
    r"""Return one line that Markdown, and HTML made from it, show as it is.

    >>> escape_markdown("<b>a_b|\n")
    '\\<b\\>a\\_b\\|\\\\n'
    """
    return "".join(f"\\{c}" if c in _MARKDOWN else c for c in escape_controls(text))


def _escaped(character: str) -> str:
    return character.encode("unicode_escape", "surrogatepass").decode("ascii")


def _utf_16(character: str) -> str:
    units = character.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[i : i + 2].hex()}" for i in range(0, len(units), 2))
