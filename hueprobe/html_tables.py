"""Small HTML tables for notebooks; names are escaped."""

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
        Values, converted by `str`; None becomes an empty cell.
    caption : str
        Text below the table.

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
