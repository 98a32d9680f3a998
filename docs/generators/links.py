"""Checks a built documentation: `python docs/generators/links.py docs/_build/html`.

Every link, image and anchor that leads inside it must exist. Exit code 1 names those that do not.
"""

import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit


class Page(HTMLParser):
    """The ids and the targets of one page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.ids: set[str] = set()
        self.targets: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = {name: value for name, value in attrs if value}
        self.ids.update(found[name] for name in ("id", "name") if name in found)
        self.targets += [found[name] for name in ("href", "src") if name in found]


def broken_links(folder: Path) -> list[str]:
    """Return one line for each internal target that does not exist."""
    pages = {path.resolve(): Page(path.read_text("utf-8")) for path in sorted(folder.rglob("*.html"))}
    pages = {path: page for path, page in pages.items() if "_static" not in path.parts}  # the theme's own
    broken = []
    for path, page in pages.items():
        for target in page.targets:
            link = urlsplit(target)
            if link.scheme or link.netloc:
                continue
            aim = (path.parent / unquote(link.path)).resolve() if link.path else path
            name = f"{path.relative_to(folder.resolve())}: {target}"
            if not aim.exists():
                broken.append(f"{name}: no such file")
            elif link.fragment and aim in pages and unquote(link.fragment) not in pages[aim].ids:
                broken.append(f"{name}: no such anchor")
    return broken


def main() -> None:
    """Check the folder that the command line names."""
    folder = Path(sys.argv[1])
    if not (folder / "index.html").is_file():
        sys.exit(f"{folder} holds no index.html; build the documentation first: make docs")
    found = sorted(set(broken_links(folder)))
    if found:
        sys.exit("\n".join([f"{len(found)} links lead nowhere:", *found]))


if __name__ == "__main__":
    main()
