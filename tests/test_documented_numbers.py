"""Measured numbers stand in tables made from results files, not in the prose of the documentation."""

import re
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[1] / "docs"
PAGES = sorted(
    page
    for part in ("concepts", "how-to", "gallery", "developers", "reference")
    for page in (DOCS / part).glob("*.md")
)
# What is no measurement: levels of tests, versions, addresses, and numbers that define something.
DEFINITIONS = {
    "claims-and-verdicts.md": {"0.05", "0.789"},  # the second is read off an example that is shown above it
    "compare-losses.md": {"0.05"},
    "index.md": {"2.0"},  # the license's version
    "intervene.md": {"0.05"},
    "large-memories.md": {"0.5"},  # GiB of a piece, set in the code
    "segment.md": {"0.02"},  # the field's temperature
}
NOT_NUMBERS = (
    r"```.*?```",  # examples
    r"(?m)^    [^\n]*$",
    r"`[^`]*`",
    r"\$\$.*?\$\$|\$[^$]*\$",  # formulas
    r"arXiv:\d+\.\d+",
    r"\d+\.\d+\.\d+(?:\.\d+)*",  # versions, addresses
)


def measured(text: str) -> set[str]:
    for pattern in NOT_NUMBERS:
        text = re.sub(pattern, "", text, flags=re.DOTALL)
    return set(re.findall(r"\d+\.\d+", text))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: f"{page.parent.name}/{page.name}")
def test_prose_has_no_measured_numbers(page):
    assert measured(page.read_text("utf-8")) <= DEFINITIONS.get(page.name, set())


def test_measured_numbers_would_be_seen():
    text = "It took 2.6 s.\n\n    1.5 in an example\n\nVersion 0.26.0, $p < 0.1$, `x=0.2`, arXiv:1803.04765"
    assert measured(text) == {"2.6"}


def test_no_exception_is_without_need():
    for name, numbers in DEFINITIONS.items():
        found = [measured(page.read_text("utf-8")) for page in PAGES if page.name == name]
        assert numbers <= set().union(*found), name
