"""The HTML view of a memory in notebooks."""

from collections.abc import Mapping
from html import escape
from pathlib import Path

from hueprobe.errors import SearcherError
from hueprobe.memory.headers import FILE_NAME, FOLDER, read_header


def facts_html(facts: Mapping[str, str]) -> str:
    """Return a small HTML table of a memory's properties, escaped."""
    body = "".join(f"<tr><th>{escape(name)}</th><td>{escape(text)}</td></tr>" for name, text in facts.items())
    return f"<table><caption>Memory</caption><tbody>{body}</tbody></table>"


def index_states(folder: Path, tip: str) -> list[str]:
    """Return the SPEC of each index in a memory, and whether it is stale or damaged.

    Parameters
    ----------
    folder : Path
        Folder of the memory.
    tip : str
        Hash of the last line of its ledger.
    """
    texts = []
    for file in sorted(folder.glob(f"{FOLDER}/*/{FILE_NAME}")):
        try:
            header = read_header(file.parent)
        except SearcherError:
            texts.append(f"{file.parent.name} (damaged)")
        else:
            texts.append(header.spec + ("" if header.ledger == tip else " (stale)"))
    return texts


def saved_text(saved: float) -> str:
    """Describe the share of the float16 size that `sparse16` saves.

    >>> saved_text(0.835), saved_text(-0.07)
    ('83.5 % smaller than float16', '7.0 % larger than float16')
    """
    return f"{abs(saved):.1%} {'smaller' if saved >= 0 else 'larger'} than float16".replace("%", " %")
