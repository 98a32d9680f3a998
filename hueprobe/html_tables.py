"""Small HTML tables, as notebooks show a result: whatever a name holds, it stays text."""

import html
from collections.abc import Iterable, Sequence

from hueprobe.escapes import escape_controls


def html_table(head: Sequence[str], rows: Iterable[Sequence[object]], *, caption: str) -> str:
    """Return a table as HTML.

    Parameters
    ----------
    head : sequence of str
        Names of the columns.
    rows : iterable of sequences
        Shown as `str` shows them; None as nothing.
    caption : str
        Below the table.

    Examples
    --------
    >>> shown = html_table(["image"], [["<b>.png"]], caption="1 image")
    >>> "<tr><td>&lt;b&gt;.png</td></tr>" in shown
    True
    """
    lines = "".join(f"<tr>{_cells('td', row)}</tr>" for row in rows)
    return (
        f"<table><thead><tr>{_cells('th', head)}</tr></thead><tbody>{lines}</tbody></table>"
        f"<p>{_text(caption)}</p>"
    )


def _cells(tag: str, values: Iterable[object]) -> str:
    return "".join(f"<{tag}>{'' if value is None else _text(value)}</{tag}>" for value in values)


def _text(value: object) -> str:
    return html.escape(escape_controls(str(value)))
