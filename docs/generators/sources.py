"""The table of the demo's images, their sources and licenses, from the code that lists them."""

from pathlib import Path

from benchmarks.markdown import markdown
from generators.pages import write_page
from hueprobe.images.demo_images import DEMO_IMAGES


def write(page: Path) -> None:
    """Write the table that a page includes."""
    rows = [[f"`{one.name}`", one.title, one.source, one.licence] for one in DEMO_IMAGES]
    write_page(page, markdown(("class", "image", "by", "license"), rows).replace("---:", "---"))
