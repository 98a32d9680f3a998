"""The page on JSON documents: schemas written beside it, and those of the typed records of the code."""

import json
from pathlib import Path
from typing import Any

import msgspec
from generators.pages import write_page

from hueprobe.datasets.manifest import Manifest
from hueprobe.memory.settings import MemorySettings

FOLDER = Path(__file__).parent.parent / "reference" / "schemas"


def schemas() -> dict[str, dict[str, Any]]:
    """Return every schema by its name."""
    written = {path.stem: json.loads(path.read_text("utf-8")) for path in FOLDER.glob("*.json")}
    show = of_record(Manifest, "hueprobe data show --json")
    show["$defs"]["Manifest"]["properties"]["found_at"] = {
        "type": ["string", "null"],
        "description": "folder of the data set; null if it is not on this machine",
    }
    # What a manifest may leave out stands in the document with its default.
    return written | {"memory": of_record(MemorySettings, "memory.json"), "data-show": show}


def of_record(kind: type, title: str) -> dict[str, Any]:
    """Return the schema of a typed record, without the docstrings that the API pages have."""
    schema = msgspec.json.schema(kind)
    for definition in schema["$defs"].values():
        definition.pop("description", None)
    # Anchors of Python's regular expressions, in those of JSON Schema.
    text = json.dumps(schema).replace("\\\\A", "^").replace("\\\\Z", "$")
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": title, **json.loads(text)}


def write(page: Path) -> None:
    """Write the page."""
    parts = [
        f"## {name}\n\n`{schema['title']}`\n\n```json\n{json.dumps(schema, indent=2)}\n```\n"
        for name, schema in sorted(schemas().items())
    ]
    write_page(page, "# JSON schemas\n\n" + INTRODUCTION + "\n" + "\n".join(parts))


INTRODUCTION = """Schemas of the documents that `--json` prints and that commands write (JSON Schema, draft
2020-12). The tests validate real output of every command against them.
"""
