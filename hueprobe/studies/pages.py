"""A page of a report in parts, written as Markdown and as one HTML file that needs no other file."""

import base64
import html
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from hueprobe.escapes import escape_controls, escape_markdown

_MEDIA = {".png": "image/png", ".svg": "image/svg+xml"}  # what browsers show inside a page
_STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem;
  margin: 2rem auto; padding: 0 1rem; color: #222; }
h1, h2, h3 { line-height: 1.2; }
table { border-collapse: collapse; font-size: 0.85rem; margin: 1rem 0; }
td, th { border-bottom: 1px solid #ccc; padding: 0.2rem 0.5rem; text-align: left; vertical-align: top; }
figure { margin: 1.5rem 0; }
figure img { max-width: 100%; }
figcaption { color: #555; font-size: 0.85rem; }
""".strip()


@dataclass(frozen=True)
class Heading:
    """A heading.

    Attributes
    ----------
    text : str
        The heading.
    level : int, default=2
        1 for the page's title.
    """

    text: str
    level: int = 2


@dataclass(frozen=True)
class Paragraph:
    """A paragraph.

    Attributes
    ----------
    text : str
        The text.
    strong : str, default=""
        Words in bold before it.
    """

    text: str
    strong: str = ""


@dataclass(frozen=True)
class Items:
    """A list of items.

    Attributes
    ----------
    items : tuple of str
        Its items.
    """

    items: tuple[str, ...]


@dataclass(frozen=True)
class Table:
    """A table.

    Attributes
    ----------
    head : tuple of str
        Names of the columns.
    rows : tuple of tuple of str
        Cells.
    """

    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class Picture:
    """A figure of the report's folder.

    Attributes
    ----------
    file : str
        Name of its file.
    caption : str
        What it shows.
    """

    file: str
    caption: str


Part = Heading | Paragraph | Items | Table | Picture


def as_markdown(parts: Iterable[Part]) -> str:
    """Return a page as Markdown; names in it are shown literally.

    Parameters
    ----------
    parts : iterable of Heading, Paragraph, Items, Table or Picture
        The page. Pictures that a page cannot show, such as PDF, become links.
    """
    return "\n\n".join(_markdown(part) for part in parts) + "\n"


def _markdown(part: Part) -> str:
    match part:
        case Heading(text, level):
            return f"{'#' * level} {escape_markdown(text)}"
        case Paragraph(text, strong):
            return (
                f"**{escape_markdown(strong)}** {escape_markdown(text)}" if strong else escape_markdown(text)
            )
        case Items(items):
            return "\n".join(f"- {escape_markdown(item)}" for item in items)
        case Table(head, rows):
            lines = [head, ("---",) * len(head), *(tuple(map(escape_markdown, row)) for row in rows)]
            return "\n".join(f"| {' | '.join(line)} |" for line in lines)
        case Picture(file, caption):
            mark = "!" if Path(file).suffix in _MEDIA else ""
            return f"{mark}[{escape_markdown(file)}]({quote(file)})\n\n*{escape_markdown(caption)}*"


def as_html(parts: Sequence[Part], folder: Path) -> str:
    """Return a page as one HTML document, with its pictures inside.

    Parameters
    ----------
    parts : sequence of Heading, Paragraph, Items, Table or Picture
        The page; the first heading is its title.
    folder : Path
        Folder of the pictures. PDF files become links.
    """
    title = next((part.text for part in parts if isinstance(part, Heading)), "hueprobe")
    body = "\n".join(_html(part, folder) for part in parts)
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{_text(title)}</title>\n<style>\n{_STYLE}\n</style>\n</head>\n<body>\n{body}\n</body>\n</html>\n"
    )


def _html(part: Part, folder: Path) -> str:
    match part:
        case Heading(text, level):
            return f"<h{level}>{_text(text)}</h{level}>"
        case Paragraph(text, strong):
            return (
                f"<p><strong>{_text(strong)}</strong> {_text(text)}</p>"
                if strong
                else f"<p>{_text(text)}</p>"
            )
        case Items(items):
            return f"<ul>{''.join(f'<li>{_text(item)}</li>' for item in items)}</ul>"
        case Table(head, rows):
            lines = "".join(
                f"<tr>{''.join(f'<td>{_text(cell)}</td>' for cell in row)}</tr>\n" for row in rows
            )
            heads = "".join(f"<th>{_text(name)}</th>" for name in head)
            return f"<table>\n<thead><tr>{heads}</tr></thead>\n<tbody>\n{lines}</tbody>\n</table>"
        case Picture(file, caption):
            suffix = Path(file).suffix
            if suffix not in _MEDIA:
                shown = f'<a href="{quote(file)}">{_text(file)}</a>'
            else:
                data = base64.b64encode((folder / file).read_bytes()).decode("ascii")
                shown = f'<img alt="{_text(caption)}" src="data:{_MEDIA[suffix]};base64,{data}">'
            return f"<figure>{shown}<figcaption>{_text(caption)}</figcaption></figure>"


def _text(value: str) -> str:
    return html.escape(escape_controls(value))
