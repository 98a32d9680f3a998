"""Writing generated pages so that an unchanged one is not built anew."""

from pathlib import Path


def write_page(path: Path, text: str) -> None:
    """Write a page if its text changed.

    Parameters
    ----------
    path : Path
        The page; its folder is made.
    text : str
        The whole source.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    text = text.rstrip("\n") + "\n"
    if not path.is_file() or path.read_text("utf-8") != text:
        path.write_text(text, "utf-8")
