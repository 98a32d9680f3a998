"""How a notebook shows a memory."""

from html import escape
from typing import TYPE_CHECKING

from hueprobe.errors import SearcherError
from hueprobe.memory.headers import FILE_NAME, FOLDER, read_header

if TYPE_CHECKING:
    from hueprobe.memory.store import Memory


def memory_html(memory: "Memory") -> str:
    """Return a small HTML table of what a memory holds, every word of it escaped."""
    settings, n_unreadable = memory.settings, int((~memory.readable).sum())
    listed = memory.ledger.n_listed
    rows = {
        "path": str(memory.path),
        "backbone": settings.backbone,
        "layer": settings.layer,
        "grid": f"{memory.grid.height} x {memory.grid.width} cells",
        "channels": f"{memory.n_channels:,}",
        "descriptor": settings.descriptor,
        "dtype": settings.dtype,
        "images": f"{memory.n_images:,}" + (f" ({n_unreadable:,} unreadable)" if n_unreadable else ""),
        "classes": f"{len(memory.classes):,}",
        "complete": "yes" if memory.complete else f"no: {memory.n_images:,} of {listed:,} images are in",
        "indexes": ", ".join(_indexes(memory)) or "none",
    }
    body = "".join(f"<tr><th>{escape(name)}</th><td>{escape(text)}</td></tr>" for name, text in rows.items())
    return f"<table><caption>Memory</caption><tbody>{body}</tbody></table>"


def _indexes(memory: "Memory") -> list[str]:
    """Return the spec of each index beside a memory, and what is wrong with it."""
    texts = []
    for file in sorted(memory.path.glob(f"{FOLDER}/*/{FILE_NAME}")):
        try:
            header = read_header(file.parent)
        except SearcherError:
            texts.append(f"{file.parent.name} (damaged)")
        else:
            texts.append(header.spec + ("" if header.ledger == memory.ledger.tip else " (stale)"))
    return texts
