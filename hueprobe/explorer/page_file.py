"""The explorer's page: HTML, style, modules and data assembled into one text without any link to outside.

The modules under `page/` import each other by name. In the page they are one script, so that the page also
opens from disk, where browsers load no module files. Data are JSON in a script element that no browser runs.
Names in them may hold any characters, so those that have a meaning in HTML are escaped.
"""

import base64
import hashlib
import re
from collections import Counter
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import Any

from hueprobe.json_documents import json_text

FOLDER = Path(__file__).parent / "page"
_IMPORT = re.compile(r'^import \{[^{}]*\} from "\./([\w-]+\.js)";$')
_EXPORT = re.compile(r"^export (?=(?:async function|function|class|const|let) )")
_TOP_LEVEL = re.compile(r"^(?:async function\*?|function\*?|class|const|let|var) +(\w+)", re.MULTILINE)
_ESCAPED = {ord(c): f"\\u{ord(c):04x}" for c in "<>&\u2028\u2029"}


def page(document: dict[str, Any]) -> str:
    """Return the page of a document.

    Parameters
    ----------
    document : dict
        The data, as `page_data` makes them. Its `mode` is `"file"` or `"server"`; in a server's page, the
        script may ask the server.

    Returns
    -------
    str
        HTML text, complete in itself.
    """
    style, script = _style(), _script()
    parts = {
        "csp": f'<meta http-equiv="Content-Security-Policy" content="{content_policy(document["mode"])}">',
        "style": f"<style>{style}</style>",
        "data": f'<script type="application/json" id="data">{embedded_json(document)}</script>',
        "script": f'<script type="module">{script}</script>',
    }
    text = _read(FOLDER / "index.html")
    for name, part in parts.items():
        before, mark, after = text.partition(f"<!-- {name} -->")
        if not mark:
            raise ValueError(f"page/index.html lacks <!-- {name} -->")
        text = before + part + after
    return text


def content_policy(mode: str) -> str:
    """Return the Content-Security-Policy of the page: it runs its own script and style, and nothing else.

    Parameters
    ----------
    mode : {"file", "server"}
        A server's page may also ask that server and show its images.
    """
    own = " 'self'" if mode == "server" else ""
    return "; ".join(
        [
            "default-src 'none'",
            f"script-src '{_digest(_script())}'",
            f"style-src '{_digest(_style())}'",
            f"img-src{own} data: blob:",
            f"connect-src {own.strip() or chr(39) + 'none' + chr(39)}",
            "base-uri 'none'",
            "form-action 'none'",
        ]
    )


def embedded_json(document: dict[str, Any]) -> str:
    r"""Return a document as JSON text that HTML cannot misread, whatever names it holds.

    >>> embedded_json({"class": "</script>"})
    '{"class": "\\u003c/script\\u003e"}'
    """
    # "<", ">" and "&" occur only inside the strings of a JSON text
    return json_text(document, ensure_ascii=False, sort_keys=False).translate(_ESCAPED)


def joined_modules(modules: dict[str, str]) -> str:
    """Return ES modules as one script: those that others import come first.

    Parameters
    ----------
    modules : dict of str to str
        Text of each module by file name. They import each other by lines `import { a, b } from "./x.js";`
        and export declarations by `export` in front of them.

    Raises
    ------
    ValueError
        A module uses another form of import or export, imports what is not there, or repeats a name; or
        modules import each other in a circle.
    """
    needs: dict[str, set[str]] = {}
    bodies: dict[str, str] = {}
    for name, text in sorted(modules.items()):
        needs[name], lines = set(), []
        for line in text.splitlines():
            if found := _IMPORT.match(line):
                needs[name].add(found[1])
            elif re.match(r"(import|export)\b", without := _EXPORT.sub("", line)):
                raise ValueError(f"page/{name}: the page cannot be assembled with the line {line!r}")
            else:
                lines.append(without)
        bodies[name] = "\n".join(lines).strip() + "\n"
        if missing := needs[name] - set(modules):
            raise ValueError(f"page/{name} imports {sorted(missing)[0]}, which is not there")
        if re.search("</script|<!--", text, re.IGNORECASE):
            raise ValueError(f"page/{name} holds </script or <!--, which would end the script in the page")
    counts = Counter(one for body in bodies.values() for one in set(_TOP_LEVEL.findall(body)))
    if repeated := sorted(one for one, n in counts.items() if n > 1):
        raise ValueError(f"several modules of page/ define {repeated[0]}; in the page they are one script")
    try:
        order = list(TopologicalSorter(needs).static_order())
    except CycleError as error:
        raise ValueError(f"modules of page/ import each other: {' -> '.join(error.args[1])}") from None
    return "\n".join(f"// {name}\n{bodies[name]}" for name in order)


@cache
def _script() -> str:
    return "\n" + joined_modules({path.name: _read(path) for path in FOLDER.glob("*.js")})


@cache
def _style() -> str:
    return "\n" + _read(FOLDER / "style.css")


def _read(path: Path) -> str:
    return path.read_text("utf-8")  # with \n for \r\n, as a browser hashes it


def _digest(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
