"""The notebooks, copied beside the pages with the outputs that they have."""

import json
from pathlib import Path

from generators.pages import write_page

NOTEBOOKS = Path(__file__).parents[2] / "notebooks"
INDEX = """# Tutorials

One notebook for each observation and one on trust in answers, shown with the outputs of its last run. They run on the demo's images;
one cell changes that to a folder of your own, and the last cell asserts what the text says.

```{toctree}
:maxdepth: 1

PAGES
```
"""


def write(folder: Path) -> None:
    """Copy every notebook and list them."""
    names = []
    for notebook in sorted(NOTEBOOKS.glob("*.ipynb")):
        document = json.loads(notebook.read_text("utf-8"))
        write_page(folder / notebook.name, json.dumps(document, indent=1, sort_keys=True, ensure_ascii=False))
        names.append(notebook.stem)
    write_page(folder / "index.md", INDEX.replace("PAGES", "\n".join(names)))
