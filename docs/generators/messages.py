"""Every error message that hueprobe words, from its raise statements."""

import ast
from pathlib import Path

from generators.pages import write_page

import hueprobe
from hueprobe import errors

ROOT = Path(hueprobe.__file__).parent
ROOMS = {
    "activations": "Networks, layers and weights",
    "images": "Images, tables and transforms",
    "datasets": "Data sets and manifests",
    "memory": "Memories",
    "scale": "Parts of memories and of searches",
    "search": "Search and indexes",
    "training": "Training",
    "studies": "Observing and comparing",
    "observations": "Observations",
    "stats": "Statistics",
    "plots": "Figures",
    "cli": "Command line",
}


def write(page: Path) -> None:
    """Write the list that the page on troubleshooting includes, one table a room."""
    by_room: dict[str, dict[str, str]] = {}
    for path in sorted(ROOT.rglob("*.py")):
        room = path.relative_to(ROOT).parts[0]
        title = ROOMS.get(room, "Classifier, matches and everything else")
        for name, text in messages(ast.parse(path.read_text("utf-8"))):
            by_room.setdefault(title, {})[text] = name
    parts = []
    for title in [*ROOMS.values(), "Classifier, matches and everything else"]:
        found = by_room.get(title, {})
        if found:
            rows = [
                f"| `{name}` | {_cell(text)} |"
                for text, name in sorted(found.items(), key=lambda row: row[::-1])
            ]
            parts.append("\n".join([f"### {title}", "", "| error | message |", "|---|---|", *rows]))
    write_page(page, "\n\n".join(parts))


def messages(tree: ast.Module) -> list[tuple[str, str]]:
    """Return (class, message) of each raise of a hueprobe error whose first argument is a text."""
    found = []
    for node in ast.walk(tree):
        if not isinstance(node, ast.Raise) or not isinstance(node.exc, ast.Call) or not node.exc.args:
            continue
        function = node.exc.func
        name = function.id if isinstance(function, ast.Name) else ""
        text = _template(node.exc.args[0])
        known = getattr(errors, name, None)
        if text and isinstance(known, type) and issubclass(known, errors.HueprobeError):
            found.append((name, text))
    return found


def _template(node: ast.expr) -> str:
    """Return a text with the expressions in it as <words>; empty where it is no text."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.JoinedStr):
        return "".join(
            part.value if isinstance(part, ast.Constant) else f"<{_word(part)}>" for part in node.values
        )
    return ""


def _word(node: ast.AST) -> str:
    """Return a short word for an expression: its last name, or `value` for a computed one."""
    inner = node.value if isinstance(node, ast.FormattedValue) else node
    if isinstance(inner, ast.Name):
        return inner.id
    if isinstance(inner, ast.Attribute):
        return inner.attr
    return "value"


def _cell(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace("|", "\\|").replace("<", "&lt;").replace(">", "&gt;")
    for character in "*_`[]$":
        escaped = escaped.replace(character, f"\\{character}")
    return " ".join(escaped.split())
