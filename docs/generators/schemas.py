"""The page on JSON documents: each schema as it stands beside the tests that hold real output to it."""

from pathlib import Path

from generators.pages import write_page


def write(page: Path) -> None:
    """Write the page."""
    folder = page.parent / "schemas"
    parts = []
    for schema in sorted(folder.glob("*.json")):
        parts.append(
            f"## {schema.stem}\n\n```{{literalinclude}} schemas/{schema.name}\n:language: json\n```\n"
        )
    write_page(page, "# JSON schemas\n\n" + INTRODUCTION + "\n" + "\n".join(parts))


INTRODUCTION = """Schemas of the documents that `--json` prints and that commands write (JSON Schema, draft
2020-12). The tests hold real output of the commands to them."""
